"""Annotators that read joints, through the stages: lifted from motion capture, then trained on the targets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from datamodules.pseudo_gt.native import read_labels
from experiments.run import main
from experiments.stages.annotator import ANNOTATE
from experiments.stages.lift import LIFT
from experiments.stages.starts import POSE2D
from tests.experiments.stages.test_annotator import run_of

CHEAP = ["recipe.init=random", "dump.prior_score=false", "dump.mirror=false", "wandb.mode=disabled"]
STAGES = "stages=[world,prior,lift,annotate,dump]"
COCO = "annotate.targets={coco: 1}"


def _run(folders: list[str], name: str, *argv: str) -> Path:
    assert main([*folders, "experiment=base", "recipe=none", f"name={name}", STAGES, COCO, *CHEAP, *argv]) == 0
    (folder,) = (Path(folders[1].partition("=")[2]) / name).glob("*/annotate")
    return folder.parent


@pytest.mark.parametrize(
    "argv",
    [["annotate.evidence=joints"], ["annotate.evidence=both", "recipe.prior=vposer", "model.camera=full_image"]],
    ids=["joints", "both"],
)
def test_joints_become_labels(tiny_folders: list[str], request: pytest.FixtureRequest, argv: list[str]) -> None:
    name = f"evidence_{request.node.callspec.id}"
    folder = _run(tiny_folders, name, *argv)
    labels = read_labels(folder / "labels" / "coco-train").columns
    assert len(labels["id"]) == 120 and np.isfinite(labels["body_pose"]).all()
    without = {"joints": "nothing", "both": "image"}[request.node.callspec.id]
    expected = np.where(labels["visible_joints"] > 0, request.node.callspec.id, without)
    assert list(labels["evidence"]) == list(expected)
    (stage,) = Path(tiny_folders[2].partition("=")[2]).glob("lift*/stage.json") if name == "evidence_joints" else [None]
    if stage is not None:
        metrics = json.loads(stage.read_text())["outputs"]["metrics"]
        wanted = {"held_out", "elsewhere", "frontal", "turned_away", "joints_6", "joints_10", "joints_14"}
        assert {key.split("/")[0] for key in metrics} == wanted
        assert all(value >= 0 for value in metrics.values())


def test_joints_alone_need_no_picture(tiny_folders: list[str], tmp_path: Path) -> None:
    """Labels for sets whose pictures are gone."""
    data = Path(tiny_folders[3].partition("=")[2])
    coco = sorted(data.glob("**/coco/annotations"))[0]  # worlds of other tests may lie beside it
    shutil.copytree(coco, tmp_path / "coco" / "annotations")
    folder = _run(tiny_folders, "no_pictures", "annotate.evidence=joints", f"paths.coco={tmp_path / 'coco'}")
    assert len(read_labels(folder / "labels" / "coco-train").columns["id"]) == 120


def test_keys_hold_what_the_joint_branch_depends_on() -> None:
    plain = ANNOTATE.key(run_of("recipe=none"))
    assert not {"lift"} & set(plain) and not {"evidence", "projections", "slips"} & set(plain["annotate"])
    both = ["recipe=none", "annotate.evidence=both"]
    first = LIFT.key(run_of(*both))
    for change in ("annotate.slips.drop=0.1", "lift.steps=7", "lift.views.lying=0.5", "model.camera=full_image"):
        assert LIFT.key(run_of(*both, change)) != first
    for same in ("annotate.projections=0.1", "annotate.samples=9", "model.backbone=resnet18", "recipe.prior=l2"):
        assert LIFT.key(run_of(*both, same)) == first
    assert "lift" not in run_of("recipe=none").plan.reasons and "lift" in run_of(*both).plan.reasons
    assert "lift" not in run_of(*both, "lift.file=lift.ckpt").plan.reasons


def test_hidden_joints_say_what_labels_are_worth(tiny_folders: list[str]) -> None:
    folder = _run(tiny_folders, "hidden", "annotate.evidence=joints", "annotate.holdout=0.2")
    (record,) = folder.glob("labels/stage.json")
    found = json.loads(record.read_text())["outputs"]["held_out"]["coco"]
    labels = read_labels(folder / "labels" / "coco-train").columns
    known = (labels["joints_2d"][..., 2] > 0).sum()
    assert 0.1 * known < found["joints"] < 0.3 * known and 0 < found["error"] < 1 and 0 <= found["pck"] <= 1
    assert labels["visible_joints"].sum() == known - found["joints"]
    plain, hidden = (run_of("recipe=none", *argv) for argv in ([], ["annotate.holdout=0.2"]))
    assert ANNOTATE.key(plain) != ANNOTATE.key(hidden) and POSE2D.key(plain) != POSE2D.key(hidden)
