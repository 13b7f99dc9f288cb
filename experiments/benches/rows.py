"""A measured figure, and how time and memory are measured."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple


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


def in_new_process(function: Callable[..., tuple[float, float]], *arguments: Any) -> tuple[float, float]:
    """Result of a function in a process of its own, whose memory is that of this task alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def process_mib(*kinds: str) -> float:
    """Memory of this process in MiB: the sum of some kinds of ``smaps_rollup`` (``Pss``, ``Private_Dirty``, ...)."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in kinds) / 1024
