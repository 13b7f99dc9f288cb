"""The stages in their order, and what is done with them: run an experiment, or check that it could run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from body_models.contracts import GENDERS
from body_models.safe_pickle import ModelFileError
from body_models.smpl import BodyModel
from datamodules.files import MissingFilesError
from datamodules.people_module import PeopleDataModule
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments import processes, sources
from experiments.artifacts import StageRecord
from experiments.config import expand_sweep
from experiments.describe import config_text
from experiments.pipeline import Run, Stage, console, perform
from experiments.settings import Settings
from experiments.stages.annotator import ANNOTATE, DUMP, annotation_data, build_annotator
from experiments.stages.prepare import MIXTURE, POSE2D, PRIOR, WORLD
from experiments.stages.regressor import DOWNSTREAM, EVALUATE
from experiments.stages.reporting import compare, summarise

ORDER: tuple[Stage, ...] = (WORLD, PRIOR, MIXTURE, POSE2D, ANNOTATE, DUMP, DOWNSTREAM, EVALUATE)


def runs_of(settings: Settings, origins: Mapping[str, str]) -> list[Run]:
    """The runs of an experiment, each with its folder; nothing is made yet."""
    root = Path(settings.paths.runs) / settings.name
    return [Run(one, label, root / label) for label, one in expand_sweep(settings, origins)]


def run(settings: Settings, origins: Mapping[str, str]) -> int:
    """Run every selected stage of every run, then compare the runs.

    Returns:
        The exit code, 0.
    """
    processes.join(settings.trainer.accelerator)
    try:
        runs = runs_of(settings, origins)
        for one in runs:
            processes.on_rank_zero(partial(_write_config, one))
            for stage in ORDER:
                perform(one, stage)
            processes.on_rank_zero(partial(summarise, one))
        if "report" in settings.stages:
            processes.on_rank_zero(lambda: compare(settings, runs))
    finally:
        processes.leave()
    return 0


def dry_run(settings: Settings, origins: Mapping[str, str]) -> int:
    """Build what the runs would build, read one batch of each source, and name every file that is missing.

    Synthetic sources are checked on a tiny world, so that nothing long is made.

    Returns:
        The exit code: 1 if a file is missing.
    """
    missing: list[str] = []
    for one in runs_of(settings, origins):
        console.print(f"[bold]{one.label}[/] -> {one.folder}")
        one.settings = replace(one.settings, trainer=replace(one.settings.trainer, num_workers=0))
        missing += _dry_models(one)
        missing += _dry_sources(one)
    for line in dict.fromkeys(missing):
        console.print(f"[red]missing[/]: {line}")
    console.print("some files are missing" if missing else "everything is there")
    return 1 if missing else 0


def _write_config(one: Run) -> None:
    one.folder.mkdir(parents=True, exist_ok=True)
    (one.folder / "config.yaml").write_text(config_text(one.settings), encoding="utf-8")


def _dry_models(one: Run) -> list[str]:
    settings = one.settings
    missing = []
    for gender in GENDERS:
        missing += _missing(partial(BodyModel, settings.paths.body_models, gender))
    given = {"recipe.init_file": settings.recipe.init_file, "recipe.prior_file": settings.recipe.prior_file}
    for key, path in given.items():
        if path is not None and not Path(path).is_file():
            missing.append(f"{path} ({key})")
    if not missing:
        # Without the weights of earlier stages, which are not there yet.
        recipe = replace(settings.recipe, init="random", prior="none")
        module = build_annotator(Run(replace(settings, recipe=recipe), one.label, one.folder))
        console.print(f"  annotator: {sum(p.numel() for p in module.parameters()):,} parameters")
    return missing


def _dry_sources(one: Run) -> list[str]:
    settings = one.settings
    names = sources.used(settings)
    missing = []
    if any(sources.is_synthetic(settings, name) for name in names):
        world = Path(settings.paths.data) / "dry-run"
        one.records["world"] = StageRecord(world, {})
        make_world(world / "world", WORLD_SIZES["tiny"], num_workers=1)
    root = one.records["world"].folder / "world" if "world" in one.records else None
    table = Table("source", "people", "dropped", "batch")
    for name in (name for name in names if name != "amass"):

        def read(name: str = name) -> None:
            source = sources.source(settings, root, name)
            data = PeopleDataModule(
                {name: source}, batch_size=2, num_workers=0, input_size=settings.model.input_size,
                cache_dir=settings.paths.cache,
            )  # fmt: skip
            data.setup("fit")
            batch: dict[str, Any] = next(iter(data.train_dataloader()))
            shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in batch.items() if torch.is_tensor(value))
            row = data.describe()[0]
            table.add_row(name, f"{row['people']:,}", str(row["dropped"] or ""), shapes)

        missing += _missing(read)
    if "amass" in names and not Path(sources.root_of(settings, root, "amass")).is_dir():
        missing.append(f"{sources.root_of(settings, root, 'amass')} (paths.amass)")
    console.print(table)
    if not missing:
        data = annotation_data(one)
        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        console.print(f"  annotate: a batch of {len(batch['id'])} from {sorted(set(batch['source']))}")
    return missing


def _missing(work: Callable[[], object]) -> list[str]:
    try:
        work()
    except MissingFilesError as error:
        return error.missing
    except (FileNotFoundError, ModelFileError) as error:
        return [str(error)]
    return []
