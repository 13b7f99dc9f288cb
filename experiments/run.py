"""The command of the project: ``python -m experiments.run [OPTION] [KEY=VALUE ...]``.

Settings come from, later wins: the schema's default, ``size=``, the experiment file, the recipe bundle, the command
line. So ``python -m experiments.run experiment=coco_mini recipe=two annotate.lr=1e-4`` takes its learning rate from
the command line, the start of the backbone from the recipe, the data sets from the experiment, and the rest from the
schema for size=default. ``--print-config`` shows where each value came from, ``--print-plan`` which stages are made.

Exit codes: 0 done, 1 the run (or one of a grid's runs) failed, 2 wrong settings.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if not __package__:
    sys.exit("error: start it from the project's folder as: python -m experiments.run")

from experiments.cli import fail, run_command

if TYPE_CHECKING:
    from experiments.engine.grid import Cell, Grid

_FLAGS = ("--help", "--list", "--print-config", "--print-plan", "--dry-run", "--debug", "--manifest")
_WITH_VALUE = ("--jobs", "--index", "--cell", "--grid")


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
    from experiments.engine.grid import GridError, check_manifest, grid_of, manifest_text, read_manifest, write_manifest
    from experiments.settings import describing
    from experiments.settings.loading import ConfigError, expand_sweep, load_settings

    flags, values, arguments, wrong = _parse(argv)
    if "--help" in flags:
        print(describing.help_text(min(shutil.get_terminal_size().columns, 120)))
        return 0
    if "--list" in flags:
        print(describing.list_text())
        return 0

    try:
        manifest = read_manifest(values["--grid"]) if "--grid" in values else None
        extra = arguments if manifest else []
        if manifest:
            arguments = [*manifest["arguments"], *arguments]
        settings, origins = load_settings(arguments)
        grid = grid_of(settings, origins, arguments, extra)
        if manifest:
            check_manifest(grid, manifest)
        chosen = values.get("--index", values.get("--cell"))
        cells = grid.cells if chosen is None else [grid.cell(chosen)]
    except (ConfigError, GridError) as error:
        if "--debug" in flags:
            raise
        return fail([*wrong, *str(error).splitlines()], 2)
    if wrong:
        return fail(wrong, 2)
    if "--print-config" in flags:
        runs = ", ".join(label for label, _ in expand_sweep(settings, origins))
        print(f"{describing.config_text(settings, origins)}# runs: {runs}")
        return 0
    if "--manifest" in flags:
        if begun := [cell for cell in grid.cells if cell.folder.is_dir()]:
            from experiments.stages.experiment import check

            check(begun)
        write_manifest(grid)
        print(manifest_text(grid))
        return 0
    if "--print-plan" in flags:
        from experiments.stages.experiment import print_plan

        return print_plan(cells)
    if "--dry-run" in flags:
        from experiments.stages.dry_run import dry_run

        return dry_run(settings, origins)
    return _run(grid, cells, int(values.get("--jobs", settings.grid.parallel)), argv)


def _parse(argv: Sequence[str]) -> tuple[set[str], dict[str, str], list[str], list[str]]:
    """Flags, options with their values, ``KEY=VALUE`` arguments, and what is wrong with the options."""
    from experiments.settings.advice import option_advice
    from experiments.settings.loading import known_keys

    flags: set[str] = set()
    values: dict[str, str] = {}
    arguments, wrong = [], []
    words = iter(argv)
    for word in words:
        name, equals, text = word.partition("=")
        if not word.startswith("-"):
            arguments.append(word)
        elif word in ("-h", *_FLAGS):
            flags.add("--help" if word == "-h" else word)
        elif name in _WITH_VALUE:
            value = text if equals else next(words, "")
            values[name] = value
            if not value:
                wrong.append(f"argument {name}: expected a value behind it")
            elif name == "--jobs" and not (value.isdecimal() and int(value) > 0):
                wrong.append(f"argument {name}: {value!r} is no number of runs above 0; the nearest is 1")
        else:
            advice = option_advice(word, (*_FLAGS, *_WITH_VALUE), known_keys())
            wrong.append(f"argument {word}: unknown option{advice}")
    if {"--index", "--cell"} <= values.keys():
        wrong.append("argument --cell: --index says it already; give one of the two")
    return flags, values, arguments, wrong


def _run(grid: Grid, cells: list[Cell], jobs: int, argv: Sequence[str]) -> int:
    from experiments.engine import processes
    from experiments.stages import experiment

    devices = grid.settings.trainer.devices
    alone = processes.launched_outside()
    if len(cells) > 1 and not alone and (jobs > 1 or devices > 1):
        return experiment.run_side_by_side(grid, jobs)
    if devices > 1 and not alone:
        experiment.check(cells)  # here, so that one process says what is wrong and not all of them
        return processes.relaunch("experiments.run", argv, devices)
    return experiment.run(grid, cells)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
