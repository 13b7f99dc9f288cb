"""One door: every command by its name, quick help, and a word for those who ask for what has moved."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time

import pytest

from experiments.__main__ import main, usage
from experiments.commands import COMMANDS, MOVED
from tests.support.repository import ROOT


def _start(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert name in capsys.readouterr().out
    assert COMMANDS[name].help in usage()
    assert callable(importlib.import_module(COMMANDS[name].module).main)


def test_help_needs_nothing_heavy() -> None:
    """No module of the other floors, and not a second more than Python itself."""
    code = "import sys, experiments.__main__ as door; door.usage(); print({'torch', 'numpy'} & sys.modules.keys())"
    assert _start("-c", code).stdout == "set()\n"
    started = time.monotonic()
    _start("-c", "pass")
    bare = time.monotonic() - started
    started = time.monotonic()
    assert _start("-m", "experiments", "--help").returncode == 0
    assert time.monotonic() - started < bare + 1


def test_a_wrong_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exprot"]) == 2
    assert "the nearest is export" in capsys.readouterr().err
    assert main([]) == 2


@pytest.mark.parametrize("module", MOVED)
def test_old_modules_name_the_command(module: str) -> None:
    done = _start("-m", module, "--help")
    assert done.returncode == 2
    assert done.stderr == f"error: {module} is now a command: python -m experiments {MOVED[module]}\n"
    assert MOVED[module] in COMMANDS


@pytest.mark.parametrize("script", ["experiments/run.py", "experiments/__main__.py"])
def test_a_module_started_as_a_script_says_how(script: str) -> None:
    done = _start(script)
    assert done.returncode != 0
    assert done.stderr.startswith("error: start it from the project's folder as: python -m experiments")
