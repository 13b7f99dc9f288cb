"""The training step's bench runs on a few small pictures; its parts are what they are called."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.sources.coco import open_coco
from experiments.benches import rows, training_step, worlds
from experiments.benches.training_step import Case
from lightning_modules.annotator import AnnotatorModule

_CASE = Case("slim", 48, "32-true", batch=4, steps=1, repeats=1, trained=2)


@pytest.fixture
def few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_ON_CPU", "_ON_GPU"):
        monkeypatch.setattr(training_step, name, (_CASE,))
    monkeypatch.setattr(training_step, "_PHOTOS", 3)
    monkeypatch.setattr(training_step, "_WARM_UP", 1)
    monkeypatch.setattr(training_step.os, "sched_getaffinity", lambda process: {0})


def test_a_case_has_a_row_for_each_way(few_photos: None, tmp_path: Path) -> None:
    found = {row.name.partition(": ")[2]: row for row in training_step.bench_training_step(tmp_path)}
    expected = [
        "backbone, forward and backward", "step", "Trainer", "loader alone, 2 workers, cached crops",
        "Trainer with this loader", "its time waiting for data",
    ]  # fmt: skip
    assert [name for name in found if "GPU" not in name] == expected
    assert all(row.figure > 0 for row in found.values())
    assert found["step"].reference == "bare forward and backward" and found["step"].ratio is not None
    # Pictures and crops are kept for the next time; what the trainings wrote is not.
    assert {path.name for path in tmp_path.iterdir()} == {"photos-3", "cache"}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_step_trains_everything_and_bare_only_the_backbone(few_photos: None, tmp_path: Path, precision: str) -> None:
    case = _CASE._replace(precision=precision)
    module = AnnotatorModule("slim", 48)
    batch = next(iter(training_step._people(case, tmp_path, 1, 0).train_dataloader()))
    before = {name: value.clone() for name, value in module.named_parameters()}
    training_step._bare(module, batch, case)()
    assert all((value.grad is not None) == ("encoder.backbone." in name) for name, value in module.named_parameters())
    training_step._step(module, batch, case, tmp_path)()
    assert all(not torch.equal(before[name], value) for name, value in module.named_parameters())


class _Slow(Dataset):
    """A loader that takes 30 ms a batch, and 300 ms for each of the first two."""

    def __init__(self, batch: dict) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict:
        time.sleep(0.3 if index < 2 else 0.03)
        return self._batch


def test_waiting_is_what_the_loader_takes_after_the_warm_up(few_photos: None, tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    module = AnnotatorModule("slim", 48)
    batch = next(iter(training_step._people(_CASE, tmp_path, 1, 0).train_dataloader()))
    case = _CASE._replace(trained=8)
    rate, share = training_step._trained(module, case, DataLoader(_Slow(batch), batch_size=None), 4, tmp_path)
    seconds = 8 * case.batch / rate
    assert 8 * 0.03 * 0.8 < share * seconds < seconds


def test_photos_are_in_coco_s_layout(tmp_path: Path) -> None:
    root = worlds.bench_photos(tmp_path, 2)
    assert root == worlds.bench_photos(tmp_path, 2)
    table = open_coco(str(root), "train", str(tmp_path / "cache"))
    assert len(table) == 4 and not len(table.missing_images()[1]) and not table.dropped
    picture = cv2.imread(str(root / "train2017/000000000001.jpg"))
    assert picture is not None and picture.shape == (480, 640, 3)
    assert json.loads((root / "annotations/person_keypoints_train2017.json").read_text())["images"][0]["width"] == 640


def test_functions_are_measured_in_turn() -> None:
    order: list[str] = []
    seconds = rows.seconds_in_turn((lambda: order.append("a"), lambda: order.append("b")), repeats=2, calls=3)
    assert seconds.shape == (2, 2) and order == ["a", "b", *2 * [*3 * "a", *3 * "b"]]
