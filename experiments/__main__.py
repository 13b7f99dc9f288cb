"""The door to every command: ``python -m experiments COMMAND [ARGUMENT ...]``, or ``three-recipes COMMAND ...``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

if not __package__:
    sys.exit("error: start it from the project's folder as: python -m experiments")

from body_models.names import guess
from experiments.cli import fail, run_command
from experiments.commands import COMMANDS

_USAGE = """usage: three-recipes COMMAND [ARGUMENT ...]   (or: python -m experiments COMMAND ...)

Better 3D pseudo-ground-truths of human meshes for in-the-wild images.

commands:
{commands}

three-recipes COMMAND --help explains a command. The main job is three-recipes run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: its name and its arguments; of this process if None.

    Returns:
        The exit code: of the command, or 2 where there is none of that name.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    name, *arguments = words
    if name not in COMMANDS:
        return fail([f"no command {name}{guess(name, COMMANDS)}; three-recipes --help lists all"], 2)
    return run_command(lambda rest: _start(name, rest), arguments)


def usage() -> str:
    """What ``--help`` prints: every command with a line."""
    width = max(map(len, COMMANDS))
    return _USAGE.format(commands="\n".join(f"  {name:<{width}}  {one.help}" for name, one in COMMANDS.items()))


def _start(name: str, arguments: Sequence[str]) -> int:
    code: int = importlib.import_module(COMMANDS[name].module).main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
