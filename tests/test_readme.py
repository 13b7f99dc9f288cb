"""The README is what new users type: its commands and its snippet run as written."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from experiments.run import main

_ROOT = Path(__file__).resolve().parents[1]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_COMMANDS = [command for command in re.findall(r"\| `python -m experiments\.run ?([^`]*)` \|", _README)]


def test_names_commands() -> None:
    assert len(_COMMANDS) >= 8


@pytest.mark.parametrize("command", _COMMANDS)
def test_command_runs_at_tiny_size(command: str, tmp_path: Path, tiny_folders: list[str]) -> None:
    """With --dry-run, as whole runs are tested elsewhere: every key, name and combination must be right."""
    sample = _ROOT.parent / "shared" / "samples" / "coco_mini"
    if "FOLDER" in command and not sample.exists():
        pytest.skip("needs the real COCO sample")
    arguments = shlex.split(command.replace("FOLDER", str(sample)))
    keys = [argument for argument in arguments if not argument.startswith("size=")]
    dry = [] if any(argument.startswith("--") for argument in arguments) else ["--dry-run"]
    assert main([*keys, *tiny_folders, *dry]) == 0


def test_ci_runs_the_test_command_as_it_stands_here() -> None:
    """.ci/run takes its command from between these markers, and ends with pytest."""
    script = (_ROOT / ".ci" / "run").read_text(encoding="utf-8")
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
