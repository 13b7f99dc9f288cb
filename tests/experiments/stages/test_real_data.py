"""The experiments on real data, dry-run and at a tiny scale on trees with the official file names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from body_models.free_body.arrays import write_free_body
from body_models.joint_sets import HUMAN36M17
from datamodules.pseudo_gt.native import read_labels
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments.run import main
from experiments.settings.loading import CONFIGS, expand_sweep, load_settings
from experiments.settings.plan import Plan
from experiments.settings.schema import OPTIONS, get
from lightning_modules.backbones import make_backbone
from tests.support.detections import write_images, write_openpose
from tests.support.human36m_files import write_human36m

DATASETS = ("coco", "mpii")
LEVELS = ("none", "two", "three")
JOINTS_TERM, POSE_TERM = "train/all/joints_3d", "train/all/smpl_pose"
TREES = {"coco": "coco", "mpii": "mpii", "threedpw": "3dpw", "mpi_inf_3dhp": "mpi_inf_3dhp", "amass": "amass"}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that point at generated data sets, body models and weights, as if they had been downloaded."""
    root = tmp_path_factory.mktemp("datasets")
    world = make_world(root, WORLD_SIZES["tiny"], num_workers=0)
    write_free_body(root / "body_models")
    for name in ("resnet50", "slim"):
        torch.save(make_backbone(name).state_dict(), root / f"{name}.pth")
    paths = [f"paths.{name}={world / folder}" for name, folder in TREES.items()]
    return [
        *paths, f"pose2d.init_file={root / 'resnet50.pth'}",
        f"paths.body_models={root / 'body_models'}", f"paths.cache={root / 'cache'}",
        f"paths.runs={root / 'runs'}", "mpi_inf_3dhp.frame_step=1", "trainer.accelerator=cpu",
    ]  # fmt: skip


def runs_folder(trees: list[str]) -> Path:
    return Path(next(text for text in trees if text.startswith("paths.runs=")).partition("=")[2])


@pytest.mark.parametrize("gpus", [1, 8])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_dry_runs(trees: list[str], capsys: pytest.CaptureFixture, dataset: str, level: str, gpus: int) -> None:
    """With the arguments that the file's own comment gives; no process is started, and the batch is small."""
    name = f"annotate_{dataset}_{level}"
    argv = [*trees, "annotate.batch_size=4", *command_of(name, gpus)]
    if level == "none":
        root = Path(trees[-3].partition("=")[2]).parent
        argv.append(f"recipe.init_file={root / 'resnet50.pth'}")
    assert main(["--dry-run", *argv]) == 0
    said = capsys.readouterr().out
    assert "everything is there" in said
    people = sorted([dataset, *(["mpi_inf_3dhp", "threedpw_train"] if level == "three" else [])])
    assert f"a batch of 4 from {people}" in said
    assert "synthetic" not in said


def test_the_recipe_grid_of_real_data(trees: list[str], capsys: pytest.CaptureFixture) -> None:
    """All of its runs begin at ImageNet, and each finds the stages that it starts from."""
    argv = ["experiment=annotate_coco_grid", f"recipe.init_file={Path(trees[5].partition('=')[2])}"]
    runs = [run for _, run in expand_sweep(*load_settings(argv))]
    parts = {(bool(run.recipe.auxiliary), run.recipe.init, run.recipe.prior) for run in runs}
    assert len(parts) == len(runs) == 8
    assert {Plan(run).init_file or run.pose2d.init_file is not None for run in runs} == {runs[0].recipe.init_file, True}
    one_axis = ["recipe.auxiliary={}", "recipe.prior=none", "annotate.batch_size=4"]
    assert main(["--dry-run", *trees, *argv, *one_axis]) == 0
    said = capsys.readouterr().out
    assert "init=imagenet ->" in said and "init=pose2d ->" in said and "everything is there" in said
    # The bundles of the synthetic grid take a start that these experiments do not train.
    assert main(["--dry-run", *trees, "experiment=annotate_coco", "sweep.recipe=[none]", "annotate.batch_size=4"]) == 1
    assert "stage 'generic' of none has not been run yet" in " ".join(capsys.readouterr().out.split())


def test_own_photographs_dry_run(tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The joints of a tool are a source like the data sets."""
    write_images(tmp_path)
    write_openpose(tmp_path)
    argv = ["experiment=annotate_detections", f"paths.detections={tmp_path}", *tiny_folders]
    assert main(["--dry-run", *argv]) == 0
    said = capsys.readouterr().out
    assert "a batch of 16 from ['detections'" in said and "everything is there" in said
    assert "read as OpenPose, joints by name" in " ".join(said.split())
    assert main(["--dry-run", *argv, f"paths.detections={tmp_path / 'images'}"]) == 1
    assert "docs/detections.md says how each tool writes its file" in " ".join(capsys.readouterr().out.split())


def command_of(experiment: str, gpus: int) -> list[str]:
    """Arguments that the comment of a shipped experiment gives for one GPU or for eight."""
    text = (CONFIGS / "experiments" / f"{experiment}.yaml").read_text().replace("\\\n#", " ")
    commands = [line.split()[4:] for line in text.splitlines() if "python -m experiments.run" in line]
    (chosen,) = (command for command in commands if ("trainer.devices=8" in command) == (gpus == 8))
    assert chosen[0] == f"experiment={experiment}"
    return chosen


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_eight_gpus_train_as_one_does(dataset: str, level: str) -> None:
    """The same people; of the eight, each with batches of its own, and the rate of the larger batch by its root."""
    one, eight = (load_settings(command_of(f"annotate_{dataset}_{level}", gpus))[0] for gpus in (1, 8))
    assert (eight.trainer.devices, eight.trainer.precision) == (8, "bf16-mixed")
    assert one.trainer.devices == 1
    changed = {key for key in OPTIONS if get(one, key) != get(eight, key)}
    assert changed == {"trainer.devices", "trainer.precision", "annotate.lr"}


def test_dry_run_names_every_missing_file(trees: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    gone = [f"paths.{name}={tmp_path / name}" for name in (*TREES, "body_models")]
    assert main(["--dry-run", "experiment=annotate_coco_three", *gone, *trees[-4:]]) == 1
    said = capsys.readouterr().out.replace("\n", "")
    for name in ("coco", "threedpw", "mpi_inf_3dhp", "amass", "body_models"):
        assert str(tmp_path / name) in said, name
    assert "datasets/weights/resnet50-imagenet.pth (pose2d.init_file)" in said


def annotate(trees: list[str], data: Path, name: str, *argv: str) -> Path:
    """A training and a dump on real COCO people at a tiny scale; returns the run's folder."""
    cheap = ["recipe.init=random", "dump.prior_score=false", "dump.mirror=false", "wandb.mode=disabled"]
    stages = "stages=[world,annotate,dump,report]"
    common = ["size=tiny", "experiment=annotate_coco_none", f"name={name}", f"paths.data={data}", stages, *cheap]
    assert main([*trees, *common, "annotate.samples=32", *argv]) == 0
    (folder,) = (runs_folder(trees) / name).glob("*/summary.json")
    return folder.parent


def trained(run: Path) -> dict[str, int]:
    """People of each source that the annotator was trained on."""
    people = json.loads((run / "annotate" / "stage.json").read_text())["outputs"]["people"]
    return {name: row["trained"] for name, row in people.items() if row["trained"]}


@pytest.mark.slow
def test_synthetic_people_help_real_ones_and_are_not_3dpw(trees: list[str], tmp_path: Path) -> None:
    """Also where 3DPW itself is at hand; what was trained on 3DPW says so, what was trained on them does not."""
    auxiliary = "recipe.auxiliary={%s: 1, mpi_inf_3dhp: 1}"
    for name, is_flagged in (("synthetic", False), ("threedpw_train", True)):
        run = annotate(trees, tmp_path / "data", f"with_{name}", auxiliary % name, "annotate.target_quota=0.75")
        people = trained(run)
        assert people.keys() == {"coco", name, "mpi_inf_3dhp"} and people[name] == people["mpi_inf_3dhp"] == 24
        assert json.loads((run / "summary.json").read_text())["used_3dpw_train"] is is_flagged
        provenance = read_labels(run / "labels" / "coco-train", ["id"]).provenance
        assert provenance["used_3dpw_train"] is is_flagged and provenance["synthetic_images"] == []
        for table in ("table.md", "report.html"):
            assert ("3DPW-train" in (run / table).read_text()) is is_flagged, table


@pytest.mark.slow
@pytest.mark.parametrize("fits", [False, True])
def test_human36m_helps(trees: list[str], tmp_path: Path, fits: bool) -> None:
    """Joints in 3D: their term is there; that on rotations has somebody where SMPL fits lie beside them."""
    joints = np.random.default_rng(0).uniform(-600, 600, (20, len(HUMAN36M17.names), 3))
    joints[..., 2] += 4000
    write_human36m(tmp_path / "h36m", joints, subjects=(1, 5, 6, 7, 8), frame_step=5, fits=fits)
    help_of = ["recipe.auxiliary={human36m: 1}", f"paths.human36m={tmp_path / 'h36m'}"]
    run = annotate(trees, tmp_path / "data", f"human36m_{fits}", *help_of, "annotate.target_quota=0.5")
    assert trained(run).keys() == {"coco", "human36m"} and trained(run)["human36m"] == len(joints)
    assert json.loads((run / "summary.json").read_text())["used_3dpw_train"] is False
    assert not (tmp_path / "data").exists()  # nothing synthetic was needed
    with next((run / "annotate" / "metrics").glob("*/metrics.csv")).open() as file:
        logged = [row for row in csv.DictReader(file) if row[JOINTS_TERM]]
    assert logged and all(float(row[JOINTS_TERM]) > 0 for row in logged)
    assert all((float(row[POSE_TERM] or 0) > 0) is fits for row in logged)


@pytest.mark.parametrize("dataset", DATASETS)
def test_all_levels_begin_at_the_same_file(dataset: str) -> None:
    """Or recipe 2 would be compared with ImageNet instead of without it."""
    none, *others = (load_settings([f"experiment=annotate_{dataset}_{level}"])[0] for level in LEVELS)
    assert none.recipe.init == "imagenet" and Plan(none).start_stage is None
    for level in others:
        assert Plan(level).start_stage == "pose2d"
        assert level.pose2d.init_file == none.recipe.init_file
        assert level.model.backbone == none.model.backbone == "resnet50"


def test_annotates_such_a_tree(trees: list[str], capsys: pytest.CaptureFixture) -> None:
    """Each target gets a label table of its own, which says that 3DPW-train helped and that no body was synthetic."""
    argv = ["experiment=annotate_mpii_three", "size=tiny", "annotate.samples=64", "annotate.targets={coco: 1, mpii: 1}"]
    slim = next(text for text in trees if text.startswith("pose2d.init_file")).replace("resnet50", "slim")
    cheap = ["stages=[prior,pose2d,annotate,dump,report]", "dump.prior_score=false", "dump.mirror=false"]
    assert main([*trees, *argv, *cheap, slim, "wandb.mode=disabled"]) == 0
    assert f"start: 100.0% of the backbone's elements from {slim.partition('=')[2]}" in capsys.readouterr().out
    (folder,) = (runs_folder(trees) / "annotate_mpii_three").glob("*/labels")
    for name, people in (("coco", 120), ("mpii", 24)):
        table = read_labels(folder / f"{name}-train")
        assert len(table) == people
        assert table.provenance["used_3dpw_train"] is True
        assert table.provenance["synthetic_images"] == []
