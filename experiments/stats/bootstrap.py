"""Confidence intervals by the bootstrap: what other people, drawn like these, could have given [1].

People of one sequence or image are alike, so whole groups are drawn, not single people. It says nothing about other
seeds: an interval of one training is about its evaluation alone.

[1] Efron and Tibshirani, An Introduction to the Bootstrap, 1993: percentile intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
_CHUNK_ELEMENTS = 4_000_000


class Interval(NamedTuple):
    """A number and the ends of its 95 % interval (None where there is none)."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval exists and lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Gain(NamedTuple):
    """How much smaller an error is than a baseline's, on the same people.

    Attributes:
        baseline: mean error of the baseline.
        better: mean error of the other one.
        difference: baseline minus other, in the error's unit.
        percent: the same in percent of the baseline.
        people: number of people in both.
        groups: number of groups that were drawn.
    """

    baseline: float
    better: float
    difference: Interval
    percent: Interval
    people: int
    groups: int


def mean_interval(
    values: ArrayLike, groups: Sequence[str] | NDArray[Any] | None = None, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Mean of (N,) values and its interval; NaN is left out.

    Args:
        values: (N,) one a person.
        groups: (N,) names of sequences or images; None: each person by itself.
        resamples: resamplings; 0 gives no interval.
        seed: of the resampling.
    """
    values = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(values)
    if not known.any():
        return Interval(float("nan"))
    means = _resampled_means(values[known][:, None], _numbers(groups, known), resamples, seed)[:, 0]
    return _interval(float(values[known].mean()), means)


def paired_gain(
    baseline: ArrayLike,
    better: ArrayLike,
    groups: Sequence[str] | NDArray[Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Gain:
    """Compare two errors of the same (N,) people; whoever is NaN in either is left out.

    Args:
        baseline: (N,) errors.
        better: (N,) errors of the same people in the same order.
        groups: (N,) names of sequences or images; None: each person by itself.
        resamples: resamplings; 0 gives no interval.
        seed: of the resampling.

    Raises:
        ValueError: the two differ in length, or have nobody in common.
    """
    pairs = np.stack([np.asarray(baseline, dtype=np.float64), np.asarray(better, dtype=np.float64)], axis=1)
    known = np.asarray(~np.isnan(pairs).any(axis=1))
    if not known.any():
        msg = "nobody has both errors, so they cannot be compared"
        raise ValueError(msg)
    numbers = _numbers(groups, known)
    first, second = pairs[known].mean(axis=0)
    # Both means of a resampling come from the same people: that is what makes it paired.
    means = _resampled_means(pairs[known], numbers, resamples, seed)
    difference = means[:, 0] - means[:, 1]
    return Gain(
        baseline=float(first),
        better=float(second),
        difference=_interval(float(first - second), difference),
        percent=_interval(float(100 * (first - second) / first), 100 * difference / means[:, 0]),
        people=int(known.sum()),
        groups=int(numbers.max()) + 1,
    )


def _numbers(groups: Sequence[str] | NDArray[Any] | None, known: NDArray[Any]) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(int(known.sum()))
    return np.unique(np.asarray(groups)[known], return_inverse=True)[1]


def _resampled_means(values: NDArray[Any], groups: NDArray[Any], resamples: int, seed: int) -> NDArray[np.float64]:
    """(R, K) means of values (N, K) when groups are drawn with replacement."""
    count = int(groups.max()) + 1
    sums = np.stack([np.bincount(groups, column, minlength=count) for column in values.T], axis=1)
    sizes = np.bincount(groups, minlength=count).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    chunk = max(1, _CHUNK_ELEMENTS // count)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        means[start : start + size] = drawn @ sums / (drawn @ sizes)[:, None]
    return means


def _interval(value: float, resampled: NDArray[Any]) -> Interval:
    if len(resampled) == 0:
        return Interval(value)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))
