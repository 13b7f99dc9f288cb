"""The wrapper of all commands: user errors in a line, exit codes, bugs that are not hidden."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from datamodules.files import AnnotationError, MissingFilesError
from experiments import cli
from experiments.cli import CommandParser, run_command
from tests.support.repository import ROOT


def raises(error: BaseException) -> Callable[[Sequence[str]], int]:
    def main(argv: Sequence[str]) -> int:
        raise error

    return main


def parse(argv: Sequence[str]) -> int:
    parser = CommandParser("look", "Looks at things.")
    parser.add_argument("path")
    return len(parser.parse_args(argv).path)


def test_exit_code_of_the_command() -> None:
    assert run_command(lambda argv: len(argv), ["a", "b"]) == 2
    assert run_command(parse, ["abc"]) == 3


@pytest.mark.parametrize("error", [AnnotationError("x.json is wrong"), FileNotFoundError("x.json is wrong")])
def test_errors_for_users_are_a_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(raises(error), []) == 1
    assert capsys.readouterr().err == "error: x.json is wrong\n"
    with pytest.raises(type(error)):
        run_command(raises(error), ["--debug"])


def test_every_missing_file_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(raises(MissingFilesError(["a.json. Get it", "b.json. Get it"])), []) == 1
    assert capsys.readouterr().err == "error: 2 missing:\n  a.json. Get it\n  b.json. Get it\n"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug"), RuntimeError("a bug")])
def test_bugs_are_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error), match="a bug"):
        run_command(raises(error), [])


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(raises(KeyboardInterrupt()), []) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_wrong_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(parse, ["a", "--wrong"]) == 2
    assert capsys.readouterr().err == (
        "error: unrecognized arguments: --wrong; see python -m experiments look --help\n"
    )
    assert run_command(parse, ["--help"]) == 0
    assert "Looks at things." in (shown := capsys.readouterr().out) and "--debug" in shown


def test_commands_below_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: Sequence[str]) -> int:
        parser = CommandParser("look", "Looks at things.")
        below: argparse._SubParsersAction[CommandParser] = parser.add_subparsers(required=True)
        below.add_parser("closer", help="looks closer").add_argument("--far", type=int, default=0)
        return int(parser.parse_args(argv).far)

    assert run_command(main, ["closer", "--far", "7", "--debug"]) == 7
    assert run_command(main, ["closer", "--far", "x"]) == 2
    assert "see python -m experiments look closer --help" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import sys; from experiments.cli import run_command\n"
        "def main(argv):\n"
        "    for i in range(200_000): print(i)\n"
        "    return 0\n"
        "sys.exit(run_command(main))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_packages_are_this_projects_own(tmp_path: Path) -> None:
    assert cli.shadowed_packages() == []
    problems = cli.shadowed_packages(tmp_path)
    assert len(problems) == len(cli.PACKAGES) and "callbacks" in problems[3] and str(tmp_path) in problems[3]


def test_foreign_package_stops_any_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "shadowed_packages", lambda: ["package callbacks is not ours"])
    assert run_command(raises(AssertionError("must not run")), []) == 2
    assert capsys.readouterr().err == "error: package callbacks is not ours\n"


def test_environment_is_set_before_heavy_imports() -> None:
    code = "import os; os.environ.pop('NO_ALBUMENTATIONS_UPDATE', 0); import experiments.cli; print(dict(os.environ))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={**os.environ})
    assert "'NO_ALBUMENTATIONS_UPDATE': '1'" in done.stdout
