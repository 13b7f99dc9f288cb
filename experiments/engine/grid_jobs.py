"""Runs of a grid side by side on one machine: each in a process and a log file of its own, one table of progress."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from experiments.engine.grid import Cell, Grid, write_manifest
from experiments.engine.state import FAILED, FINISHED, LOG_FILE, RUNNING, WAITING, mark_failed, read_state

_LOOK_SECONDS = 1.0
# After which a run that was asked to stop is ended.
_STOP_SECONDS = 20.0


@dataclass
class _Job:
    """A running process: its cell, its place among those that run at once, and its open log."""

    cell: Cell
    place: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]


def run_side_by_side(grid: Grid, cells: Sequence[Cell], jobs: int, gpus: Sequence[str], console: Console) -> list[Cell]:
    """Run cells, each as ``python -m experiments.run --grid FOLDER ... --index N``, until all have ended.

    Args:
        grid: that the cells belong to.
        cells: to run, in order.
        jobs: how many at a time.
        gpus: names of the GPUs as CUDA_VISIBLE_DEVICES takes them; given out in turn.
        console: for the progress.

    Returns:
        The cells that failed.
    """
    waiting, running, ended = list(cells), list[_Job](), dict[str, str]()
    failed: list[Cell] = []
    with _ended_by_sigterm(), Live(console=console, transient=True, auto_refresh=False) as live:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    place = min(set(range(jobs)) - {job.place for job in running})
                    running.append(_start(grid, waiting.pop(0), place, jobs, gpus))
                    _say(console, running[-1].cell, f"starts, log in {running[-1].cell.folder / LOG_FILE}")
                for job in [job for job in running if job.process.poll() is not None]:
                    running.remove(job)
                    job.log.close()
                    ended[job.cell.label] = FAILED if job.process.returncode else FINISHED
                    if job.process.returncode:
                        failed.append(job.cell)
                        mark_failed(job.cell.folder, job.process.returncode)
                    _say(console, job.cell, ended[job.cell.label])
                    write_manifest(grid)
                if console.is_terminal:
                    live.update(_table(cells, {job.cell.label for job in running}, ended), refresh=True)
                if running:
                    _wait(running)
        finally:
            _stop(running)
            write_manifest(grid)
    return failed


def _start(grid: Grid, cell: Cell, place: int, jobs: int, gpus: Sequence[str]) -> _Job:
    command = [sys.executable, "-m", "experiments.run", "--grid", str(grid.folder), *grid.extra]
    command += ["--index", str(cell.index)]
    environment = dict(os.environ)
    # Threads of one run that wait for those of another cost several times what they bring.
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    if gpus:
        devices = cell.settings.trainer.devices
        chosen = [gpus[(place * devices + i) % len(gpus)] for i in range(min(devices, len(gpus)))]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
    cell.folder.mkdir(parents=True, exist_ok=True)
    log = (cell.folder / LOG_FILE).open("ab")
    # In a process group of its own, so that its loaders and ranks can be stopped with it.
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, process_group=0
    )
    return _Job(cell, place, process, log)


def _stop(running: Sequence[_Job]) -> None:
    """Interrupt what still runs, as Ctrl-C would."""
    for job in running:
        os.killpg(job.process.pid, signal.SIGINT)
    for job in running:
        try:
            job.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()
        job.log.close()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which schedulers end jobs, leave through the finally clauses."""

    def leave(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(running: Sequence[_Job]) -> None:
    """Until the first of the processes ends, or it is time to look at their progress."""
    try:
        running[0].process.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return


def _table(cells: Sequence[Cell], running: set[str], ended: dict[str, str]) -> Table:
    table = Table("run", "state", "stage", "step", "minutes")
    for cell in cells:
        state: dict[str, Any] = (
            read_state(cell.folder) if cell.label in running else {"state": ended.get(cell.label, WAITING)}
        )
        minutes = (time.time() - state["started"]) / 60 if state["state"] == RUNNING else None
        step = f"{state['step'] or 0:,}/{state['steps']:,}" if state.get("steps") else ""
        name = RUNNING if cell.label in running else state["state"]
        table.add_row(cell.label, name, state.get("stage") or "", step, "" if minutes is None else f"{minutes:.1f}")
    return table


def _say(console: Console, cell: Cell, message: str) -> None:
    console.print(f"[bold]{cell.label}[/]: {message}")


def visible_gpus() -> list[str]:
    """Names of this machine's GPUs, as CUDA_VISIBLE_DEVICES takes them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name]
    import torch  # only here: the process that starts others stays small where the variable is set

    return [str(i) for i in range(torch.cuda.device_count())]
