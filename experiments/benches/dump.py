"""Writing labels beside nothing but the network's forward pass, and a data set of 262,000 people through a stub."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from body_models.contracts import NUM_BODY_ROTATIONS, Batch, Prediction
from body_models.joint_sets import COCO17, NUM_BODY_JOINTS
from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.columns import META_FILE, write_folder
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.shards import DumpTable
from experiments.benches.rows import Row, in_new_process
from experiments.benches.trainers import bench_trainer
from lightning_modules.annotator import AnnotatorModule
from lightning_modules.evidence import center_evidence
from lightning_modules.priors.pose_mixture import POSE_SIZE, PoseMixture

_BATCH, _BATCHES, _REPEATS = 64, 80, 15
_LARGE, _LARGE_ON_CPU = ("resnet50", 256), (2, 5)
"""The network for real pictures; its batches and repeats where no GPU computes it, as a batch takes seconds."""
_MANY = 262_000
_MEMORY_LIMIT_MIB = 2048


class _Crowd(Dataset[Any]):
    """Batches of people who differ in their ids alone, so that loading costs next to nothing."""

    def __init__(self, people: PeopleTable, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self._ids = people.columns["id"]
        self._batch = {
            "image": torch.randint(0, 255, (_BATCH, 3, size, size), dtype=torch.uint8, generator=generator),
            "box": torch.rand(_BATCH, 4, generator=generator) * 100 + 10,
            "affine": torch.eye(2, 3).repeat(_BATCH, 1, 1),
            "joints_2d": torch.rand(_BATCH, NUM_BODY_JOINTS, 2, generator=generator) * size,
            "joints_2d_conf": torch.ones(_BATCH, NUM_BODY_JOINTS),
            "joints_3d": torch.zeros(_BATCH, NUM_BODY_JOINTS, 3),
            "joints_3d_conf": torch.zeros(_BATCH, NUM_BODY_JOINTS),
            "global_orient": torch.eye(3).repeat(_BATCH, 1, 1),
            "body_pose": torch.eye(3).repeat(_BATCH, NUM_BODY_ROTATIONS, 1, 1),
        }

    def __len__(self) -> int:
        return -(-len(self._ids) // _BATCH)

    def __getitem__(self, index: int) -> dict[str, Any]:
        names = [name.decode() for name in self._ids[index * _BATCH : (index + 1) * _BATCH].tolist()]
        return {
            "id": names,
            "source": ["coco"] * len(names),
            **{key: value[: len(names)] for key, value in self._batch.items()},
        }


class _Stub(pl.LightningModule):
    """Says the same of everybody, at once."""

    def __init__(self, network: AnnotatorModule) -> None:
        super().__init__()
        size = network.network.input_size
        evidence = center_evidence(size, _BATCH)
        crowd = torch.zeros(_BATCH, 3, size, size, dtype=torch.uint8)
        with torch.inference_mode():
            parts = network.eval().network
            self.said = parts.decode(parts.head(parts.encoder(crowd, evidence), evidence), evidence)

    def forward(self, batch: Batch) -> Prediction:
        count = len(batch["id"])
        some: dict[str, Any] = {k: v[:count] for k, v in vars(self.said).items() if isinstance(v, Tensor)}
        return replace(self.said, **some)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        return {"id": batch["id"], "prediction": self(batch)}


def bench_dump(folder: Path) -> list[Row]:
    """People a second through the whole dump, and through bare forward passes: as many, on the same batches."""
    large = (_BATCHES, _REPEATS) if torch.cuda.is_available() else _LARGE_ON_CPU
    rows = []
    for backbone, size, batches, repeats in (("slim", 48, _BATCHES, _REPEATS), (*_LARGE, *large)):
        module = AnnotatorModule(backbone, size)
        people = _people(folder, _BATCH * batches)
        for mirror in (False, True):
            # In turn, and the median of the ratios: what else a machine does falls on both of a pair, or on few.
            bare, dump = [], []
            for _ in range(repeats):
                bare.append(_seconds(module, people, size, None) * (1 + mirror))
                dump.append(_seconds(module, people, size, mirror))
            passes = "two forward passes" if mirror else "one forward pass"
            rate, ratio = len(people) / np.median(dump), float(np.median(np.divide(dump, bare)))
            name = f"dump, {backbone} {size} px, {'with' if mirror else 'without'} the mirror image"
            rows.append(Row(name, float(rate), "people/s", f"time of {passes}", ratio))
    return rows


def bench_dump_many(folder: Path) -> list[Row]:
    """262,000 people, the network replaced by a stub: time of the dump itself, and the most memory it took."""
    seconds, peak = in_new_process(_dump_many, _people(folder, _MANY))
    return [
        Row("rows without a network", _MANY / seconds, "people/s"),
        Row(
            "largest memory of the process", peak, "MiB", f"limit of {_MEMORY_LIMIT_MIB} MiB", peak / _MEMORY_LIMIT_MIB
        ),
    ]


def _dump_many(people: PeopleTable) -> tuple[float, float]:
    seconds = _seconds(_Stub(AnnotatorModule("slim", 48)), people, 48, True)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _seconds(module: pl.LightningModule, people: PeopleTable, size: int, mirror: bool | None) -> float:
    """Time from the first batch to the merged table; with ``mirror=None`` that of the predictions alone."""
    folder = Path(tempfile.mkdtemp(prefix="dump-", dir=people.folder.parent))
    random = np.random.default_rng(0)
    mixture = PoseMixture.fit(random.normal(0, 0.3, (1000, POSE_SIZE // 3, 3)))
    stop = _Clock()
    callbacks: list[pl.Callback] = [stop]
    if mirror is not None:
        callbacks.append(PseudoGTWriter([DumpTable(folder / people.name, people, {})], mixture, mirror))
    trainer = bench_trainer(folder, callbacks, logger=False)
    try:
        loader = DataLoader(_Crowd(people, size), batch_size=None)
        trainer.predict(module, loader, return_predictions=False)
        return time.perf_counter() - stop.started
    finally:
        shutil.rmtree(folder)


class _Clock(pl.Callback):
    """Notes when the first batch begins; before it stands Lightning's start, which does not grow with the data."""

    started = 0.0

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter()


def _people(folder: Path, count: int) -> PeopleTable:
    """A table of ``count`` people with 17 joints each, kept for the next time."""

    def write(place: Path) -> None:
        columns = {
            "id": np.array([f"coco/train/{900_100_000_000 + i}".encode() for i in range(count)]),
            "image": np.array([f"train2017/{i // 2:012d}.jpg".encode() for i in range(count)]),
            "image_size": np.full((count, 2), 640, np.int32),
            "box": np.tile(np.array([100, 100, 200, 300], np.float32), (count, 1)),
            "joints_2d": np.full((count, 17, 3), 200, np.float32),
        }
        for name, values in columns.items():
            np.save(place / f"{name}.npy", values)
        meta = {"name": "coco-train", "joint_set": COCO17.name, "image_root": str(folder), "dropped": {}}
        (place / META_FILE).write_text(json.dumps({**meta, "columns": sorted(columns)}), encoding="utf-8")

    place = folder / f"crowd-{count}"
    return PeopleTable(place if place.is_dir() else write_folder(place, write))
