"""Every choice of recipe.init through the real stages at size=tiny, and the 2D pose network by itself."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.pose2d import Pose2DDataModule
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments.engine.pipeline import Run
from experiments.run import main
from experiments.settings.loading import ConfigError, load_settings
from experiments.settings.plan import Plan
from experiments.stages.starts import POSE2D
from lightning_modules.backbones import make_backbone
from lightning_modules.weights.initial_weights import ORIGINS

FILES = {
    "imagenet": ("torchvision, timm", ""),
    "moco": ("MoCo v1, v2", "module.encoder_q."),
    "byol": ("BYOL, DetCon", "online_network.encoder."),
    "detcon": ("DetCon", "network.encoder."),
    "dino": ("DINO", "teacher.backbone."),
    "pose2d_mpii": ("Simple Baselines, HRNet", "module."),
    "file": ("PARE", "model.backbone."),
}


def folder_of(arguments: list[str], name: str) -> Path:
    return Path(next(a for a in arguments if a.startswith(f"paths.{name}=")).partition("=")[2])


@pytest.fixture
def short(tiny_folders: list[str]) -> list[str]:
    """One step of the annotator, so that only its start takes time."""
    return [*tiny_folders, "wandb.mode=disabled", "recipe=none", "annotate.samples=16", "dump.prior_score=false"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published file for each choice that needs one."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    state = make_backbone("slim").state_dict()
    for init, (_, prefix) in FILES.items():
        renamed = {prefix + name: value for name, value in state.items()}
        if init.startswith("pose2d"):
            renamed["module.final_layer.weight"] = torch.ones(1)
        torch.save(renamed if init == "dino" else {"state_dict": renamed}, folder / f"{init}.pth.tar")
    return folder


def test_every_choice_is_tested() -> None:
    assert set(FILES) | {"pose2d_coco"} == set(ORIGINS)


@pytest.mark.parametrize("init", FILES)
def test_published_files(short: list[str], weights: Path, init: str, capsys: pytest.CaptureFixture[str]) -> None:
    start = [f"recipe.init={init}", f"recipe.init_file={weights}/{{init}}.pth.tar", f"name=start-{init}"]
    assert main([*short, *start, "stages=[annotate]"]) == 0
    out = capsys.readouterr().out
    assert f"start: 100.0% of the backbone's elements from {weights / init}.pth.tar ({FILES[init][0]})" in out
    assert "pose2d:" not in out and "generic:" not in out


@pytest.mark.parametrize(
    ("init", "stage", "trained_on"),
    [
        ("generic", "generic", {"coco", "mpii"}),
        ("pose2d", "pose2d", {"coco", "mpii"}),
        ("pose2d_coco", "pose2d", {"coco"}),
        ("pose2d_mpii", "pose2d", {"mpii"}),
    ],
)
def test_starts_that_are_trained_here(
    short: list[str], init: str, stage: str, trained_on: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stages = "stages=[generic,pose2d,annotate]"
    assert main([*short, f"recipe.init={init}", f"name=trained-{init}", stages]) == 0
    out = capsys.readouterr().out
    assert "start: 100.0% of the backbone's elements" in out
    settings, _ = load_settings([*short, f"recipe.init={init}"])
    assert set(Plan(settings).pose2d) == trained_on
    assert Plan(settings).start_stage == stage
    (path,) = (folder_of(short, "runs") / f"trained-{init}").glob("*/summary.json")
    summary = json.loads(path.read_text())
    assert summary["samples_seen"] == {stage: 64, "annotate": 16}


def test_heatmaps_alone_are_a_start(short: list[str]) -> None:
    """Of another network than the joints make, trained by the cross-entropy of the maps, which falls."""
    common = ["recipe.init=pose2d_mpii", "stages=[pose2d,annotate]", "pose2d.samples=256", "pose2d.batch_size=8"]
    states = []
    for loss in ("integral", "heatmap"):
        assert main([*short, *common, f"pose2d.loss={loss}", f"name=maps-{loss}"]) == 0
        (path,) = (folder_of(short, "runs") / f"maps-{loss}").glob("*/annotate/stage.json")
        assert json.loads(path.read_text())["outputs"]["map_coverage"] == 1
        (stage,) = (
            record.parent
            for record in folder_of(short, "cache").glob("pose2d-*/stage.json")
            if json.loads(record.read_text())["key"]["settings"]["pose2d"]["loss"] == loss
            and json.loads(record.read_text())["key"]["settings"]["pose2d"]["batch_size"] == 8
        )
        states.append(torch.load(stage / "final.ckpt", weights_only=True)["state_dict"])
    assert not torch.equal(*(state["final_layer.weight"] for state in states))
    with next((stage / "metrics").glob("*/metrics.csv")).open(newline="") as file:
        values = [float(row["train/all/heatmap"]) for row in csv.DictReader(file) if row["train/all/heatmap"]]
    assert len(values) >= 8 and np.isfinite(values).all()
    assert np.mean(values[-4:]) < np.mean(values[:4])


def test_the_2d_pose_network_is_a_trainer_of_its_own(short: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    alone = ["stages=[pose2d]", "pose2d.loss=both", "pose2d.holdout=0.3", "name=alone"]
    assert main([*short, *alone]) == 0
    assert "held out: joint_error" in capsys.readouterr().out
    records = [json.loads(path.read_text()) for path in folder_of(short, "cache").glob("pose2d-*/stage.json")]
    (record,) = (one for one in records if one["key"]["settings"]["pose2d"]["loss"] == "both")
    metrics = record["outputs"]["metrics"]
    assert set(metrics) == {"coco", "mpii"}
    assert set(metrics["coco"]) == {"people", "joint_error", "oks_ap", "oks_ap50", "oks_ap75", "oks_ar"}
    assert set(metrics["mpii"]) == {"people", "joint_error", "pckh"}
    assert 0 < metrics["coco"]["joint_error"] < 1 and metrics["coco"]["people"] > 20
    # Nothing but the network was trained, and it is used again.
    assert main([*short, *alone]) == 0
    assert "used again" in capsys.readouterr().out


def test_the_2d_pose_network_may_start_from_a_file(
    short: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights of the file, and not of the seed, are trained; and a random start stays another stage."""
    torch.manual_seed(99)
    given = make_backbone("slim").state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in given.items()}}, tmp_path / "given.pth")
    # So slow that the network is what it started from.
    alone = ["stages=[pose2d]", "pose2d.samples=16", "pose2d.lr=1e-12", "pose2d.holdout=0"]
    assert main([*short, *alone, "name=from-random"]) == 0
    assert "start:" not in capsys.readouterr().out
    assert main([*short, *alone, f"pose2d.init_file={tmp_path / 'given.pth'}", "name=from-file"]) == 0
    said = capsys.readouterr().out.replace("\n", "")
    assert f"start: 100.0% of the backbone's elements from {tmp_path / 'given.pth'} (torchvision, timm)" in said
    trained = {}
    for path in folder_of(short, "cache").glob("pose2d-*/stage.json"):
        record = json.loads(path.read_text())
        if (settings := record["key"]["settings"]["pose2d"])["lr"] == 1e-12:
            checkpoint = path.parent / record["outputs"]["checkpoint"]
            trained[settings.get("init_file")] = torch.load(checkpoint, weights_only=True)["state_dict"]
    random, filled = trained[None], trained[str(tmp_path / "given.pth")]
    for name, value in given.items():
        if name.endswith("weight"):
            torch.testing.assert_close(filled[f"backbone.{name}"], value, atol=1e-6, rtol=0)
    assert not torch.allclose(random["backbone.conv1.weight"], given["conv1.weight"], atol=1e-3)
    # What the file does not hold is drawn as it would have been.
    torch.testing.assert_close(filled["final_layer.weight"], random["final_layer.weight"], atol=1e-6, rtol=0)


def test_a_start_of_another_network_is_refused(
    short: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(make_backbone("resnet18").state_dict(), tmp_path / "other.pth")
    argv = ["stages=[pose2d]", f"pose2d.init_file={tmp_path / 'other.pth'}", "name=refused"]
    assert main([*short, *argv]) == 1
    assert re.search(r"other\.pth fills .* below 90%", " ".join("".join(capsys.readouterr()).split()))


def test_no_file_leaves_the_key_of_the_2d_pose_network_as_it_was() -> None:
    def key(*argv: str) -> dict[str, Any]:
        settings, _ = load_settings(["size=tiny", *argv])
        return POSE2D.key(Run(settings, "run", Path("nowhere")))["pose2d"]

    assert set(key()) == {"sources", "samples", "batch_size", "lr", "loss", "holdout"}
    assert key("pose2d.init_file=a.pth") == {**key(), "init_file": "a.pth"}


def test_held_out_people_are_never_trained_on(short: list[str], tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", WORLD_SIZES["tiny"], num_workers=0)
    source = {"kind": "coco", "root": str(world / "coco"), "split": "train"}
    data = Pose2DDataModule({"coco": source}, holdout=0.3, cache_dir=str(folder_of(short, "cache")), num_workers=0)
    trained, held_out = data.train_table("coco"), data.target_table("coco")
    assert not set(trained.column("image")) & set(held_out.column("image"))
    assert trained.dropped["held out"] == len(held_out) > 20
    everyone = Pose2DDataModule({"coco": source}, cache_dir=str(folder_of(short, "cache")))
    assert sorted(trained.ids() + held_out.ids()) == sorted(everyone.train_table("coco").ids())
    assert len(everyone.target_table("coco")) == 0


def test_a_start_that_needs_a_file_says_so() -> None:
    with pytest.raises(ConfigError, match=r"recipe.init=moco needs recipe.init_file"):
        load_settings(["recipe.init=moco"])
    settings, _ = load_settings(["recipe.init=pose2d_coco", "recipe.init_file=a.pth"])
    assert Plan(settings).start_stage is None and Plan(settings).init_file == "a.pth"
    # A sweep over choices may name one file for those that need it.
    settings, _ = load_settings(["recipe.init=generic", "recipe.init_file=a.pth"])
    assert Plan(settings).start_stage == "generic" and Plan(settings).init_file is None
