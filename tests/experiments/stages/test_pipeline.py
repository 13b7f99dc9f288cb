"""The whole loop at size=tiny: what it leaves, that it is used again, and that truth stays out of training."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb

from body_models.bodies import BodyModels
from body_models.free_body.arrays import write_free_body
from datamodules.pseudo_gt.formats import FORMATS
from datamodules.pseudo_gt.formats.meshes import MESH_FORMATS
from datamodules.pseudo_gt.formats.neuralannot import read_neuralannot
from datamodules.pseudo_gt.native import PROVENANCE_FILE, read_labels, reproject
from experiments.engine.pipeline import Run
from experiments.run import main
from experiments.settings.schema import Settings
from experiments.stages.reporting import next_steps

RUNS = ("none", "three")


def test_leaves_labels_of_everyone_and_a_report(tiny_run: Path) -> None:
    for label in RUNS:
        coco = read_labels(tiny_run / label / "labels" / "coco-train")
        assert len(coco) == 120
        assert len(read_labels(tiny_run / label / "labels" / "mpii-train")) == 24
        assert coco.provenance["free_body"] is True
        assert coco.provenance["used_3dpw_train"] is (label == "three")
    page = (tiny_run / "report.html").read_text(encoding="utf-8")
    assert "free body" in page
    # Nothing is loaded from elsewhere. Pictures may have these letters by chance, but no colon.
    assert "://" not in page.replace("http://www.w3.org", "")
    table = (tiny_run / "table.md").read_text(encoding="utf-8")
    assert "mean pose" in table


def test_the_end_of_a_run_says_what_to_do_next(tmp_path: Path) -> None:
    run = Run(Settings(), "three", tmp_path / "my runs" / "three")
    assert next_steps(run) == []
    table = run.folder / "labels" / "coco-train"
    table.mkdir(parents=True)
    (table / PROVENANCE_FILE).touch()
    where, meshes, other = next_steps(run)
    assert str(table) in where
    for line in (meshes, other):
        arguments = shlex.split(line.partition(" export ")[2].partition(" (")[0])
        assert arguments[0] == str(table) and arguments[1] == "--format"
        assert arguments[2] in (*FORMATS, *MESH_FORMATS)


@pytest.mark.parametrize("label", RUNS)
def test_summary_says_what_the_run_was(tiny_run: Path, label: str) -> None:
    summary = json.loads((tiny_run / label / "summary.json").read_text())
    assert summary["is_free_body"] and summary["synthetic"]
    assert summary["used_3dpw_train"] is (label == "three")
    assert summary["samples_seen"]["annotate"] == 128
    assert ("pose2d" in summary["samples_seen"]) is (label == "three")
    for name in ("pseudo_gt/smpl24_pa_mpjpe", "threedpw/lsp14_pa_mpjpe", "threedpw/smpl24_mpjpe"):
        metric = summary["metrics"][name]
        assert metric["low"] < metric["value"] < metric["high"]


def test_labels_say_how_good_they_are_and_where_they_come_from(tiny_run: Path) -> None:
    for name, dataset in (("coco17", "coco"), ("mpii16", "mpii")):
        table = read_labels(tiny_run / "three" / "labels" / f"{dataset}-train")
        assert table.joint_set == name and table.image_root is not None
        assert all((Path(table.image_root) / image).is_file() for image in table.columns["image"][:3])
        for column in ("prior_score", "limit_excess_deg", "max_abs_beta", "mirror_disagreement"):
            assert np.isfinite(table.columns[column]).all(), column
        assert set(table.columns["refinement"]) == {"none"}
        origin = table.provenance
        checkpoint = Path(origin["checkpoint"]["path"])
        assert origin["checkpoint"]["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        assert origin["body_model"] == {"free": True, "files": {}}
        assert origin["data"]["people"] == len(table)
        assert all(len(file["sha256"]) == 64 for file in origin["data"]["files"])
        assert {"annotate", "mixture", "world"} <= set(origin["stages"])


def test_mocap_sets_get_labels_in_the_world_and_in_each_view(tiny_run: Path, tiny_folders: list[str]) -> None:
    arguments = [*tiny_folders, "name=mocap", "recipe=none", "recipe.auxiliary={mpi_inf_3dhp: 1}"]
    stages = "stages=world,mixture,generic,annotate,dump,evaluate"
    formats = "dump.formats=[neuralannot,neuralannot_mocap]"
    assert main([*arguments, "annotate.targets={mpi_inf_3dhp: 1}", stages, formats]) == 0
    folder = tiny_run.parent / "mocap" / "custom" / "labels"
    tables = {path.name for path in folder.iterdir() if path.is_dir()}
    assert tables == {"mpi_inf_3dhp-train", "mpi_inf_3dhp-train-world"}
    views, world = (read_labels(folder / name) for name in sorted(tables))
    assert len(views) == 24 and len(world) == 3
    assert (world.columns["views"] == 8).all() and world.frame == "world"
    assert (folder / "mpi_inf_3dhp-train-world" / "neuralannot_mocap.json").is_file()
    # All views show one body: the pose is the same in each, at its own turn of the camera.
    for i, name in enumerate(world.columns["id"]):
        mine = [k for k, person in enumerate(views.columns["id"]) if person.rpartition("/")[0] == name]
        assert len(mine) == 8
        assert (views.columns["body_pose"][mine] == world.columns["body_pose"][i]).all()
    shutil.rmtree(tiny_run.parent / "mocap")


def test_recipes_differ_in_nothing_but_the_recipe(tiny_run: Path) -> None:
    settings = [
        read_labels(tiny_run / label / "labels" / "coco-train", ["id"]).provenance["settings"] for label in RUNS
    ]
    recipes = [one.pop("recipe") for one in settings]
    assert settings[0] == settings[1]
    assert recipes[0] != recipes[1]


def test_labels_lie_on_the_people_of_the_full_image(tiny_run: Path) -> None:
    """error_2d of the table, measured on the crop, equals that of the NeuralAnnot file on the full image."""
    folder = tiny_run / "three" / "labels" / "coco-train"
    table = read_labels(folder).columns
    written = read_neuralannot(folder / "neuralannot.json", "coco", "train").columns
    assert list(written["id"]) == list(table["id"])
    body = BodyModels()
    points, expected = reproject(written, body), reproject(table, body)
    assert np.abs(points - expected).max() < 0.1
    assert table["betas"].shape == (120, 10)


def test_a_second_run_makes_nothing_again(
    tiny_run: Path, tiny_folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tiny_run / "three" / "annotate" / "final.ckpt").stat().st_mtime_ns
    assert main(tiny_folders) == 0
    assert (tiny_run / "three" / "annotate" / "final.ckpt").stat().st_mtime_ns == before
    assert "done in" not in capsys.readouterr().out


@pytest.mark.parametrize("stage", ["dump", "evaluate", "report"])
def test_one_stage_alone_goes_on_from_what_is_there(
    tiny_run: Path, tiny_folders: list[str], stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.glob("*/*/final.ckpt")}
    report = (tiny_run / "report.html").stat().st_mtime_ns
    data = json.loads((tiny_run / "three" / "environment.json").read_text())["data"]
    assert main([*tiny_folders, f"stages={stage}"]) == 0
    assert json.loads((tiny_run / "three" / "environment.json").read_text())["data"] == data and "amass" in data
    assert "done in" not in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in tiny_run.glob("*/*/final.ckpt")}
    assert ((tiny_run / "report.html").stat().st_mtime_ns > report) is (stage == "report")


def test_a_stage_without_the_one_before_says_what_is_missing(
    tiny_run: Path, tiny_folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*tiny_folders, "name=empty", "recipe=none", "stages=dump"]) == 1
    assert "stage 'annotate' of none has not been run yet" in capsys.readouterr().err


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


@pytest.mark.parametrize("more", [[], ["--index", "1"], ["stages=report"], ["--jobs", "2"], ["--manifest"]])
def test_other_settings_under_the_same_name_are_refused(
    tiny_run: Path, tiny_folders: list[str], more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, and before anything of the runs that lie there is touched."""
    before = bytes_of(tiny_run)
    assert main([*tiny_folders, "annotate.lr=0.01", *more]) == 1
    said = capsys.readouterr()
    (error,) = said.err.splitlines()
    assert "annotate.lr: 0.001 there, 0.01 now" in error
    assert "overwrite=true" in error and not said.out
    assert bytes_of(tiny_run) == before
    assert main([*tiny_folders, "annotate.lr=0.01", "--dry-run"]) == 1
    assert "annotate.lr: 0.001 there, 0.01 now" in capsys.readouterr().out


def test_wrong_files_are_refused_before_anything_is_made(
    tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "data")]
    nowhere = tmp_path / "nowhere"
    for wrong in (
        f"labels={nowhere}",
        f"paths.coco={nowhere}",
        f"paths.body_models={nowhere}",
        f"pose2d.init_file={nowhere}",
        f"downstream.init_file={nowhere}",
        "model.backbone=timm:resnet_x",
    ):
        assert main([*tiny_folders, *folders, "recipe=three", wrong]) == 1
        assert main([*tiny_folders, *folders, "recipe=three", "trainer.devices=2", wrong]) == 1
        error = capsys.readouterr().err
        assert "nowhere" in error or "timm" in error
        assert not (tmp_path / "runs").exists() and not (tmp_path / "data").exists()


def test_the_dry_run_finds_stages_that_are_not_made(
    tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*tiny_folders, f"paths.cache={tmp_path}", "name=unplanned", "recipe=none"]
    argv.append("stages=[world,prior,mixture,pose2d,annotate,dump]")
    assert main(argv) == 1
    assert "stage 'generic' of none has not been run yet" in capsys.readouterr().err
    assert main([*argv, "--dry-run"]) == 1
    assert "stage 'generic' of none has not been run yet" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("argument", "stage"),
    [
        ("annotate.batch_size=2", "annotate"),
        ("pose2d.batch_size=1", "pose2d"),
        ("downstream.batch_size=1", "downstream"),
    ],
)
def test_batches_too_small_for_their_shares_are_refused(
    tiny_folders: list[str], argument: str, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*tiny_folders, "name=small", "recipe=three", "downstream.mix={coco: 1, mpii: 1}", argument]
    assert main(argv) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert f"{stage}.batch_size=" in error and "the nearest that fits is " in error
    assert main([*argv, "--dry-run"]) == 1
    assert f"{stage}.batch_size=" in capsys.readouterr().out


def test_annotator_does_not_change_when_the_true_bodies_are_deleted(tiny_run: Path, tiny_folders: list[str]) -> None:
    """Nothing but the evaluation reads the truth: without it the same weights come out, bit by bit."""
    (data,) = [argument.partition("=")[2] for argument in tiny_folders if argument.startswith("paths.data")]
    (world,) = Path(data).glob("world-*")
    truth, hidden = world / "world" / "truth", world / "hidden"
    truth.rename(hidden)
    try:
        arguments = [*tiny_folders, "recipe=three", "name=blind", "stages=world,prior,mixture,pose2d,annotate,dump"]
        assert main(arguments) == 0
    finally:
        hidden.rename(truth)
    weights = [
        torch.load(tiny_run.parent / run / "annotate" / "final.ckpt", weights_only=True)["state_dict"]
        for run in ("default/three", "blind/three")
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    shutil.rmtree(tiny_run.parent / "blind")


def test_a_regressor_is_trained_on_a_view_of_other_labels(
    tiny_run: Path, tiny_folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """``labels=`` and ``labels.filter``: fewer people are trained on, who was left out is printed and recorded."""
    labels = tiny_run / "three" / "labels" / "coco-train"
    errors = read_labels(labels, ["error_2d"]).columns["error_2d"]
    limit = float(np.nanmedian(errors))
    arguments = [*tiny_folders, "name=view", "stages=world,downstream", f"labels={labels}"]
    assert main([*arguments, f"labels.filter.max_error_2d={limit:.6f}"]) == 0
    summary = json.loads((tiny_run.parent / "view" / "labels=three-coco-train" / "summary.json").read_text())["labels"]
    (reason,) = (name for name in summary["people"]["coco"]["dropped"] if name.startswith("2D error above"))
    assert summary["folders"] == [str(labels)] and list(summary["filter"]) == ["max_error_2d"]
    trained, left_out = summary["people"]["coco"]["trained"], summary["people"]["coco"]["dropped"][reason]
    assert trained == (errors <= limit + 1e-6).sum() and left_out == (errors > limit + 1e-6).sum()
    assert f"{left_out} {reason}" in capsys.readouterr().out
    # The filter is part of what the results depend on.
    assert main([*arguments, "labels.filter.max_error_2d=9"]) == 1
    assert "labels.filter.max_error_2d" in capsys.readouterr().err
    shutil.rmtree(tiny_run.parent / "view")


def test_an_interrupted_training_goes_on(
    tiny_run: Path, tiny_folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is stopped in the annotator's last epoch ends with the weights of one that was not."""
    from lightning_modules.annotator import AnnotatorModule

    arguments = [*tiny_folders, "recipe=none", "name=stopped", "stages=world,generic,annotate", "trainer.epochs=2"]
    step = AnnotatorModule.training_step

    def fail(self: AnnotatorModule, batch: dict, index: int) -> torch.Tensor:
        if self.trainer.global_step == 6:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(AnnotatorModule, "training_step", fail)
        assert main(arguments) != 0
    wandb.finish()  # as the end of the process would
    assert main(arguments) == 0
    assert main([*arguments[:-3], "name=whole", *arguments[-2:]]) == 0
    weights = [
        torch.load(tiny_run.parent / run / "none" / "annotate" / "final.ckpt", weights_only=True)["state_dict"]
        for run in ("stopped", "whole")
    ]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    shutil.rmtree(tiny_run.parent / "stopped")
    shutil.rmtree(tiny_run.parent / "whole")


def test_dry_run_names_every_missing_file(
    tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [f"paths.{name}={tmp_path / name}" for name in ("coco", "threedpw", "body_models")]
    assert main([*tiny_folders, "recipe=three", "--dry-run", *missing]) == 1
    output = capsys.readouterr().out
    for name in ("coco", "threedpw", "body_models"):
        assert str(tmp_path / name) in output.replace("\n", "")


def test_real_model_files_take_the_place_of_the_free_body(
    tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in the official names is used by the same command; files of the free body are recognised in it."""
    write_free_body(tmp_path / "smpl")
    arguments = [*tiny_folders, "recipe=none", "name=files", f"paths.body_models={tmp_path / 'smpl'}"]
    assert main([*arguments, "stages=world,mixture,generic,annotate,dump"]) == 0
    runs = Path(tiny_folders[1].partition("=")[2])
    provenance = read_labels(runs / "files" / "none" / "labels" / "coco-train", ["id"]).provenance
    assert provenance["free_body"] is True
    assert provenance["settings"]["paths"]["body_models"] == str(tmp_path / "smpl")
