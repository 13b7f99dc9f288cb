"""The stages in their order, and what is done with them: run an experiment, or check that it could run."""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from rich.table import Table

from body_models.contracts import GENDERS
from body_models.safe_pickle import ModelFileError
from body_models.smpl import BodyModel
from callbacks.run_summary import SUMMARY_FILE
from datamodules.files import AnnotationError, ImageError, MissingFilesError
from datamodules.people_module import PeopleDataModule
from datamodules.pseudo_gt.native import LabelError
from datamodules.samplers import SamplingError
from datamodules.sources.poses import check_recordings
from datamodules.synthetic.world import WORLD_SIZES, make_world
from datamodules.writing import write_text
from experiments.cli import explains_itself, fail
from experiments.engine import grid_jobs, processes
from experiments.engine.artifacts import StageMismatchError, StageRecord
from experiments.engine.grid import Cell, Grid, failure_lines, write_manifest
from experiments.engine.pipeline import MissingStageError, Run, Stage, console, foresee, look_up, perform
from experiments.engine.state import LOG_FILE, RunBusyError
from experiments.provenance.environment import write_environment
from experiments.settings import plan
from experiments.settings.describing import config_text
from experiments.settings.loading import expand_sweep
from experiments.settings.schema import Settings
from experiments.stages import fitting
from experiments.stages.annotator import ANNOTATE, DUMP, annotation_data, build_annotator
from experiments.stages.checks import check_mixes, missing_files, refuse_wrong
from experiments.stages.prepare import WORLD, report_notes
from experiments.stages.priors import MIXTURE, PRIOR
from experiments.stages.regressor import DOWNSTREAM, EVALUATE, build_regressor, downstream_data
from experiments.stages.reporting import compare, summarise
from experiments.stages.starts import GENERIC, POSE2D
from experiments.training.metric_logs import write_metrics
from experiments.training.wandb_runs import sync_command
from lightning_modules.backbones.timm_backbone import BackboneError
from lightning_modules.weights.checkpoints import CheckpointError

_REFUSALS = (
    FileNotFoundError, ModelFileError, CheckpointError, BackboneError, AnnotationError, ImageError, LabelError,
    SamplingError,
    StageMismatchError, MissingStageError,
)  # fmt: skip
"""What the dry run collects; anything else is a fault of the code."""
ORDER: tuple[Stage, ...] = (WORLD, PRIOR, MIXTURE, GENERIC, POSE2D, ANNOTATE, DUMP, DOWNSTREAM, EVALUATE)


def runs_of(settings: Settings, origins: Mapping[str, str]) -> list[Run]:
    """The runs of an experiment, each with its folder; nothing is made yet."""
    root = Path(settings.paths.runs) / settings.name
    return [Run(one, label, root / label) for label, one in expand_sweep(settings, origins)]


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
            foresee(one, ORDER)
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
        if look_up(one, ORDER) and (one.folder / SUMMARY_FILE).is_file() and not grid.settings.overwrite:
            console.print(f"[bold]{cell.label}[/]: finished, used again from {cell.folder}")
        else:
            waiting.append(cell)
    failed = grid_jobs.run_side_by_side(grid, waiting, jobs, grid_jobs.visible_gpus(), console)
    runs = [Run(cell.settings, cell.label, cell.folder) for cell in grid.cells if cell not in failed]
    for one in runs:
        look_up(one, ORDER)
    if "report" in grid.settings.stages and runs:
        compare(grid.settings, runs)
    _say_sync(grid.settings)
    return fail([line for cell in failed for line in failure_lines(cell)], 1) if failed else 0


def _say_plan(cells: Sequence[Cell]) -> None:
    if len(cells) > 1:
        console.print(f"{len(cells)} runs: {', '.join(cell.label for cell in cells)}")


def _say_sync(settings: Settings) -> None:
    if settings.wandb.mode == "offline" and (command := sync_command(settings)):
        console.print(f"Weights & Biases, to send what lies offline: {command}")


def _run_cell(grid: Grid, cell: Cell, one: Run) -> None:
    """All stages of one run, and the files that say what it was."""
    one.state.stages = [stage.name for stage in ORDER if stage.selected(one.settings) and stage.needed(one)]
    with one.state if processes.rank() == 0 else nullcontext():
        processes.on_rank_zero(partial(_write_config, grid, cell))
        try:
            for stage in ORDER:
                perform(one, stage)
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


def _write_manifest(grid: Grid) -> None:
    if grid.is_swept:
        processes.on_rank_zero(partial(write_manifest, grid))


def _keep(error: Exception, cell: Cell) -> list[str]:
    """Say that a run failed, and keep the whole story in its log; returns what is to be said of it at the end."""
    console.print(f"[bold]{cell.label}[/] [red]failed[/]: {escape(str(error) or type(error).__name__)}")
    if isinstance(error, RunBusyError):  # its log is that of the process which makes it
        return [f"{cell.label}: {error}"]
    cell.folder.mkdir(parents=True, exist_ok=True)
    story = str(error) + "\n" if explains_itself(error) else "".join(traceback.format_exception(error))
    with (cell.folder / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(story)
    return failure_lines(cell)


def dry_run(settings: Settings, origins: Mapping[str, str]) -> int:
    """Build what the runs would build, read one batch of each source, and name every file that is missing or wrong.

    Synthetic sources are checked on a tiny world, so that nothing long is made.

    Returns:
        The exit code: 1 if a file is missing or wrong.
    """
    missing: list[str] = []
    for one in runs_of(settings, origins):
        console.print(f"[bold]{one.label}[/] -> {one.folder}")
        one.settings = replace(one.settings, trainer=replace(one.settings.trainer, num_workers=0))
        found = [*_dry_models(one), *_dry_sources(one)]
        found += _missing(partial(foresee, Run(one.settings, one.label, one.folder), ORDER))
        missing += found or _dry_batches(one)
    for line in dict.fromkeys(missing):
        console.print(f"[red]missing or wrong[/]: {escape(line)}")
    console.print("some files are missing or wrong" if missing else "everything is there")
    return 1 if missing else 0


def _write_config(grid: Grid, cell: Cell) -> None:
    write_text(cell.folder / "config.yaml", config_text(cell.settings))
    lines = [
        f"arguments: {json.dumps([*grid.arguments, *grid.extra])}",
        f"cell: {json.dumps(cell.overrides)}",
        f"index: {cell.index}",
    ]
    write_text(cell.folder / "overrides.yaml", "\n".join(lines) + "\n")


def _dry_models(one: Run) -> list[str]:
    settings = one.settings
    missing = []
    for gender in GENDERS:
        missing += _missing(partial(BodyModel, settings.paths.body_models, gender))
    missing += missing_files(settings)
    missing += _missing(partial(check_mixes, one))
    if missing:
        return missing
    if plan.trains_annotator(settings):
        missing += _missing(partial(_dry_annotator, one))
    if plan.fits_bodies(settings) and settings.smplify.prior_file is not None:
        missing += _missing(partial(fitting.smplify, one))
    if "downstream" in settings.stages:
        missing += _missing(partial(_dry_regressor, one))
    return missing


def _dry_annotator(one: Run) -> None:
    """Build the annotator with the weights that are files, as its stage does, and without those of earlier stages."""
    recipe = one.settings.recipe
    trains = "annotate" in one.settings.stages
    init = recipe.init if trains and plan.init_file(one.settings) is not None else "random"
    prior = recipe.prior if trains and recipe.prior in ("gmm", "vposer") and recipe.prior_file is not None else "none"
    settings = replace(one.settings, recipe=replace(recipe, init=init, prior=prior))
    module = build_annotator(Run(settings, one.label, one.folder))
    console.print(f"  annotator: {sum(p.numel() for p in module.parameters()):,} parameters")


def _dry_regressor(one: Run) -> None:
    """Build the regressor and look at the weights that it starts from, if these are in a file."""
    # It takes no memory and no random numbers: the largest have 700 million.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*to a meta parameter.*no-op")
        regressor = build_regressor(one, one.settings.downstream.init_file)
    console.print(f"  downstream: {sum(p.numel() for p in regressor.parameters()):,} parameters")


def _dry_sources(one: Run) -> list[str]:
    settings = one.settings
    names = plan.used(settings)
    missing = []
    if any(plan.is_synthetic(settings, name) for name in names):
        world = Path(settings.paths.data) / "dry-run"
        one.records["world"] = StageRecord(world, {})
        make_world(world / "world", WORLD_SIZES["tiny"], num_workers=1)
    root = one.records["world"].folder / "world" if "world" in one.records else None
    table = Table("source", "people", "dropped", "batch")
    for name in (name for name in names if name != "amass"):

        def read(name: str = name) -> None:
            source = plan.source(settings, root, name)
            data = PeopleDataModule(
                {name: source}, batch_size=2, num_workers=0, input_size=settings.model.input_size,
                cache_dir=settings.paths.cache,
                skip_damaged_images=settings.skip_damaged_images and name not in plan.EVALUATED,
            )  # fmt: skip
            data.setup("fit")
            batch: dict[str, Any] = next(iter(data.train_dataloader()))
            shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in batch.items() if torch.is_tensor(value))
            row = data.describe()[0]
            table.add_row(name, f"{row['people']:,}", str(row["dropped"] or ""), shapes)
            report_notes(name, row["notes"])

        missing += _missing(read)
    if "amass" in names:
        amass = Path(plan.root_of(settings, root, "amass"))

        def look() -> None:
            table.add_row("amass", f"{check_recordings(amass):,} recordings", "", "")

        missing += [f"{line} (paths.amass)" for line in _missing(look)]
    console.print(table)
    return missing


def _dry_batches(one: Run) -> list[str]:
    settings, missing = one.settings, list[str]()
    if {"annotate", "dump"} & set(settings.stages):
        missing += _missing(lambda: _dry_batch("annotate", annotation_data(one)))
    # Without labels= its people are those of labels that are not there yet.
    if "downstream" in settings.stages and settings.labels.folders is not None:
        missing += _missing(lambda: _dry_batch("downstream", downstream_data(one)))
    return missing


def _dry_batch(stage: str, data: PeopleDataModule) -> None:
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    console.print(f"  {stage}: a batch of {len(batch['id'])} from {sorted(set(batch['source']))}")


def _missing(work: Callable[[], object]) -> list[str]:
    """What files are missing or wrong for a piece of work, a line each."""
    try:
        work()
    except MissingFilesError as error:
        return error.missing
    except _REFUSALS as error:
        return [str(error)]
    return []
