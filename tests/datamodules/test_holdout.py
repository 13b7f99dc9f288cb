"""Joints that are hidden: always the same ones, and read by nobody who trains or annotates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.annotation import AnnotationDataModule
from datamodules.holdout import HoldOut
from datamodules.synthetic.world import WORLD_SIZES, make_world

IDS = [f"coco/train/{number}" for number in range(3000)]


def test_a_share_is_hidden_by_person_joint_and_seed_alone() -> None:
    hidden = HoldOut(0.15, 3).hidden(IDS, 17)
    assert abs(hidden.mean() - 0.15) < 0.01
    assert np.abs(hidden.mean(axis=0) - 0.15).max() < 0.03
    assert abs(np.corrcoef(hidden[:, 0], hidden[:, 1])[0, 1]) < 0.06
    np.testing.assert_array_equal(HoldOut(0.15, 3).hidden(IDS[7:9], 17), hidden[7:9])
    assert (HoldOut(0.15, 4).hidden(IDS, 17) != hidden).any()
    # A larger share hides the same joints and more.
    assert (HoldOut(0.4, 3).hidden(IDS, 17) >= hidden).all()
    assert not HoldOut(0.0).hidden(IDS, 17).any()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("holdout")
    return make_world(folder / "world", WORLD_SIZES["tiny"], num_workers=0)


def test_hidden_joints_reach_no_batch_of_the_targets(world: Path, tmp_path: Path) -> None:
    sources = {
        "coco": {"kind": "coco", "root": str(world / "coco"), "split": "train"},
        "helper": {"kind": "threedpw", "root": str(world / "3dpw"), "split": "train"},
    }
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for share in (0.0, 0.3):
        data = AnnotationDataModule(
            {"coco": sources["coco"]}, {"helper": sources["helper"]}, input_size=48, batch_size=24, num_workers=0,
            cache_dir=str(tmp_path), hold_out=(share, 0),
        )  # fmt: skip
        data.setup()
        parts[f"train {share}"] = next(iter(data.train_dataloader()))
        parts[f"predict {share}"] = next(iter(data.predict_dataloader()[0]))
    for kind in ("train", "predict"):
        all_of, rest = parts[f"{kind} 0.0"], parts[f"{kind} 0.3"]
        assert all_of["id"] == rest["id"]
        for row, name in enumerate(rest["id"]):
            before, after = (batch["joints_2d_conf"][row] > 0 for batch in (all_of, rest))
            if not name.startswith("coco"):
                assert torch.equal(before, after)
                continue
            hidden = HoldOut(0.3).hidden([name], 17)[0].sum()
            assert not (after & ~before).any()
            assert (before & ~after).sum() <= hidden
            gone = before & ~after
            assert not rest["joints_2d"][row][gone].any()
        lost = [(all_of["joints_2d_conf"] > 0).sum() - (rest["joints_2d_conf"] > 0).sum()]
        assert lost[0] > 0
