"""Checks that an experiment could run: builds what it would build, reads a batch of each source, makes nothing long."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from rich.table import Table

from body_models.bodies import open_body
from body_models.contracts import GENDERS
from body_models.safe_pickle import ModelFileError
from callbacks.leakage import LeakageError
from datamodules.files import AnnotationError, ImageError, MissingFilesError
from datamodules.people_module import PeopleDataModule
from datamodules.pseudo_gt.native import LabelError
from datamodules.samplers import SamplingError
from datamodules.sources.poses import check_recordings
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments.engine.artifacts import StageMismatchError, StageRecord
from experiments.engine.pipeline import MissingStageError, Run, check_stages, console
from experiments.settings import sources
from experiments.settings.schema import Settings
from experiments.stages import fitting
from experiments.stages.annotator import annotation_data, build_annotator
from experiments.stages.checks import MissingPackageError, check_exposure, check_loggers, check_mixes, missing_files
from experiments.stages.order import ORDER, runs_of
from experiments.stages.prepare import report_notes
from experiments.stages.regressor import build_regressor, downstream_data
from lightning_modules.backbones.timm_backbone import BackboneError
from lightning_modules.weights.checkpoints import CheckpointError

_REFUSALS = (
    FileNotFoundError, ModelFileError, CheckpointError, BackboneError, AnnotationError, ImageError, LabelError,
    SamplingError,
    StageMismatchError, MissingStageError, LeakageError, MissingPackageError,
)  # fmt: skip
"""What the dry run collects; anything else is a fault of the code."""


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
        found += _missing(partial(check_stages, Run(one.settings, one.label, one.folder), ORDER))
        missing += found or _dry_batches(one)
    for line in dict.fromkeys(missing):
        console.print(f"[red]missing or wrong[/]: {escape(line)}")
    console.print("some files are missing or wrong" if missing else "everything is there")
    return 1 if missing else 0


def _dry_models(one: Run) -> list[str]:
    settings = one.settings
    missing = []
    for gender in GENDERS:
        missing += _missing(partial(open_body, settings.paths.body_models, gender))
    missing += missing_files(settings)
    missing += _missing(partial(check_mixes, one))
    missing += _missing(partial(check_exposure, one))
    missing += _missing(partial(check_loggers, settings))
    if missing:
        return missing
    if one.plan.trains_annotator:
        missing += _missing(partial(_dry_annotator, one))
    if one.plan.fits_bodies and settings.smplify.prior_file is not None:
        missing += _missing(partial(fitting.smplify, one))
    if "downstream" in settings.stages:
        missing += _missing(partial(_dry_regressor, one))
    return missing


def _dry_annotator(one: Run) -> None:
    """Build the annotator with the weights that are files, as its stage does, and without those of earlier stages."""
    recipe = one.settings.recipe
    trains = "annotate" in one.settings.stages
    init = recipe.init if trains and one.plan.init_file is not None else "random"
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
    names = one.plan.used
    missing = []
    if any(sources.is_synthetic(settings, name) for name in names):
        world = Path(settings.paths.data) / "dry-run"
        one.records["world"] = StageRecord(world, {})
        make_world(world / "world", WORLD_SIZES["tiny"], num_workers=1)
    root = one.records["world"].folder / "world" if "world" in one.records else None
    table = Table("source", "people", "dropped", "batch")
    seen: dict[str, str] = {}
    for name in (name for name in names if name != "amass"):

        def read(name: str = name) -> None:
            source = sources.source(settings, root, name)
            data = PeopleDataModule(
                {name: source}, batch_size=2, num_workers=0, input_size=settings.model.input_size,
                cache_dir=settings.paths.cache,
                skip_damaged_images=settings.skip_damaged_images and name not in sources.EVALUATED,
            )  # fmt: skip
            data.setup("fit")
            batch: dict[str, Any] = next(iter(data.train_dataloader()))
            shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in batch.items() if torch.is_tensor(value))
            row = data.describe()[0]
            # Twenty shapes are told once: nearly all sources have the same.
            first = seen.setdefault(shapes, name)
            told = shapes if first == name else f"as {first}"
            table.add_row(name, f"{row['people']:,}", str(row["dropped"] or ""), told)
            report_notes(name, row["notes"])

        missing += _missing(read)
    if "amass" in names:
        amass = Path(sources.root_of(settings, root, "amass"))

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
