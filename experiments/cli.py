"""What every command shares: environment, guards, user errors in one line, exit codes.

A command is a module with a line in ``experiments.commands.COMMANDS``::

    def main(argv: Sequence[str]) -> int:
        arguments = CommandParser("inspect", __doc__).parse_args(argv)
        from datamodules.sources import open_source  # here, so that --help is quick and the guard speaks first
        ...
        return 0

Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 interrupted, 143 ended by SIGTERM.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

# Before anything heavy is imported: albumentations asks the network for updates on import, wandb looks up hosts.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
os.environ.setdefault("WANDB_SILENT", "true")

PACKAGES = ("body_models", "datamodules", "lightning_modules", "callbacks", "experiments")
_ROOT = Path(__file__).resolve().parent.parent
DEBUG = "--debug"


class CommandParser(argparse.ArgumentParser):
    """Parser of a command: its module's docstring as help, ``--debug``, and errors as ``error: ...`` with exit code 2.

    Args:
        name: of the command.
        doc: the module's docstring.
    """

    def __init__(self, name: str = "", doc: str | None = None, **options: Any) -> None:
        # Parsers of sub-commands are made by argparse itself, with a prog instead of a name.
        options.setdefault("prog", f"python -m experiments {name}")
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("description", doc)
        super().__init__(**options)
        self.add_argument(DEBUG, action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and stop."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def run_command(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command; errors that are meant for users become a line each.

    Args:
        main: takes the arguments behind the command's name, returns the exit code.
        argv: those arguments; of this process if None. With ``--debug`` among them errors are raised.

    Returns:
        The exit code.
    """
    arguments = [_expand_home(word) for word in (sys.argv[1:] if argv is None else argv)]
    if problems := shadowed_packages():
        return fail(problems, 2)
    try:
        code = main(arguments)
        # Here, where a reader that went away can still be handled.
        sys.stdout.flush()
        return code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        if DEBUG in arguments:
            raise
        return fail(["interrupted"], 130)
    except BrokenPipeError:
        # The reader of a pipe (head) has what it wanted; Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        if DEBUG in arguments or not is_user_error(error):
            raise
        return fail([str(error)], 1)


def _expand_home(word: str) -> str:
    """An argument with ``~`` as the home folder also where no shell expands it: behind the ``=`` of an option."""
    option, equals, value = word.partition("=")
    if equals and value.startswith("~"):
        return f"{option}={os.path.expanduser(value)}"
    return os.path.expanduser(word) if word.startswith("~/") else word


def is_user_error(error: Exception) -> bool:
    """Whether the message is meant for users: errors of the project's own types, and missing or unreadable files."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in PACKAGES


def fail(messages: Sequence[str], code: int) -> int:
    """Print a line for each error; returns the exit code."""
    for message in messages:
        print(f"error: {message}", file=sys.stderr)
    return code


def shadowed_packages(root: Path = _ROOT) -> list[str]:
    """Packages of this project that Python would take from somewhere else (``callbacks`` is a common name).

    Args:
        root: the folder that this file's package lies in.

    Returns:
        A line for each such package, saying where it would come from and what to do.
    """
    problems = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        places = [str(Path(place).resolve()) for place in (spec.submodule_search_locations or [])] if spec else []
        if places != [str(root / name)]:
            found = ", ".join(places) or (spec.origin if spec else "nowhere")
            problems.append(
                f"package {name} would be imported from {found} instead of {root / name}: "
                f"start from {root}, or uninstall the other package"
            )
    return problems
