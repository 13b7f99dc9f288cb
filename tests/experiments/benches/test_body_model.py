"""The body model's bench compares the same bodies."""

from __future__ import annotations

from pathlib import Path

import pytest
import smplx
import torch
from smplx.utils import Struct

from body_models.model_files import read_model_files
from body_models.smpl import BodyModel
from experiments.benches import body_model


def test_rows_are_compared_with_smplx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_ON_CPU", "_ON_GPU"):
        monkeypatch.setattr(body_model, name, (2,))
    monkeypatch.setattr(body_model, "_CALLS", 1)
    monkeypatch.setattr(body_model, "_REPEATS", 1)
    rows = body_model.bench_body_model(tmp_path)
    assert [row.name.partition(",")[0] for row in rows] == ["joints and their losses", "all vertices"]
    assert all(row.reference == "smplx's layer" and row.ratio and row.figure > 0 for row in rows)


def test_both_sides_have_the_same_joints_and_loss() -> None:
    body = BodyModel()
    layer = smplx.SMPLLayer("unused", data_struct=Struct(**read_model_files().arrays), num_betas=10)
    pose, batch = body_model._pose(3), body_model._annotations(3, torch.device("cpu"))
    ours, theirs = body.joints(*pose), body_model._reference_joints(body, layer, pose)
    # At a depth of 40 m, where floats are 4e-6 m apart.
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
    torch.testing.assert_close(body_model._loss(ours, pose, batch), body_model._loss(theirs, pose, batch))
