"""A dump that is killed again and again ends with the table of one that was left in peace.

``KILL_POINTS`` is the number of random kills, few by default.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.pseudo_gt.native import Columns, LabelError, read_labels
from datamodules.pseudo_gt.shards import DumpTable
from datamodules.samplers import UnpaddedSampler
from tests.support.people import Oracle, People, people_table, trainer

POINTS = int(os.environ.get("KILL_POINTS", "4"))
PEOPLE, BATCH, FLUSH = 150, 7, 20
_SECONDS = 120


class Slow(Oracle):
    """Takes a while, and says something else of a person in other company: the batches must be the same, too."""

    def forward(self, batch):
        time.sleep(0.005)
        prediction = super().forward(batch)
        prediction.betas = prediction.betas + prediction.betas.mean(dim=0)
        return prediction


def table_of(folder: Path) -> DumpTable:
    return DumpTable(folder / "coco-train", people_table(folder.parent / "cache", People(PEOPLE)), {}, key="kill")


def dump(folder: str, kill_at: int | None, started: multiprocessing.synchronize.Event) -> None:
    """The process that is killed: from outside, or by itself before the so many-th change of a file's name or end."""
    torch.set_num_threads(1)
    if kill_at is not None:
        left = iter(range(kill_at))
        for module, name in ((os, "replace"), (os, "fsync"), (os, "unlink"), (shutil, "rmtree")):
            setattr(module, name, _deadly(getattr(module, name), left))
    people, table = People(PEOPLE), table_of(Path(folder))
    started.set()
    table.open()
    loader = DataLoader(people, batch_size=BATCH, sampler=UnpaddedSampler(people, done=table.finished()))
    writer = PseudoGTWriter([table], flush_rows=FLUSH)
    trainer(writer).predict(Slow(), loader, return_predictions=False)


def _deadly(function, left):
    def call(*arguments, **options):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return call


def run(folder: Path, kill_at: int | None = None, kill_after: float | None = None) -> tuple[int | None, float]:
    """Exit code of a dump, and its seconds; killed at an event or after a time, if either is given."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["callbacks.pseudo_gt_writer", "body_models.smpl"])
    started = context.Event()
    process = context.Process(target=dump, args=(str(folder), kill_at, started))
    process.start()
    assert started.wait(_SECONDS)
    begin = time.monotonic()
    process.join(_SECONDS if kill_after is None else kill_after)
    if process.is_alive():
        process.kill()
        process.join(_SECONDS)
    return process.exitcode, time.monotonic() - begin


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Columns, float]:
    """A folder, the table of a dump that nobody disturbed, and its seconds."""
    folder = tmp_path_factory.mktemp("kill")
    table_of(folder / "peaceful")  # the cache is not what is tested
    code, seconds = run(folder / "peaceful")
    assert code == 0
    return folder, read_labels(folder / "peaceful" / "coco-train").columns, seconds


@pytest.mark.parametrize("point", range(POINTS))
def test_killed_dump_goes_on(peaceful: tuple[Path, Columns, float], point: int) -> None:
    parent, expected, seconds = peaceful
    rng, folder = np.random.default_rng(point), parent / str(point)
    killed = 0
    while True:
        # Sometimes more than once; the last start is left in peace.
        kind = rng.choice(["time", "event"]) if killed == 0 or rng.random() < 0.3 else "none"
        kill_at = int(rng.integers(25)) if kind == "event" else None
        code, _ = run(folder, kill_at, rng.uniform(0, seconds) if kind == "time" else None)
        try:
            found = read_labels(folder / "coco-train").columns
        except LabelError:
            assert code != 0, "finished without a table"
        else:
            # Whatever looks complete is complete.
            for name, values in expected.items():
                assert values.dtype == found[name].dtype
                np.testing.assert_array_equal(found[name], values, err_msg=f"{name}, kind {kind}, at {kill_at}")
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
    assert sorted(path.name for path in (folder / "coco-train").iterdir()) == ["labels-00000.parquet", "labels.json"]
