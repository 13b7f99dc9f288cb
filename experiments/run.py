"""The command of the project: ``python -m experiments.run [OPTION] [KEY=VALUE ...]``.

Settings come from, later wins: the schema's default, ``size=``, the experiment file, the recipe bundle, the command
line. So ``python -m experiments.run experiment=coco_mini recipe=two annotate.lr=1e-4`` takes its learning rate from
the command line, the start of the backbone from the recipe, the data sets from the experiment, and the rest from the
schema for size=default. ``--print-config`` shows where each value came from.

Exit codes: 0 done, 1 the run failed, 2 wrong settings.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

# Before anything heavy is imported: albumentations asks the network for updates on import, wandb looks up hosts.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
os.environ.setdefault("WANDB_SILENT", "true")

PACKAGES = ("body_models", "datamodules", "lightning_modules", "callbacks", "experiments")
_ROOT = Path(__file__).resolve().parent.parent
_FLAGS = ("--help", "--list", "--print-config", "--dry-run", "--debug")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments behind the command's name.

    Returns:
        The exit code.
    """
    if problems := foreign_packages():
        return _fail(problems, 2)

    # Imported here, so that the guard above speaks first.
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

    debug = "--debug" in flags
    try:
        settings, origins = load_settings([argument for argument in argv if not argument.startswith("-")])
    except ConfigError as error:
        if debug:
            raise
        return _fail([*wrong, *error.messages], 2)
    if wrong:
        return _fail(wrong, 2)
    if "--print-config" in flags:
        runs = ", ".join(label for label, _ in expand_sweep(settings, origins))
        print(f"{describe.config_text(settings, origins)}# runs: {runs}")
        return 0

    from experiments import processes, stages

    if settings.trainer.devices > 1 and "--dry-run" not in flags and not processes.launched_outside():
        return processes.relaunch("experiments.run", argv, settings.trainer.devices)
    try:
        result = stages.dry_run(settings, origins) if "--dry-run" in flags else stages.run(settings, origins)
    except (OSError, ValueError, RuntimeError) as error:
        if debug or not _explains_itself(error):
            raise
        return _fail([str(error)], 1)
    return result or 0


def foreign_packages(root: Path = _ROOT) -> list[str]:
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


def _explains_itself(error: Exception) -> bool:
    """Whether the message is meant for users: errors of the project's own types, and missing or unreadable files."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in PACKAGES


def _fail(messages: Sequence[str], code: int) -> int:
    for message in messages:
        print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
