"""The command of the project: ``python -m experiments.run [OPTION] [KEY=VALUE ...]``.

Settings come from, later wins: the schema's default, ``size=``, the experiment file, the recipe bundle, the command
line. So ``python -m experiments.run experiment=coco_mini recipe=two annotate.lr=1e-4`` takes its learning rate from
the command line, the start of the backbone from the recipe, the data sets from the experiment, and the rest from the
schema for size=default. ``--print-config`` shows where each value came from.

Exit codes: 0 done, 1 the run failed, 2 wrong settings.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from experiments.cli import fail, run_command

_FLAGS = ("--help", "--list", "--print-config", "--dry-run", "--debug")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments behind the command's name.

    Returns:
        The exit code.
    """
    return run_command(_main, argv)


def _main(argv: Sequence[str]) -> int:
    # Imported here, so that the guard of run_command speaks first.
    from experiments import describe
    from experiments.config import ConfigError, expand_sweep, load_settings, nearest

    flags = ["--help" if argument == "-h" else argument for argument in argv if argument.startswith("-")]
    wrong = [
        f"argument {flag}: unknown option; the nearest is {flag.lstrip('-') if '=' in flag else nearest(flag, _FLAGS)}"
        for flag in flags
        if flag not in _FLAGS
    ]
    if "--help" in flags:
        print(describe.help_text(min(shutil.get_terminal_size().columns, 120)))
        return 0
    if "--list" in flags:
        print(describe.list_text())
        return 0

    try:
        settings, origins = load_settings([argument for argument in argv if not argument.startswith("-")])
    except ConfigError as error:
        if "--debug" in flags:
            raise
        return fail([*wrong, *error.messages], 2)
    if wrong:
        return fail(wrong, 2)
    if "--print-config" in flags:
        runs = ", ".join(label for label, _ in expand_sweep(settings, origins))
        print(f"{describe.config_text(settings, origins)}# runs: {runs}")
        return 0

    from experiments import processes, stages

    if settings.trainer.devices > 1 and "--dry-run" not in flags and not processes.launched_outside():
        return processes.relaunch("experiments.run", argv, settings.trainer.devices)
    return (stages.dry_run(settings, origins) if "--dry-run" in flags else stages.run(settings, origins)) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
