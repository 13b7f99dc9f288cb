"""What each factor of a factorial grid does: main effects and interactions, for each seed and then over the seeds.

A *factor* is a setting whose levels were all combined with those of the other factors (the recipes: auxiliary data,
initial weights, prior). For each seed the effect of a level is the mean difference to the factor's first level, over
all combinations of the other factors; an interaction is the difference that one level makes to the effect of another.
Where every factor is a switch, there are also the effects of each alone and on top of all others: what is lost by
leaving it out. The seeds' values are then summed up by a t interval [1].

[1] Box, Hunter and Hunter, Statistics for Experimenters, 2nd edition 2005, chapter 5. Their interaction is half of
ours: here it reads as "with B, A changes the error by so much more".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.stats.bootstrap import CONFIDENCE, Interval

_MOST_CELLS = 4096
"""Runs whose settings span more combinations than this are no grid that anyone would fill."""

Levels = tuple[str, ...]
"""One level of each factor, in the order of the factors: a cell of the grid."""


@dataclass(frozen=True)
class Factor:
    """A setting that was varied.

    Attributes:
        name: as users write it, e.g. ``auxiliary`` or ``annotate.lr``.
        levels: its values, the reference first.
    """

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Effect:
    """What one level (a main effect) or several levels together (an interaction) change.

    Attributes:
        name: e.g. ``init=pose2d``, ``init=pose2d, the others off`` or ``init=pose2d x prior=vposer``.
        order: 1 for a main effect, 2 or 3 for interactions.
        by_seed: change of the metric by seed.
        change: mean over the seeds, with its t interval.
    """

    name: str
    order: int
    by_seed: dict[int, float]
    change: Interval


@dataclass(frozen=True)
class Effects:
    """The effects on one metric.

    Attributes:
        factors: with two levels or more.
        effects: main effects, those alone and on top of all others, interactions; empty if no seed has all cells.
        seeds: whose cells are all there.
        missing: what is not there, as sentences.
    """

    factors: tuple[Factor, ...]
    effects: tuple[Effect, ...]
    seeds: tuple[int, ...]
    missing: tuple[str, ...]


def t_interval(values: Sequence[float]) -> Interval:
    """Mean of values and its t interval; a single value has none."""
    known = np.asarray(values, dtype=np.float64)
    if len(known) == 0:
        return Interval(float("nan"))
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return Interval(mean, mean - float(half), mean + float(half))


def find_effects(factors: Sequence[Factor], cells: Mapping[Levels, Mapping[int, float]]) -> Effects:
    """Main effects of the factors and their interactions.

    Args:
        factors: in the order of the cells' levels; those with one level are left out of the effects.
        cells: value by seed for each cell that was run.
    """
    varied = [place for place, factor in enumerate(factors) if len(factor.levels) > 1]
    kept = tuple(factors[place] for place in varied)
    combinations = math.prod(len(factor.levels) for factor in factors)
    if combinations > _MOST_CELLS:
        return Effects(kept, (), (), (f"{combinations - len(cells):,} of {combinations:,} combinations",))
    expected = list(itertools.product(*(factor.levels for factor in factors)))
    seeds = sorted({seed for values in cells.values() for seed in values})
    complete = [seed for seed in seeds if all(seed in cells.get(levels, {}) for levels in expected)]
    missing = [_cell_name(factors, levels) for levels in expected if levels not in cells]
    partly = [
        f"{_cell_name(factors, levels)} of seed {', '.join(map(str, without))}"
        for levels in expected
        if levels in cells and (without := [seed for seed in seeds if seed not in cells[levels]])
    ]
    effects = []
    if complete and kept:
        grids = {seed: _grid(factors, cells, seed) for seed in complete}
        for order in range(1, min(len(kept), 3) + 1):
            if order == 2 and all(len(factor.levels) == 2 for factor in kept):
                effects += [_simple(factors, place, level, grids) for level in (0, 1) for place in varied]
            for chosen in itertools.combinations(varied, order):
                # The first level of each is the reference, against which the others stand.
                for indices in itertools.product(*(range(1, len(factors[place].levels)) for place in chosen)):
                    levels = dict(zip(chosen, indices, strict=True))
                    by_seed = {seed: _contrast(grid, levels) for seed, grid in grids.items()}
                    name = " x ".join(f"{factors[p].name}={factors[p].levels[i]}" for p, i in levels.items())
                    effects.append(Effect(name, order, by_seed, t_interval(list(by_seed.values()))))
    return Effects(kept, tuple(effects), tuple(complete), tuple(missing + partly))


def _simple(factors: Sequence[Factor], place: int, others: int, grids: Mapping[int, np.ndarray]) -> Effect:
    """What one switch changes while all the others are off (0) or on (1)."""
    by_seed = {}
    for seed, grid in grids.items():
        off, on = np.moveaxis(grid, place, 0)
        by_seed[seed] = float((on - off).flat[-others])
    name = f"{factors[place].name}={factors[place].levels[1]}, the others {'on' if others else 'off'}"
    return Effect(name, 1, by_seed, t_interval(list(by_seed.values())))


def _grid(factors: Sequence[Factor], cells: Mapping[Levels, Mapping[int, float]], seed: int) -> np.ndarray:
    shape = [len(factor.levels) for factor in factors]
    product = itertools.product(*(factor.levels for factor in factors))
    return np.array([cells[levels][seed] for levels in product], dtype=np.float64).reshape(shape)


def _contrast(grid: np.ndarray, levels: Mapping[int, int]) -> float:
    """Difference to the first level along each chosen axis, then the mean over the axes that are left."""
    for axis in range(grid.ndim):
        if axis in levels:
            grid = np.take(grid, [levels[axis]], axis) - np.take(grid, [0], axis)
    return float(grid.mean())


def _cell_name(factors: Sequence[Factor], levels: Levels) -> str:
    names = [f"{factor.name}={level}" for factor, level in zip(factors, levels, strict=True) if len(factor.levels) > 1]
    return ", ".join(names)
