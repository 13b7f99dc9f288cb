"""Benchmarks, one file each; other packages add theirs by the entry point ``three_recipes.benchmarks``.

A benchmark names protocols, which ``lightning_modules/scoring/protocols.py`` defines, and a kind of source, which
``datamodules/sources`` reads.
"""

from __future__ import annotations

from body_models.components import from_outside
from datamodules.benchmarks import emdb, human36m, mpi_inf_3dhp, threedpw
from datamodules.benchmarks.benchmark import Benchmark

DEFAULT = threedpw.BENCHMARK
_OWN = (threedpw.BENCHMARK, emdb.BENCHMARK, mpi_inf_3dhp.BENCHMARK, human36m.BENCHMARK)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for one in _OWN} | from_outside("benchmarks", Benchmark)
"""Every benchmark by its name."""
