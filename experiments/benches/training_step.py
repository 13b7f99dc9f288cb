"""The annotator's training step beside bare forward and backward passes of its backbone, and fed from image files.

The step is all that a training does for a batch: network, head, body, losses, backward and the optimiser. Bare is its
own backbone, on the same pictures as floating-point numbers that lie on the device already, in the same precision.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.profilers import SimpleProfiler
from pytorch_lightning.utilities import move_data_to_device
from torch.utils.data import DataLoader, Dataset

from callbacks.batchnorm import BatchNormAverage
from callbacks.step_seed import StepSeed
from datamodules.coco import CocoDataModule
from experiments.benches.rows import Row, seconds_in_turn, wait_for_gpu
from experiments.benches.trainers import bench_trainer
from experiments.benches.worlds import bench_photos
from lightning_modules.annotator import AnnotatorModule


class Case(NamedTuple):
    """A network and how it is trained.

    Attributes:
        backbone: its name.
        size: side of the crops in pixels.
        precision: of the Trainer.
        batch: people a step.
        steps: in each turn of the comparison with bare.
        repeats: turns.
        trained: steps that are timed through the Trainer.
    """

    backbone: str
    size: int
    precision: str
    batch: int
    steps: int
    repeats: int
    trained: int


_ON_CPU = (Case("slim", 48, "32-true", 64, 10, 7, 60), Case("resnet50", 256, "32-true", 8, 1, 5, 4))
_ON_GPU = tuple(
    Case("resnet50", 256, precision, batch, 10, 5, 50) for precision in ("bf16-mixed", "32-true") for batch in (64, 256)
)
_PHOTOS = 512
_CACHED_BELOW = 100
"""Inputs below so many pixels are trained from cached crops."""
_PREFETCHED = 2
"""Batches that each loader process makes ahead: torch's default."""
_WARM_UP = 5
_WAITING_LIMIT = 0.05
_NEXT_BATCH = "[_TrainingEpochLoop].train_dataloader_next"
"""Lightning's name of the time in which the loop asks the loader for a batch."""


def bench_training_step(folder: Path) -> list[Row]:
    """People a second of each case: bare, in a plain loop, through the Trainer, and from image files."""
    cases = _ON_GPU if torch.cuda.is_available() else _ON_CPU
    return [row for case in cases for row in _rows(case, folder)]


def _rows(case: Case, folder: Path) -> list[Row]:
    name = f"{case.backbone} {case.size} px, {case.precision}, batch {case.batch}"
    torch.manual_seed(0)
    module = AnnotatorModule(case.backbone, case.size)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="step-", dir=folder))
    try:
        batch = next(iter(_people(case, folder, steps=1, workers=0).train_dataloader()))
        plain, reference = _plain_rows(name, module, batch, case, scratch)
        return [*plain, *_trainer_rows(name, module, batch, case, folder, scratch, reference)]
    finally:
        shutil.rmtree(scratch)


def _plain_rows(name: str, module: AnnotatorModule, batch: Any, case: Case, scratch: Path) -> tuple[list[Row], float]:
    """Bare and step in loops of their own, and people a second of bare."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = move_data_to_device(batch, device)
    module.to(device)
    bare, step = _bare(module, batch, case), _step(module, batch, case, scratch)
    memory = _memory_rows(name, bare, step)
    times = seconds_in_turn((bare, step), case.repeats, case.steps)
    bare_rate, step_rate = case.batch / np.median(times, axis=1)
    ratio = float(np.median(times[0] / times[1]))
    rows = [
        Row(f"{name}: backbone, forward and backward", float(bare_rate), "people/s"),
        Row(f"{name}: step", float(step_rate), "people/s", "bare forward and backward", ratio),
    ]
    return rows + memory, float(bare_rate)


def _trainer_rows(
    name: str, module: AnnotatorModule, batch: Any, case: Case, folder: Path, scratch: Path, bare: float
) -> list[Row]:
    """The Trainer with one batch that is there already, and with batches that loader processes make from files."""
    reference = "bare forward and backward"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    same = DataLoader(_Again(move_data_to_device(batch, device), _WARM_UP + case.trained), batch_size=None)
    rate, _ = _trained(module, case, same, _WARM_UP, scratch)
    workers = max(2, len(os.sched_getaffinity(0)) - 1)
    # What the workers made ahead during the warm-up must be used up before the clock starts.
    warm_up = _WARM_UP + _PREFETCHED * workers
    people = _people(case, folder, warm_up + case.trained, workers)
    loader = _loaded(people, case, warm_up)
    fed, waiting = _trained(module, case, people, warm_up, scratch)
    source = "cached crops" if people.crop_cache else "JPEGs of 640 x 480"
    limit = f"limit of {100 * _WAITING_LIMIT:.0f} %"
    return [
        Row(f"{name}: Trainer", rate, "people/s", reference, rate / bare),
        Row(f"{name}: loader alone, {workers} workers, {source}", loader, "people/s", reference, loader / bare),
        Row(f"{name}: Trainer with this loader", fed, "people/s", reference, fed / bare),
        Row(f"{name}: its time waiting for data", 100 * waiting, "%", limit, waiting / _WAITING_LIMIT),
    ]


def _bare(module: AnnotatorModule, batch: Any, case: Case) -> Callable[[], None]:
    image = module.network.encoder.normalize(batch["image"]).contiguous(memory_format=torch.channels_last)

    def bare() -> None:
        module.backbone.zero_grad()
        with _autocast(image.device.type, case):
            total = module.backbone(image).sum()
        total.backward()

    return bare


def _step(module: AnnotatorModule, batch: Any, case: Case, scratch: Path) -> Callable[[], None]:
    # An endless training, so that the optimiser is the module's own and its rate stays.
    module.trainer = bench_trainer(scratch, [], logger=False, max_epochs=-1)
    configured: Any = module.configure_optimizers()
    optimizer = configured["optimizer"]

    def step() -> None:
        optimizer.zero_grad()
        with _autocast(batch["image"].device.type, case):
            loss, _ = module.loss(module(batch), batch)
        loss.backward()
        optimizer.step()

    return step


def _autocast(device: str, case: Case) -> torch.autocast:
    """What the Trainer computes the forward pass in."""
    return torch.autocast(device, torch.bfloat16, enabled=case.precision == "bf16-mixed")


def _memory_rows(name: str, bare: Callable[[], None], step: Callable[[], None]) -> list[Row]:
    """Most memory of the GPU in a step, weights and the optimiser's state included; no rows on a CPU."""
    if not torch.cuda.is_available():
        return []
    peaks = []
    for function in (bare, step):
        function()  # makes the gradients and the optimiser's state, which stay
        torch.cuda.reset_peak_memory_stats()
        function()
        peaks.append(torch.cuda.max_memory_allocated() / 2**20)
    return [Row(f"{name}: most GPU memory of the step", peaks[1], "MiB", "that of bare", peaks[1] / peaks[0])]


def _people(case: Case, folder: Path, steps: int, workers: int) -> CocoDataModule:
    """People of image files, with the augmentation of a training; the loader has so many steps."""
    data = CocoDataModule(
        str(bench_photos(folder, _PHOTOS)),
        input_size=case.size,
        batch_size=case.batch,
        samples_per_epoch=steps * case.batch,
        crop_cache=case.size < _CACHED_BELOW,
        num_workers=workers,
        cache_dir=str(folder / "cache"),
    )
    data.prepare_data()
    return data


def _loaded(people: CocoDataModule, case: Case, warm_up: int) -> float:
    """People a second that the loader makes where nobody computes anything."""
    batches = iter(people.train_dataloader())
    for _ in islice(batches, warm_up):
        pass
    start = time.perf_counter()
    count = sum(1 for _ in batches)
    return count * case.batch / (time.perf_counter() - start)


def _trained(
    module: AnnotatorModule, case: Case, data: DataLoader[Any] | pl.LightningDataModule, warm_up: int, scratch: Path
) -> tuple[float, float]:
    """People a second through the Trainer after the warm-up, and the share of the time in which it asked for data."""
    clock, profiler = _Clock(warm_up), SimpleProfiler()
    trainer = bench_trainer(
        scratch,
        # What every training of the project has, logs included.
        [StepSeed(), BatchNormAverage(), clock],
        logger=CSVLogger(scratch),
        log_every_n_steps=10,
        precision=case.precision,
        max_steps=warm_up + case.trained,
        max_epochs=-1,
        limit_val_batches=0,
        use_distributed_sampler=False,
        profiler=profiler,
    )
    trainer.fit(module, data)
    asked = profiler.recorded_durations[_NEXT_BATCH][warm_up : warm_up + case.trained]
    return case.trained * case.batch / clock.seconds, sum(asked) / clock.seconds


class _Clock(pl.Callback):
    """Seconds from the end of the warm-up to the end of the training, with all that the GPU was given."""

    def __init__(self, warm_up: int) -> None:
        self._warm_up = warm_up
        self._start = self.seconds = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == self._warm_up:
            wait_for_gpu()
            self._start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        wait_for_gpu()
        self.seconds = time.perf_counter() - self._start


class _Again(Dataset[Any]):
    """The same batch so many times."""

    def __init__(self, batch: Any, steps: int) -> None:
        self._batch, self._steps = batch, steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Any:
        return self._batch
