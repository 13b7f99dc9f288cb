"""Runs the stages of one experiment: for each run of its sweep, each stage from what the stages before it left.

Shared stages (the world, the prior, the 2D pose network) depend on few settings and lie in the data folder or the
cache, once for all runs that need the same one, and are locked while they are made, so that of several runs at a time
one makes them and the others wait; the stages of a run lie in its folder. See
:mod:`experiments.engine.artifacts` for when a stage is used again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from experiments.engine.artifacts import StageRecord, find_stage, foresee_stage, key_hash, open_stage
from experiments.engine.processes import on_rank_zero, rank
from experiments.engine.state import RunState
from experiments.settings.plan import Plan
from experiments.settings.schema import Settings

console = Console(highlight=False, soft_wrap=True, emoji=False)


@dataclass
class Run:
    """One run of a sweep, and what its stages have made so far.

    Attributes:
        settings: of this run alone.
        label: its name within the sweep, e.g. ``three-seed0``.
        folder: its run folder.
        records: finished stages by name.
        state: what it tells others about itself while it is made.
    """

    settings: Settings
    label: str
    folder: Path
    records: dict[str, StageRecord] = field(default_factory=dict)
    state: RunState = field(init=False)
    _plan: Plan | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.state = RunState(self.folder)

    @property
    def plan(self) -> Plan:
        """What follows from the settings, worked out once."""
        if self._plan is None or self._plan.settings is not self.settings:
            self._plan = Plan(self.settings)
        return self._plan

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
        key: the settings that its results depend on.
        make: does the work in a folder, on every rank, and returns plain outputs (paths relative to the folder).
        shared: data or cache, if runs with equal keys share one folder there.
        single_process: whether only rank zero works.
        folder: its folder in the run folder, if it is not called like the stage.
        implied: made for the stages that need it, named in ``stages=`` or not.
    """

    name: str
    after: tuple[str, ...]
    key: Callable[[Run], dict[str, Any]]
    make: Callable[[Run, Path], dict[str, Any]]
    shared: str | None = None
    single_process: bool = False
    folder: str | None = None
    implied: bool = False

    def selected(self, settings: Settings) -> bool:
        """Whether a run with these settings may make it."""
        return self.implied or self.name in settings.stages


def make_or_reuse(run: Run, stage: Stage) -> None:
    """Make a stage, resume it, or take what is there; the record is then in ``run.records``."""
    if stage.name not in run.plan.reasons:
        return
    folder, key = _place(run, stage)
    with _locked(run, stage, folder):
        _make_or_reuse(run, stage, folder, key)


@dataclass(frozen=True)
class Foreseen:
    """What a run would do with one of its stages.

    Attributes:
        stage: its name.
        reason: what the run needs it for.
        takes: stages whose results it is made from.
        sources: data sets that it reads.
        folder: where its results are, or will be.
        state: "used again", "goes on", "made", or "not selected".
    """

    stage: str
    reason: str
    takes: tuple[str, ...]
    sources: tuple[str, ...]
    folder: Path
    state: str


def foresee_stages(run: Run, stages: Sequence[Stage]) -> Iterator[Foreseen]:
    """Look at the folders of all stages, in their order, before anything is made, and change none of them.

    Args:
        run: without records; those that it has afterwards say where results are, or will be.
        stages: all that there are.

    Yields:
        The stages that the run needs.

    Raises:
        StageMismatchError: a folder holds results of other settings.
        MissingStageError: a stage that is to be made needs one that is neither there nor selected.
    """
    for stage in stages:
        if stage.name in run.plan.reasons:
            yield _foresee(run, stage)


def check_stages(run: Run, stages: Sequence[Stage]) -> list[Foreseen]:
    """All that :func:`foresee_stages` sees, or the error that it raises."""
    return list(foresee_stages(run, stages))


def _foresee(run: Run, stage: Stage) -> Foreseen:
    selected = stage.selected(run.settings)
    folder, key = _place(run, stage)
    record = foresee_stage(folder, key, run.settings.overwrite and selected)
    if selected and not record.complete:
        for name in run.plan.takes(stage.name):
            run.record(name)
    begun = find_stage(folder, key) is not None
    state = "used again" if record.complete else "not selected" if not selected else "goes on" if begun else "made"
    if selected or record.complete:
        run.records[stage.name] = record
    known = [name for name in stage.after if name in run.records]
    takes = dict.fromkeys([*run.plan.takes(stage.name), *known])
    return Foreseen(
        stage.name, run.plan.reasons[stage.name], tuple(takes), tuple(run.plan.sources_of(stage.name)), folder, state
    )


def find_finished(run: Run, stages: Sequence[Stage]) -> bool:
    """Take what is there of some stages, and make nothing.

    Returns:
        Whether all that the run needs, and is to make, is there.
    """
    complete = True
    for stage in stages:
        if stage.name not in run.plan.reasons:
            continue
        folder, key = _place(run, stage)
        if (record := find_stage(folder, key)) is not None and record.complete:
            run.records[stage.name] = record
        elif stage.selected(run.settings):
            complete = False
    return complete


def _place(run: Run, stage: Stage) -> tuple[Path, dict[str, Any]]:
    """Folder of a stage, and the key of its results."""
    key = {
        "settings": stage.key(run),
        "after": {name: run.records[name].hash for name in stage.after if name in run.records},
    }
    if stage.shared is None:
        return run.folder / (stage.folder or stage.name), key
    return Path(getattr(run.settings.paths, stage.shared)) / f"{stage.name}-{key_hash(key)}", key


def _make_or_reuse(run: Run, stage: Stage, folder: Path, key: dict[str, Any]) -> None:
    settings = run.settings
    selected = stage.selected(settings)
    record = on_rank_zero(lambda: open_stage(folder, key, settings.overwrite and selected))
    if record.complete:
        _say(run, stage.name, f"used again from {folder}")
    elif not selected:
        return
    else:
        _say(run, stage.name, f"-> {folder}")
        on_rank_zero(record.save)
        on_rank_zero(partial(run.state.enter_stage, stage.name))
        started = time.monotonic()
        make = partial(stage.make, run, folder)
        record.outputs = on_rank_zero(make) if stage.single_process else make()
        record.seconds += time.monotonic() - started
        record.complete = True
        on_rank_zero(record.save)
        _say(run, stage.name, f"done in {record.seconds:.0f} s")
    run.records[stage.name] = record
    on_rank_zero(partial(run.state.leave_stage, stage.name))


@contextmanager
def _locked(run: Run, stage: Stage, folder: Path) -> Iterator[None]:
    """Let no other run, on any machine that shares the folder, make a shared stage at the same time."""
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    if stage.shared is not None:
        on_rank_zero(partial(_acquire, lock, run, stage))
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, run: Run, stage: Stage) -> None:
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        _say(run, stage.name, "waits for another run that is making it")
        lock.acquire()


def _say(run: Run, stage: str, message: str) -> None:
    if rank() == 0:
        console.print(f"[bold]{run.label}[/] {stage}: {message}")
