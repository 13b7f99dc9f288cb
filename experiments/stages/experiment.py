"""Runs an experiment: every selected stage of every run, one after the other or side by side, then the comparison."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

from rich.markup import escape

from callbacks.run_summary import SUMMARY_FILE
from datamodules.files import ImageError
from datamodules.writing import write_text
from experiments.cli import fail, is_user_error
from experiments.engine import grid_jobs, processes
from experiments.engine.grid import Cell, Grid, failure_lines, write_manifest
from experiments.engine.pipeline import Run, check_stages, console, find_finished, foresee_stages, make_or_reuse
from experiments.engine.state import LOG_FILE, RunBusyError
from experiments.provenance.environment import write_environment
from experiments.settings.describing import config_text
from experiments.settings.schema import Settings
from experiments.stages.checks import refuse_wrong
from experiments.stages.order import ORDER
from experiments.stages.reporting import compare, summarise
from experiments.training.metric_logs import write_metrics
from experiments.training.wandb_runs import sync_command


def check(cells: Sequence[Cell]) -> None:
    """Refuse runs that cannot be made, before anything of any of them is made or written.

    Every process looks for itself, because they read data sets together.

    Raises:
        StageMismatchError: a run's folder holds results of other settings.
        MissingStageError: a stage needs one that is neither there nor selected.
        SystemExit: the same in processes other than the first, which says it for all.
        Exception: of :func:`experiments.stages.checks.refuse_wrong`, and of readers of data sets and labels.
    """
    try:
        for cell in cells:
            one = Run(cell.settings, cell.label, cell.folder)
            refuse_wrong(one)
            check_stages(one, ORDER)
    except Exception:
        if processes.rank() > 0:
            sys.exit(1)
        raise


def run(grid: Grid, cells: Sequence[Cell]) -> int:
    """Run every selected stage of some runs of a grid, one after the other, then compare the runs.

    A run that fails does not stop the others, unless several processes work on it: they would wait for each other.

    Returns:
        The exit code: 1 if a run failed.
    """
    processes.join(grid.settings.trainer.accelerator)
    made: list[Run] = []
    failed: list[str] = []
    try:
        check(cells)
        processes.on_rank_zero(partial(_say_plan, cells))
        _write_manifest(grid)
        for cell in cells:
            one = Run(cell.settings, cell.label, cell.folder)
            try:
                _run_cell(grid, cell, one)
                made.append(one)
            except Exception as error:
                if len(cells) == 1 or processes.world_size() > 1:
                    raise
                failed += _keep(error, cell)
            finally:
                _write_manifest(grid)
        if "report" in grid.settings.stages and made and len(cells) == len(grid.cells):
            processes.on_rank_zero(partial(compare, grid.settings, made))
        if len(cells) == len(grid.cells):
            processes.on_rank_zero(partial(_say_sync, grid.settings))
    finally:
        processes.leave()
    return fail(failed, 1) if failed else 0


def run_side_by_side(grid: Grid, jobs: int) -> int:
    """Run all runs of a grid that are not finished, several at a time, each in a process of its own.

    Returns:
        The exit code: 1 if a run failed.
    """
    check(grid.cells)
    _say_plan(grid.cells)
    write_manifest(grid)
    waiting = []
    for cell in grid.cells:
        one = Run(cell.settings, cell.label, cell.folder)
        if find_finished(one, ORDER) and (one.folder / SUMMARY_FILE).is_file() and not grid.settings.overwrite:
            console.print(f"[bold]{cell.label}[/]: finished, used again from {cell.folder}")
        else:
            waiting.append(cell)
    failed = grid_jobs.run_side_by_side(grid, waiting, jobs, grid_jobs.visible_gpus(), console)
    runs = [Run(cell.settings, cell.label, cell.folder) for cell in grid.cells if cell not in failed]
    for one in runs:
        find_finished(one, ORDER)
    if "report" in grid.settings.stages and runs:
        compare(grid.settings, runs)
    _say_sync(grid.settings)
    return fail([line for cell in failed for line in failure_lines(cell)], 1) if failed else 0


def print_plan(cells: Sequence[Cell]) -> int:
    """Print which stages each run would go through: why, from what, into which folder, made or used again.

    Nothing is made. Data sets of the user are looked at, because a stage's folder depends on their content.

    Returns:
        The exit code: 1 if a run would be refused.
    """
    refused: list[str] = []
    for cell in cells:
        one = Run(cell.settings, cell.label, cell.folder)
        console.print(f"[bold]{escape(cell.label)}[/]")
        try:
            refuse_wrong(one)
            for seen in foresee_stages(one, ORDER):
                stages, data = ", ".join(seen.takes) or "no stage", ", ".join(seen.sources) or "no data set"
                console.print(f"  [bold]{seen.stage}[/]: {seen.state}, {escape(str(seen.folder))}")
                console.print(f"    why: {escape(seen.reason)}\n    from: {stages}; {data}")
        except Exception as error:
            if not is_user_error(error):
                raise
            refused.append(f"{cell.label}: {error}")
    return fail(refused, 1) if refused else 0


def _say_plan(cells: Sequence[Cell]) -> None:
    if len(cells) > 1:
        console.print(f"{len(cells)} runs: {', '.join(cell.label for cell in cells)}")


def _say_sync(settings: Settings) -> None:
    if settings.wandb.mode == "offline" and (command := sync_command(settings)):
        console.print(f"Weights & Biases, to send what lies offline: {command}")


def _run_cell(grid: Grid, cell: Cell, one: Run) -> None:
    """All stages of one run, and the files that say what it was."""
    one.state.stages = [
        stage.name for stage in ORDER if stage.selected(one.settings) and stage.name in one.plan.reasons
    ]
    with one.state if processes.rank() == 0 else nullcontext():
        processes.on_rank_zero(partial(_write_config, grid, cell))
        try:
            for stage in ORDER:
                make_or_reuse(one, stage)
        except ImageError as error:
            hint = "skip_damaged_images=true leaves such people out of training and labels"
            raise error if one.settings.skip_damaged_images else ImageError(f"{error}; {hint}") from error
        processes.on_rank_zero(partial(_conclude, one))


def _conclude(one: Run) -> None:
    summarise(one)
    write_environment(one)
    write_metrics(one)
    if "report" in one.settings.stages:
        compare(one.settings, [one], one.folder)


def _write_config(grid: Grid, cell: Cell) -> None:
    write_text(cell.folder / "config.yaml", config_text(cell.settings))
    lines = [
        f"arguments: {json.dumps([*grid.arguments, *grid.extra])}",
        f"cell: {json.dumps(cell.overrides)}",
        f"index: {cell.index}",
    ]
    write_text(cell.folder / "overrides.yaml", "\n".join(lines) + "\n")


def _write_manifest(grid: Grid) -> None:
    if grid.is_swept:
        processes.on_rank_zero(partial(write_manifest, grid))


def _keep(error: Exception, cell: Cell) -> list[str]:
    """Say that a run failed, and keep the whole story in its log; returns what is to be said of it at the end."""
    console.print(f"[bold]{cell.label}[/] [red]failed[/]: {escape(str(error) or type(error).__name__)}")
    if isinstance(error, RunBusyError):  # its log is that of the process which makes it
        return [f"{cell.label}: {error}"]
    cell.folder.mkdir(parents=True, exist_ok=True)
    story = str(error) + "\n" if is_user_error(error) else "".join(traceback.format_exception(error))
    with (cell.folder / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(story)
    return failure_lines(cell)
