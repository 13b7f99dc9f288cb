"""Grids at size=tiny: the eight combinations by one command, failures that stop nobody, runs by index and at once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import wandb
import yaml

from datamodules.pseudo_gt.native import read_labels
from experiments.engine.grid import grid_of
from experiments.engine.state import read_state
from experiments.run import main
from experiments.settings.loading import load_settings

CELLS = {
    "none": (False, "generic", "none"),
    "r1": (True, "generic", "none"),
    "r2": (False, "pose2d", "none"),
    "r3": (False, "generic", "vposer"),
    "r12": (True, "pose2d", "none"),
    "r13": (True, "generic", "vposer"),
    "two": (False, "pose2d", "vposer"),
    "three": (True, "pose2d", "vposer"),
}
QUICK = ["wandb.mode=disabled", "report.people=0", "evaluate.bootstrap=10"]


def folder_of(arguments: list[str], name: str) -> Path:
    return Path(next(a for a in arguments if a.startswith("paths.runs")).partition("=")[2]) / name


def test_recipe_grid_has_every_combination() -> None:
    settings, origins = load_settings(["experiment=recipe_grid"])
    grid = grid_of(settings, origins, ["experiment=recipe_grid"])
    assert [cell.index for cell in grid.cells] == list(range(24)) and grid.folder == Path("runs/recipe_grid")
    for cell in grid.cells:
        name, _, seed = cell.label.partition("-seed")
        recipe = cell.settings.recipe
        assert CELLS[name] == (bool(recipe.auxiliary), recipe.init.removesuffix("_coco"), recipe.prior)
        assert (cell.settings.seed, cell.overrides) == (int(seed), [f"recipe={name}", f"seed={seed}"])
        assert grid.cell(cell.label) is cell is grid.cell(str(cell.index))


@pytest.mark.slow
def test_recipe_grid_runs_by_one_command(tiny_folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """All eight recipes, each with what it needs; what they share is made once; a second start makes nothing."""
    arguments = [*tiny_folders, "experiment=recipe_grid", "sweep.seed=[0]", *QUICK]
    assert main(arguments) == 0
    folder = folder_of(tiny_folders, "recipe_grid")
    manifest = json.loads((folder / "grid.json").read_text())
    assert manifest["arguments"] == arguments
    assert [run["label"] for run in manifest["runs"]] == [f"{name}-seed0" for name in CELLS]
    assert {run["state"] for run in manifest["runs"]} == {"finished"}
    printed = capsys.readouterr().out
    for shared in ("world", "prior", "pose2d"):
        assert sum(f" {shared}: done in" in line for line in printed.splitlines()) <= 1
    stages = {name: set(read_state(folder / f"{name}-seed0")["done"]) for name in CELLS}
    assert {"prior" in stages[name] for name in ("r3", "r13", "two", "three")} == {True}
    assert {"pose2d" in stages[name] for name in ("none", "r1", "r3", "r13")} == {False}
    assert all((folder / name).is_file() for name in ("report.html", "table.csv"))

    weights = {name: (folder / f"{name}-seed0" / "annotate" / "final.ckpt").stat().st_mtime_ns for name in CELLS}
    assert main([*arguments, "--index", "4"]) == 0
    assert "done in" not in capsys.readouterr().out
    assert weights == {
        name: (folder / f"{name}-seed0" / "annotate" / "final.ckpt").stat().st_mtime_ns for name in CELLS
    }


def test_run_leaves_everything_that_says_what_it_was(tiny_run: Path) -> None:
    run = tiny_run / "three"
    settings, _ = load_settings([f"experiment={run / 'config.yaml'}"])
    assert settings.recipe.name == "three" and settings.size == "tiny"
    overrides = yaml.safe_load((run / "overrides.yaml").read_text())
    assert overrides["cell"] == ["recipe=three"] and overrides["index"] == 1 and "size=tiny" in overrides["arguments"]
    environment = json.loads((run / "environment.json").read_text())
    assert environment["versions"]["torch"] and environment["hardware"]["processes"] == 1
    assert environment["body_model"] == {"free": True, "files": {}}
    assert set(environment["data"]) >= {"coco", "mpii", "threedpw_train", "threedpw_test", "amass"}
    assert all(source["synthetic"] for source in environment["data"].values())
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["stage"] for row in rows} >= {"prior", "pose2d", "annotate", "dump", "downstream", "evaluate"}
    trained = [row for row in rows if row["stage"] == "annotate"]
    assert [int(row["step"]) for row in trained] == sorted(int(row["step"]) for row in trained)
    assert all(float(row["train/all/loss"]) > 0 for row in trained if row["train/all/loss"])
    assert "mean pose" in (run / "table.md").read_text()
    assert len(read_labels(run / "labels" / "coco-train", ["id"])) == 120


def test_failed_run_does_not_stop_the_others(
    tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*tiny_folders, "name=failing", "experiment=base", "recipe=none", "sweep.recipe.init=file,random"]
    broken = tmp_path / "weights.pt"
    broken.write_bytes(b"no weights")
    start = [*arguments, f"recipe.init_file={broken}", "stages=world,annotate", *QUICK]
    assert main(start) == 1
    folder = folder_of(tiny_folders, "failing")
    states = {run["label"]: run["state"] for run in json.loads((folder / "grid.json").read_text())["runs"]}
    assert states == {"init=file": "failed", "init=random": "finished"}
    error = capsys.readouterr().err
    assert error.startswith("error: init=file: ") and str(broken) in error and "log.txt" in error
    assert str(broken) in (folder / "init=file" / "log.txt").read_text()
    # Alone it fails with its own message, and stays failed.
    assert main([*start, "--cell", "init=file"]) == 1
    assert read_state(folder / "init=file")["state"] == "failed"


@pytest.mark.slow
def test_runs_side_by_side_share_what_one_of_them_makes(
    tiny_folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes at once: one makes the world, the other waits for it; each has its own log."""
    folders = [f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "data")]
    arguments = ["size=tiny", *folders, "trainer.accelerator=cpu", "name=pair", "stages=world,mixture", *QUICK]
    assert main([*arguments, "experiment=base", "sweep.recipe=none,r3", "--jobs", "2"]) == 0
    folder = tmp_path / "runs" / "pair"
    logs = [(folder / label / "log.txt").read_text() for label in ("none", "r3")]
    assert sum("world: done in" in log for log in logs) == 1
    assert sum("world: used again from" in log for log in logs) == 1
    manifest = json.loads((folder / "grid.json").read_text())
    assert {run["state"] for run in manifest["runs"]} == {"finished"}
    capsys.readouterr()
    # What is asked of one run alone is not asked of the next.
    assert main(["--grid", str(folder), "--index", "1", "stages=world"]) == 0
    assert json.loads((folder / "grid.json").read_text())["arguments"] == manifest["arguments"]
    assert "stages=world" in yaml.safe_load((folder / "r3" / "overrides.yaml").read_text())["arguments"]
    capsys.readouterr()
    assert main([*arguments, "experiment=base", "sweep.recipe=none,r3", "--jobs", "2"]) == 0
    assert capsys.readouterr().out.count("finished, used again") == 2


@pytest.fixture(autouse=True)
def no_open_wandb_run() -> None:
    """A test that fails in the middle of a stage leaves a W&B run open, which the next would continue."""
    if wandb.run is not None:
        wandb.finish()
