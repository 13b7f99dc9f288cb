"""The list of runs: state, progress and metrics, quick for many."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.commands.runs import list_runs
from experiments.engine.grid import MANIFEST, VERSION
from experiments.engine.state import RunState
from tests.support.repository import ROOT

LABELS = [f"r{i}-seed{seed}" for i in range(32) for seed in range(2)]
SAW, TOLD_NOTHING = 10, 12


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 runs of a grid: the first running, one failed, one interrupted, one waiting, the others finished."""
    folder = tmp_path_factory.mktemp("runs") / "grid"
    for i, label in enumerate(LABELS[:-1]):
        state = RunState(folder / label)
        state.stages = ["annotate", "dump"]
        with state:
            state.leave_stage("annotate")
            state.leave_stage("dump")
        (folder / label / "config.yaml").write_text("seed: 0\n")
        metrics = {"pseudo_gt/smpl24_pa_mpjpe": {"value": 100.0 + i, "low": None, "high": None}}
        summary = {"recipe": {"name": "three"}, "seed": i % 2, "seconds": {"annotate": 75.0}, "metrics": metrics}
        if i != TOLD_NOTHING:
            summary["used_3dpw_train"] = i == SAW
        (folder / label / "summary.json").write_text(json.dumps(summary))
        (folder / label / "labels" / "coco-train").mkdir(parents=True)
    for label, change in (
        (LABELS[0], {"state": "running", "stage": "annotate", "step": 30, "steps": 1500, "host": "x", "time": 9e9}),
        (LABELS[1], {"state": "failed", "error": "no such file"}),
        (LABELS[2], {"state": "running", "time": 0}),
    ):
        path = folder / label / "state.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    cells = [{"label": label, "folder": label} for label in LABELS]
    (folder / MANIFEST).write_text(json.dumps({"version": VERSION, "runs": cells}))
    return folder


def test_states_progress_and_metrics(
    many: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert list_runs.main([str(many.parent), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["label"] for run in found] == LABELS
    states = [run["state"] for run in found]
    assert states[:3] == ["running", "failed", "interrupted"] and states[-1] == "waiting"
    assert set(states[3:-1]) == {"finished"}
    assert found[0]["step"] == 30 and found[0]["done"] == ["annotate", "dump"]
    assert found[5]["metrics"] == {"pseudo_gt/smpl24_pa_mpjpe": 105.0} and found[5]["seconds"] == 75.0
    assert list_runs.main([str(many)]) == 0
    printed = capsys.readouterr().out
    for text in ("annotate 30/1,500", "no such file", "105.0", "1 min 15 s", "60 finished", "1 waiting", "2/2"):
        assert text in printed
    rows = [line for line in printed.splitlines() if "grid/r" in line]
    assert [line.split()[1] for line in rows if "*" in line] == [f"grid/{LABELS[SAW]}*"]
    assert [line.split()[1] for line in rows if "?" in line] == [f"grid/{LABELS[TOLD_NOTHING]}?"]
    assert "* trained with help of 3DPW's training set" in printed and "? not known whether" in printed
    assert [run["used_3dpw_train"] for run in found[10:13]] == [True, False, None]


def test_64_runs_within_a_second(many: Path) -> None:
    started = time.process_time()
    assert len([list_runs.describe_run(folder) for folder in list_runs.find_runs(many)]) == 64
    assert time.process_time() - started < 0.5
    code = f"import sys, {list_runs.__name__}; sys.exit(bool({{'torch', 'wandb', 'pyarrow'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_single_run_and_no_run(many: Path, tmp_path: Path) -> None:
    assert list_runs.find_runs(many / LABELS[4]) == [many / LABELS[4]]
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="no runs in"):
            list_runs.find_runs(folder)


def test_run_of_an_older_version(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    assert list_runs.describe_run(tmp_path)["state"] == "interrupted"
    (tmp_path / "summary.json").write_text('{"recipe": {"name": "a"}, "seed": 1, "seconds": {}, "metrics": {}}')
    assert list_runs.describe_run(tmp_path)["state"] == "finished"
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ValueError, match=r"summary\.json is not valid JSON"):
        list_runs.describe_run(tmp_path)
