"""The experiments on real data, dry-run and at a tiny scale on trees with the official file names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from body_models.standin import write_standin
from datamodules.pseudo_gt.native import read_labels
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments import sources
from experiments.config import load_settings
from experiments.run import main
from lightning_modules.backbones import make_backbone

DATASETS = ("coco", "mpii")
LEVELS = ("none", "two", "three")
TREES = {"coco": "coco", "mpii": "mpii", "threedpw": "3dpw", "mpi_inf_3dhp": "mpi_inf_3dhp", "amass": "amass"}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that point at generated data sets, body models and weights, as if they had been downloaded."""
    root = tmp_path_factory.mktemp("datasets")
    world = make_world(root, WORLD_SIZES["tiny"], num_workers=0)
    write_standin(root / "body_models")
    for name in ("resnet50", "slim"):
        torch.save(make_backbone(name).state_dict(), root / f"{name}.pth")
    paths = [f"paths.{name}={world / folder}" for name, folder in TREES.items()]
    return [
        *paths, f"pose2d.init_file={root / 'resnet50.pth'}",
        f"paths.body_models={root / 'body_models'}", f"paths.cache={root / 'cache'}",
        f"paths.runs={root / 'runs'}", "mpi_inf_3dhp.frame_step=1", "trainer.accelerator=cpu",
    ]  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_dry_runs(trees: list[str], capsys: pytest.CaptureFixture, dataset: str, level: str) -> None:
    argv = [*trees, "annotate.batch_size=4", f"experiment=annotate_{dataset}_{level}"]
    if level == "none":
        root = Path(trees[-3].partition("=")[2]).parent
        argv.append(f"recipe.init_file={root / 'resnet50.pth'}")
    assert main(["--dry-run", *argv]) == 0
    said = capsys.readouterr().out
    assert "everything is there" in said
    people = sorted([dataset, *(["mpi_inf_3dhp", "threedpw_train"] if level == "three" else [])])
    assert f"a batch of 4 from {people}" in said
    assert "synthetic" not in said


def test_dry_run_names_every_missing_file(trees: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    gone = [f"paths.{name}={tmp_path / name}" for name in (*TREES, "body_models")]
    assert main(["--dry-run", "experiment=annotate_coco_three", *gone, *trees[-4:]]) == 1
    said = capsys.readouterr().out.replace("\n", "")
    for name in ("coco", "threedpw", "mpi_inf_3dhp", "amass", "body_models"):
        assert str(tmp_path / name) in said, name
    assert "datasets/weights/resnet50-imagenet.pth (pose2d.init_file)" in said


@pytest.mark.parametrize("dataset", DATASETS)
def test_all_levels_begin_at_the_same_file(dataset: str) -> None:
    """Or recipe 2 would be compared with ImageNet instead of without it."""
    none, *others = (load_settings([f"experiment=annotate_{dataset}_{level}"])[0] for level in LEVELS)
    assert none.recipe.init == "imagenet" and sources.start_stage(none) is None
    for level in others:
        assert sources.start_stage(level) == "pose2d"
        assert level.pose2d.init_file == none.recipe.init_file
        assert level.model.backbone == none.model.backbone == "resnet50"


def test_annotates_such_a_tree(trees: list[str], capsys: pytest.CaptureFixture) -> None:
    """Each target gets a label table of its own, which says that 3DPW-train helped and that no body was synthetic."""
    argv = ["experiment=annotate_mpii_three", "size=tiny", "annotate.samples=64", "annotate.targets={coco: 1, mpii: 1}"]
    slim = next(text for text in trees if text.startswith("pose2d.init_file")).replace("resnet50", "slim")
    cheap = ["stages=[prior,pose2d,annotate,dump]", "dump.prior_score=false", "dump.mirror=false"]
    assert main([*trees, *argv, *cheap, slim, "wandb.mode=disabled"]) == 0
    assert f"start: 100.0% of the backbone's elements from {slim.partition('=')[2]}" in capsys.readouterr().out
    runs = Path(next(text for text in trees if text.startswith("paths.runs")).partition("=")[2])
    (folder,) = (runs / "annotate_mpii_three").glob("*/labels")
    for name, people in (("coco", 120), ("mpii", 24)):
        table = read_labels(folder / f"{name}-train")
        assert len(table) == people
        assert table.provenance["used_3dpw_train"] is True
        assert table.provenance["synthetic_images"] == []
