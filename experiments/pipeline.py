"""Runs the stages of one experiment: for each run of its sweep, each stage from what the stages before it left.

Shared stages (the world, the prior, the 2D pose network) depend on few settings and lie in the data folder or the
cache, once for all runs that need the same one; the stages of a run lie in its folder. See
:mod:`experiments.artifacts` for when a stage is used again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.artifacts import StageRecord, key_hash, open_stage
from experiments.processes import on_rank_zero, rank
from experiments.settings import Settings

console = Console(highlight=False, soft_wrap=True)


@dataclass
class Run:
    """One run of a sweep, and what its stages have made so far.

    Attributes:
        settings: of this run alone.
        label: its name within the sweep, e.g. ``three-seed0``.
        folder: its run folder.
        records: finished stages by name.
    """

    settings: Settings
    label: str
    folder: Path
    records: dict[str, StageRecord] = field(default_factory=dict)

    def output(self, stage: str, name: str) -> Any:
        """An output of an earlier stage.

        Raises:
            MissingStageError: that stage has not been run.
        """
        return self.record(stage).outputs[name]  # type: ignore[index]

    def path(self, stage: str, name: str) -> Path:
        """An output of an earlier stage that is a path."""
        return self.record(stage).folder / self.output(stage, name)

    def record(self, stage: str) -> StageRecord:
        """What an earlier stage left; raises MissingStageError like the others."""
        if stage not in self.records:
            msg = f"stage {stage!r} of {self.label} has not been run yet: add it to stages=[...]"
            raise MissingStageError(msg)
        return self.records[stage]


class MissingStageError(RuntimeError):
    """A stage needs the results of one that has not been run."""


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: as in ``stages=``.
        after: the stages whose results it may use.
        needed: whether this run uses the stage at all.
        key: the settings that its results depend on.
        make: does the work in a folder, on every rank, and returns plain outputs (paths relative to the folder).
        shared: data or cache, if runs with equal keys share one folder there.
        single_process: whether only rank zero works.
        folder: its folder in the run folder, if it is not called like the stage.
    """

    name: str
    after: tuple[str, ...]
    key: Callable[[Run], dict[str, Any]]
    make: Callable[[Run, Path], dict[str, Any]]
    needed: Callable[[Run], bool] = lambda run: True
    shared: str | None = None
    single_process: bool = False
    folder: str | None = None


def perform(run: Run, stage: Stage) -> None:
    """Make a stage, resume it, or take what is there; the record is then in ``run.records``."""
    if not stage.needed(run):
        return
    key = {
        "settings": stage.key(run),
        "after": {name: run.records[name].hash for name in stage.after if name in run.records},
    }
    settings = run.settings
    folder = run.folder / (stage.folder or stage.name)
    if stage.shared is not None:
        folder = Path(getattr(settings.paths, stage.shared)) / f"{stage.name}-{key_hash(key)}"
    selected = stage.name in settings.stages
    record = on_rank_zero(lambda: open_stage(folder, key, settings.overwrite and selected))
    if record.complete:
        _say(run, stage.name, f"used again from {folder}")
    elif not selected:
        return
    else:
        _say(run, stage.name, f"-> {folder}")
        on_rank_zero(record.save)
        started = time.monotonic()
        make = partial(stage.make, run, folder)
        record.outputs = on_rank_zero(make) if stage.single_process else make()
        record.seconds += time.monotonic() - started
        record.complete = True
        on_rank_zero(record.save)
        _say(run, stage.name, f"done in {record.seconds:.0f} s")
    run.records[stage.name] = record


def _say(run: Run, stage: str, message: str) -> None:
    if rank() == 0:
        console.print(f"[bold]{run.label}[/] {stage}: {message}")
