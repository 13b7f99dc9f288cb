"""The README and docs/commands.md are what new users type: their commands, and the snippet, run as written."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from datamodules.pseudo_gt.native import read_provenance
from experiments.__main__ import main as command
from experiments.run import main
from tests.support.detections import write_images, write_openpose
from tests.support.repository import ROOT

_README = (ROOT / "README.md").read_text(encoding="utf-8")
_TYPED = _README + (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
_COMMANDS = list(dict.fromkeys(re.findall(r"\| `python -m experiments\.run\b ?([^`]*)`", _TYPED)))
_TOOLS = list(dict.fromkeys(re.findall(r"\| `python -m experiments ([\w-]+) ?([^`]*)`", _TYPED)))


def test_names_commands() -> None:
    assert len(_COMMANDS) >= 8


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs, and a 2D pose tool's files about them."""
    write_images(tmp_path / "photos")
    write_openpose(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.mark.parametrize("command", _COMMANDS)
def test_command_runs_at_tiny_size(command: str, tiny_run: Path, tiny_folders: list[str], photos: Path) -> None:
    """With --dry-run, as whole runs are tested elsewhere: every key, name and combination must be right."""
    sample = ROOT.parent / "shared" / "samples" / "coco_mini"
    if "FOLDER" in command and not sample.exists():
        pytest.skip("needs the real COCO sample")
    labels = tiny_run / "none" / "labels" / "coco-train"
    places = {"FOLDER": sample, "LABELS": labels, "PHOTOS": photos}
    for placeholder, place in places.items():
        command = command.replace(placeholder, str(place))
    arguments = shlex.split(command)
    keys = [argument for argument in arguments if not argument.startswith("size=")]
    dry = [] if any(argument.startswith("--") for argument in arguments) else ["--dry-run"]
    assert main([*keys, *tiny_folders, *dry]) == 0


@pytest.mark.slow
def test_tools_run_one_after_the_other(
    tiny_run: Path, tiny_folders: list[str], tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds what those before it wrote, as a reader who goes down the table would have it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("PAIRS.npz", pred_joints=rng.normal(size=(5, 24, 3)), gt_joints=rng.normal(size=(5, 24, 3)))
    images = read_provenance(tiny_run / "none" / "labels" / "coco-train")["image_root"]
    places = {
        "runs/default": str(tiny_run),
        "FOLDER": str(Path(images).parent),
        "PHOTOS": str(photos),
        "LABELS2": str(tiny_run / "three" / "labels" / "coco-train"),
        "LABELS": str(tiny_run / "none" / "labels" / "coco-train"),
    }
    assert len(_TOOLS) >= 7
    for name, rest in _TOOLS:
        for placeholder, place in places.items():
            rest = re.sub(rf"\b{placeholder}\b", place, rest)
        arguments = shlex.split(rest)
        if name == "bench":  # takes minutes: its parts are tested in test_bench.py
            arguments = ["--help"]
        if name == "downstream-table":  # an hour: test_downstream.py runs it at size=tiny
            arguments = ["--dry-run", *tiny_folders]
        if name == "runs":
            arguments = [str(tiny_run.parent)]
        assert command([name, *arguments]) == 0, f"{name} {rest}"


def test_ci_runs_the_test_command_as_it_stands_here() -> None:
    """.ci/run takes its command from between these markers, and ends with pytest."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "<!-- test command -->" in script
    block = _README.partition("<!-- test command -->")[2].partition("<!-- end -->")[0]
    (command,) = [line for line in block.splitlines() if line and not line.startswith("```")]
    assert command.endswith("-m pytest")
    assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0


def test_snippet_runs_in_a_plain_trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", _README, re.S)
    lines = [line for line in snippet.splitlines() if line]
    assert len(lines) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})
    assert "coco/train/" in capsys.readouterr().out
