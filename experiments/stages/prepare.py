"""The synthetic world, and what the stages share; starts.py has the stages of recipe 2, priors.py those of recipe 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress
from torch.utils.data import DataLoader

from body_models.contracts import Batch
from datamodules.crops import Augmentation
from datamodules.dataset import PeopleDataset, collate
from datamodules.people_module import PeopleDataModule
from datamodules.synthetic.world import VERSION as WORLD_VERSION
from datamodules.synthetic.world import WORLD_SIZES, WorldSettings, distance_table, make_world, read_world
from experiments.engine.artifacts import key_hash
from experiments.engine.data_hashes import content
from experiments.engine.pipeline import Run, Stage, console
from experiments.engine.processes import on_rank_zero, rank
from experiments.settings import sources
from experiments.settings.trainer_flags import result_flags

_CROP_CACHE_BELOW = 100
_SHOWN = 4
_AUGMENT_ALWAYS = ("occlusion", "low_resolution", "blur")
_ANNOTATORS_OWN = ("camera", "head")


def world_folder(run: Run) -> Path | None:
    """Folder of the synthetic world, None where no source comes from it."""
    return run.records["world"].folder / "world" if "world" in run.records else None


def people_settings(run: Run, batch_size: int) -> dict[str, Any]:
    """Arguments that all DataModules over people share."""
    settings = run.settings
    return {
        "input_size": settings.model.input_size,
        "batch_size": batch_size,
        "augment": asdict(Augmentation(**asdict(settings.model.augment)).scaled(settings.model.augmentation)),
        "crop_cache": settings.model.input_size < _CROP_CACHE_BELOW,
        "skip_damaged_images": settings.skip_damaged_images,
        "num_workers": settings.trainer.num_workers,
        "cache_dir": settings.paths.cache,
        "seed": settings.seed,
        "body_models": settings.paths.body_models,
    }


def overlay_people(loader: DataLoader[Any]) -> Batch:
    """People spread over a loader's set, the same in every run, whose overlays show how a training goes."""
    dataset = cast(PeopleDataset, loader.dataset)
    # Those with many joints say most about where a mesh should lie.
    joints = dataset.table.labelled_joints(dataset.spec)
    rows = np.flatnonzero(joints >= np.median(joints))
    places = np.linspace(0, len(rows) - 1, min(_SHOWN, len(rows))).round().astype(int)
    return cast(Batch, collate([dataset[int(row)] for row in rows[places]]))


def report_people(data: PeopleDataModule) -> None:
    """Say who was trained on, and who was left out and why."""
    if rank() != 0:
        return
    for row in data.describe():
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in row["dropped"].items())
        console.print(
            f"  {row['source']}: {row['people']:,} people"
            + (f", {row['trained']:,} trained on" if row["trained"] else "")
            + (f"; left out: {reasons}" if reasons else "")
        )
        report_notes(row["source"], row["notes"])


def report_notes(source: str, notes: list[str]) -> None:
    """Say what its reader found odd in a source."""
    for note in notes:
        console.print(f"  [yellow]{source}[/]: {escape(note)}")


def report_dropped(source: str, dropped: dict[str, int]) -> None:
    """Say how many files of a source without people were passed over, and why."""
    if dropped and rank() == 0:
        console.print(f"  {source}: passed over: " + ", ".join(f"{n:,} {reason}" for reason, n in dropped.items()))


def data_key(run: Run, names: list[str]) -> dict[str, Any]:
    """What a stage reads: synthetic data by the world's hash, the user's by root, content and how it is read."""
    world = f"synthetic {key_hash(_world_key(run))}"
    return {name: world if sources.is_synthetic(run.settings, name) else _users(run, name) for name in names}


def _users(run: Run, name: str) -> dict[str, Any]:
    root = sources.root_of(run.settings, None, name)
    # The first process builds the table of people, all others find it in the cache.
    found = on_rank_zero(partial(content, run.settings, name))
    return {"root": root, "content": found, **sources.reading(run.settings, name)}


def _world_key(run: Run) -> dict[str, Any]:
    return {"world": asdict(_world_settings(run)), "version": WORLD_VERSION}


def in_effect(values: Mapping[str, Any], always: Sequence[str] = ()) -> dict[str, Any]:
    """Weights and shares above 0, for keys: so a term that a later version adds, and that is off, changes no key.

    Args:
        values: name -> weight or share, or limit, where null and false are off.
        always: those that are in a key all the same, because keys of earlier versions hold them.
    """
    is_off = {name: value is None or value is False or value == 0 for name, value in values.items()}
    return {name: value for name, value in values.items() if name in always or not is_off[name]}


def network_key(run: Run) -> dict[str, Any]:
    """What every trained network depends on, beside its own stage's settings."""
    settings = run.settings
    model = {name: value for name, value in asdict(settings.model).items() if name not in _ANNOTATORS_OWN}
    return {
        "model": {**model, "augment": in_effect(model["augment"], _AUGMENT_ALWAYS)},
        "seed": settings.seed,
        "body_models": settings.paths.body_models,
        "precision": settings.trainer.precision,
        **trainer_key(run),
    }


def trainer_key(run: Run) -> dict[str, Any]:
    """Lightning's flags that results depend on; none in the keys of runs without."""
    flags = result_flags(run.settings.trainer.extra)
    return {"trainer": flags} if flags else {}


def _world_settings(run: Run) -> WorldSettings:
    settings = run.settings
    size = settings.size if settings.size in WORLD_SIZES else "default"
    given = {name: count for name, count in asdict(settings.world.counts).items() if count is not None}
    return replace(
        WORLD_SIZES[size],
        seed=settings.world.seed,
        frontal=settings.world.frontal,
        body_models=settings.paths.body_models,
        **given,
    )


def _make_world(run: Run, folder: Path) -> dict[str, Any]:
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console) as progress:
        task = progress.add_task("synthetic world", total=None)
        make_world(
            folder / "world",
            _world_settings(run),
            run.settings.trainer.num_workers,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(distance_table(read_world(folder / "world")))
    return {}


WORLD = Stage(
    name="world",
    after=(),
    key=_world_key,
    make=_make_world,
    shared="data",
    single_process=True,
    implied=True,
)
