"""Views of a label table: filters that say which rows are good enough, and never delete any.

Each filter is a limit on one quality column (:data:`FILTERS`). A row is left out by the first filter, in that order,
that it does not pass, and counted under its reason. The rule for a value that is not known (NaN: the 2D error of
people without joints): nobody can say that it is within the limit, so the row is left out, under a reason of its own.
A filter on a column that the table does not have, or knows of nobody, is an error, for it would leave out everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.names import guess
from datamodules.pseudo_gt.native import Columns, LabelError, column_names, iter_labels
from datamodules.pseudo_gt.quality_score import QUALITY_SCORE, load_score, quality_score

Filters = Mapping[str, float | bool | None]
"""Name of a filter -> its limit; null or false is no filter."""

_REMEDY = "Leave the filter out, or dump the labels again with this code"
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class _Filter(NamedTuple):
    """What one filter looks at: a column, which values pass, and the reason in words ({} is the limit)."""

    column: str
    passes: Callable[[NDArray[Any], float], NDArray[Any]]
    reason: str


def _at_most(values: NDArray[Any], limit: float) -> NDArray[Any]:
    return values <= limit


def _at_least(values: NDArray[Any], limit: float) -> NDArray[Any]:
    return values >= limit


FILTERS: dict[str, _Filter] = {
    "max_error_2d": _Filter("error_2d", _at_most, "2D error above {:g} of the box"),
    "min_joints": _Filter("visible_joints", _at_least, "fewer than {:g} joints"),
    "max_abs_beta": _Filter("max_abs_beta", _at_most, "|beta| above {:g}"),
    "max_prior_score": _Filter("prior_score", _at_most, "prior score above {:g}"),
    "max_mirror_disagreement": _Filter("mirror_disagreement", _at_most, "mirror disagreement above {:g} mm"),
    "max_limit_excess_deg": _Filter("limit_excess_deg", _at_most, "joint limits exceeded by more than {:g} degrees"),
    "refined_only": _Filter("refinement", lambda values, _: values == "accepted", "refinement not accepted"),
    "max_quality_score": _Filter(QUALITY_SCORE, _at_most, "quality score above {:g} mm"),
}
"""Every filter, in the order in which reasons are counted."""


@dataclass
class View:
    """Rows of a label table that pass all filters.

    Attributes:
        reasons: why rows were left out, in the order of the filters.
        left_out: (N,) index into ``reasons`` of the first filter that a row does not pass, -1 where it passes all.
    """

    reasons: list[str]
    left_out: NDArray[np.int16]

    @property
    def keep(self) -> NDArray[np.bool_]:
        """(N,) mask of the rows that pass."""
        return self.left_out < 0

    @property
    def counts(self) -> dict[str, int]:
        """Rows left out by reason; reasons of nobody are not in it."""
        numbers = np.bincount(self.left_out[self.left_out >= 0], minlength=len(self.reasons)).tolist()
        return {reason: number for reason, number in zip(self.reasons, numbers, strict=True) if number}

    def describe(self) -> str:
        """One line: rows that pass, and those left out by reason."""
        kept = f"{int(self.keep.sum()):,} of {len(self.left_out):,} labels"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items())
        return f"{kept}; left out: {reasons}" if reasons else kept


def view(labels: str | Path, filters: Filters) -> View:
    """Find the rows of a label table that pass filters, without holding the table in memory.

    Args:
        labels: folder of the table.
        filters: limits by the names of :data:`FILTERS`.

    Raises:
        LabelError: an unknown filter, or one on a column that the table does not have.
    """
    chosen = _active(filters)
    columns = _columns_for(labels, chosen)
    known = dict.fromkeys(chosen, False)
    parts = []
    for block in iter_labels(labels, columns=columns):
        first = np.full(len(block["id"]), -1, dtype=np.int16)
        for number, (name, limit) in enumerate(chosen.items()):
            values = _values(name, block)
            unknown = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
            failed = (first < 0) & ~FILTERS[name].passes(values, limit)
            first[failed] = 2 * number + unknown[failed]
            known[name] |= not unknown.all()
        parts.append(first)
    for name in (name for name in chosen if not known[name]):
        msg = f"{labels}: filter {name} looks at {FILTERS[name].column}, which is not known of anyone here. {_REMEDY}"
        raise LabelError(msg)
    reasons = [text for name, limit in chosen.items() for text in _reasons(name, limit)]
    return View(reasons, np.concatenate(parts))


def parse_filters(items: Sequence[str]) -> dict[str, float | bool]:
    """Filters from ``key=value`` texts, as a command line has them.

    Raises:
        LabelError: an unknown key, or a value of another type.
    """
    filters: dict[str, float | bool] = {}
    for item in items:
        name, _, text = item.partition("=")
        _check_name(name)
        try:
            filters[name] = _truth(text) if name == "refined_only" else float(text)
        except ValueError as error:
            expected = "true or false" if name == "refined_only" else "a number"
            msg = f"filter {item}: {text!r} is not {expected}"
            raise LabelError(msg) from error
    return filters


def _truth(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(text)
    return text.lower() in _TRUE


def _check_name(name: str) -> None:
    if name not in FILTERS:
        msg = f"filter {name!r} is unknown{guess(name, FILTERS)} (of {', '.join(FILTERS)})"
        raise LabelError(msg)


def _active(filters: Filters) -> dict[str, float]:
    """The filters that are switched on, in the order of FILTERS."""
    for name in filters:
        _check_name(name)
    return {name: float(filters[name]) for name in FILTERS if filters.get(name) not in (None, False)}  # type: ignore[arg-type]


def _columns_for(labels: str | Path, filters: Mapping[str, float]) -> list[str]:
    there = column_names(labels)
    needed: dict[str, None] = {"id": None}
    for name in filters:
        column = FILTERS[name].column
        wanted = load_score().columns if column == QUALITY_SCORE and QUALITY_SCORE not in there else [column]
        for one in wanted:
            if one not in there:
                msg = f"{labels}: filter {name} needs column {one}; the table has {', '.join(there)}. {_REMEDY}"
                raise LabelError(msg)
            needed[one] = None
    return list(needed)


def _reasons(name: str, limit: float) -> tuple[str, str]:
    """Of a value beyond the limit, and of a value that is not known."""
    return FILTERS[name].reason.format(limit), f"{FILTERS[name].column} not known"


def _values(name: str, columns: Columns) -> NDArray[Any]:
    """(N,) what a filter looks at."""
    column = FILTERS[name].column
    return columns[column] if column in columns else quality_score(columns)
