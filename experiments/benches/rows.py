"""A measured figure, and how time and memory are measured."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray


class Row(NamedTuple):
    """One figure of a bench.

    Attributes:
        name: what was measured.
        figure: the value.
        unit: of the value.
        reference: what it is compared with, in words: a bare computation measured in the same run, or a limit.
        ratio: figure by the reference's figure; None where there is nothing to compare with.
    """

    name: str
    figure: float
    unit: str
    reference: str = ""
    ratio: float | None = None


def best_seconds(function: Callable[[], Any], repeats: int = 5) -> float:
    """Shortest time of several calls: what else runs on the machine can only lengthen it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def seconds_in_turn(functions: Sequence[Callable[[], Any]], repeats: int, calls: int = 1) -> NDArray[np.float64]:
    """Times of some functions, measured one after the other again and again, after one call of each that is not timed.

    What else a machine does falls on all functions of a turn alike, so their ratios within turns are more certain than
    the times. Work that a function leaves running on a GPU is waited for.

    Args:
        functions: without arguments.
        repeats: turns.
        calls: calls of a function in each turn, between which nothing is waited for.

    Returns:
        (functions, repeats) seconds of one call.
    """
    for function in functions:
        function()
    turns = [[_mean_seconds(function, calls) for function in functions] for _ in range(repeats)]
    return np.array(turns).T


def _mean_seconds(function: Callable[[], Any], calls: int) -> float:
    wait_for_gpu()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    wait_for_gpu()
    return (time.perf_counter() - start) / calls


def wait_for_gpu() -> None:
    """Until the GPU, where there is one, has done all that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def in_new_process(function: Callable[..., tuple[float, float]], *arguments: Any) -> tuple[float, float]:
    """Result of a function in a process of its own, whose memory is that of this task alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def process_mib(*kinds: str) -> float:
    """Memory of this process in MiB: the sum of some kinds of ``smaps_rollup`` (``Pss``, ``Private_Dirty``, ...)."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in kinds) / 1024
