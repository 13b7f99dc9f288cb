"""The command line: options, exit codes, and what reaches the stages."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import run
from experiments.stages import dry_run, experiment


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list:
    """Calls that would have started stages."""
    made: list = []

    def kept(kind: str) -> Callable[[Any, Any], int]:
        return lambda given, more: made.append((kind, getattr(given, "settings", given), more)) or 0

    monkeypatch.setattr(experiment, "check", lambda cells: None)
    monkeypatch.setattr(experiment, "run", kept("run"))
    monkeypatch.setattr(experiment, "run_side_by_side", kept("jobs"))
    monkeypatch.setattr(dry_run, "dry_run", kept("dry"))
    return made


def test_runs_and_dry_runs(calls: list) -> None:
    assert run.main(["size=tiny"]) == 0
    assert run.main(["--dry-run", "seed=3"]) == 0
    assert [(kind, settings.size, settings.seed) for kind, settings, _ in calls] == [
        ("run", "tiny", 0),
        ("dry", "default", 3),
    ]


@pytest.mark.parametrize("option", ["--help", "-h", "--list", "--print-config"])
def test_options_that_only_print(option: str, calls: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([option]) == 0
    printed = capsys.readouterr()
    assert {"--list": "coco_mini", "--print-config": "# runs: none, three"}.get(option, "annotate.lr") in printed.out
    assert not printed.err and not calls


def test_wrong_settings_exit_with_2_and_a_line_each(calls: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["annotate.smaples=3", "size=larg", "--dryrun", "--annotate.lr=3"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all(line.startswith("error: argument ") for line in lines)
    assert any(line.endswith("the nearest is --dry-run") for line in lines)
    assert any(line.endswith("the nearest is annotate.lr=3") for line in lines)
    assert not calls


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        (["--config-name=x"], "write experiment=NAME"),
        (["--multirun"], "write sweep.KEY=[a,b]"),
        (["--seed=3"], "the nearest is seed=3"),
        (["--gpus=3"], "that is trainer.devices"),
    ],
)
def test_options_of_other_programs_are_translated(
    argv: list[str], advice: str, calls: list, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(argv) == 2
    assert advice in capsys.readouterr().err and not calls


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match=r"annotate\.samples"):
        run.main(["annotate.smaples=3", "--debug"])


def test_own_errors_are_one_line_and_bugs_are_not_hidden(
    calls: list, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise FileNotFoundError("no such file")

    def bug(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(experiment, "run", missing)
    assert run.main([]) == 1
    assert capsys.readouterr().err == "error: no such file\n"
    with pytest.raises(FileNotFoundError):
        run.main(["--debug"])
    monkeypatch.setattr(experiment, "run", bug)
    with pytest.raises(ValueError, match="a bug"):
        run.main([])


def test_several_devices_start_torchrun(calls: list, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.engine import processes

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    started: list = []
    monkeypatch.setattr(processes, "relaunch", lambda *arguments: started.append(arguments) or 5)
    assert run.main(["trainer.devices=2", "recipe=none"]) == 5
    assert started == [("experiments.run", ["trainer.devices=2", "recipe=none"], 2)] and not calls
    # Runs of a grid are torchrun jobs of their own, so that one that fails does not stop the others.
    run.main(["trainer.devices=2"])
    assert len(started) == 1 and calls[0][0] == "jobs"


def test_one_run_of_a_grid_by_index_or_label(calls: list, capsys: pytest.CaptureFixture[str]) -> None:
    run.main(["--index", "1"])
    run.main(["--cell=none"])
    run.main([])
    assert [[cell.label for cell in cells] for _, _, cells in calls] == [["three"], ["none"], ["none", "three"]]
    assert run.main(["--index=2"]) == 2 and run.main(["--index", "0", "--cell", "none"]) == 2
    assert run.main(["--jobs", "0"]) == 2 and run.main(["--index"]) == 2
    assert "an index from 0 to 1, or a label of none, three" in capsys.readouterr().err and len(calls) == 3


def test_jobs_run_side_by_side(calls: list) -> None:
    run.main(["--jobs", "3"])
    run.main(["grid.parallel=2"])
    run.main(["grid.parallel=2", "recipe=none"])
    assert [(kind, jobs) for kind, _, jobs in calls[:2]] == [("jobs", 3), ("jobs", 2)] and calls[2][0] == "run"


def test_manifest_gives_the_arguments_back(calls: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = f"paths.runs={tmp_path}"
    assert run.main(["experiment=recipe_grid", "size=tiny", runs, "--manifest"]) == 0
    printed = capsys.readouterr().out
    assert "sbatch --array=0-23" in printed and "r12-seed2" in printed and not calls
    run.main(["--grid", str(tmp_path / "recipe_grid"), "--index", "4", "trainer.num_workers=7"])
    ((_, settings, (cell,)),) = calls
    assert (cell.label, cell.overrides) == ("r1-seed1", ["recipe=r1", "seed=1"])
    assert (settings.size, cell.settings.trainer.num_workers, cell.settings.seed) == ("tiny", 7, 1)
    assert cell.folder == tmp_path / "recipe_grid" / "r1-seed1"
    manifest = tmp_path / "recipe_grid" / "grid.json"
    assert {one["state"] for one in json.loads(manifest.read_text())["runs"]} == {"waiting"}
    manifest.write_text(manifest.read_text().replace("r12-seed2", "other"))
    assert run.main(["--grid", str(manifest), "--index", "4"]) == 2
    assert "write the manifest again" in capsys.readouterr().err
    assert run.main(["--grid", str(manifest), "name=other"]) == 2
    assert "a grid keeps its name" in capsys.readouterr().err
    manifest.write_text("{")
    assert run.main(["--grid", str(manifest)]) == 2 and run.main(["--grid", str(tmp_path)]) == 2
    assert len(calls) == 1


def test_foreign_package_stops_the_command(tmp_path: Path) -> None:
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "__init__.py").write_text("")
    root = Path(run.__file__).parent.parent
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(root)!r}]; from experiments.run import main; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main(['--list']))"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: package callbacks") and len(done.stderr.splitlines()) == 1


def test_help_starts_nothing_heavy() -> None:
    code = (
        "import sys; from experiments.run import main; main(['--help']); "
        "heavy = {'torch', 'cv2', 'wandb', 'matplotlib'} & sys.modules.keys(); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    root = Path(run.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_environment_is_set_before_heavy_imports() -> None:
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1" and os.environ["WANDB_ERROR_REPORTING"] == "false"


def test_the_plan_says_why_and_where_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [f"paths.{name}={tmp_path / name}" for name in ("runs", "cache", "data")]
    common = ["--print-plan", "size=tiny", "name=plan", "recipe=three", "sweep.seed=[0]", *paths]
    assert run.main(common) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "prior: made," in said and "why: recipe.prior=vposer" in said and "generic:" not in said
    assert f"annotate: made, {tmp_path}/runs/plan/seed0/annotate" in said
    assert "from: prior, pose2d; coco, mpii" in said or "from: pose2d, prior; coco, mpii" in said
    assert "downstream.family=hmr on the labels of this run" in said and "the regressor on threedpw" in said
    assert list(tmp_path.iterdir()) == []
    assert run.main([*common, "stages=[dump]"]) == 1
    captured = capsys.readouterr()
    assert "prior: not selected" in captured.out and "stage 'annotate' of seed0 has not been run yet" in captured.err
