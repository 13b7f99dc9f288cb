"""Results of runs as the comparison shows them: what one run gave, the columns of the table, and the gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.bootstrap import Gain, Interval, mean_interval, paired_gain


class Column(NamedTuple):
    """A metric of the main table.

    Attributes:
        key: name in :attr:`RunResult.metrics`.
        group: header above its neighbours.
        header: its own header.
        unit: of the values.
    """

    key: str
    group: str
    header: str
    unit: str = "mm"


LABELS, LSP14, SMPL24 = (
    "Pseudo-GT against true bodies (smpl24)",
    "Downstream, 3DPW test (lsp14)",
    "Downstream, 3DPW test (smpl24)",
)
COLUMNS = (
    Column("pseudo_gt/smpl24_mpjpe", LABELS, "MPJPE"),
    Column("pseudo_gt/smpl24_pa_mpjpe", LABELS, "PA-MPJPE"),
    Column("pseudo_gt/smpl24_mpvpe", LABELS, "MPVPE"),
    Column("pseudo_gt/error_2d", "Pseudo-GT", "2D error", "% of box"),
    Column("threedpw/lsp14_mpjpe", LSP14, "MPJPE"),
    Column("threedpw/lsp14_pa_mpjpe", LSP14, "PA-MPJPE"),
    Column("threedpw/lsp14_mpvpe", LSP14, "MPVPE"),
    Column("threedpw/smpl24_mpjpe", SMPL24, "MPJPE"),
    Column("threedpw/smpl24_pa_mpjpe", SMPL24, "PA-MPJPE"),
)
"""Columns of the main table, in order; one that no run has is left out. All other metrics stand in the details."""

HEADLINES = ("pseudo_gt/smpl24_pa_mpjpe", "threedpw/lsp14_pa_mpjpe")
"""The metrics whose gain over the baseline is told in words."""


@dataclass
class PerPerson:
    """One error for each person.

    Attributes:
        ids: (N,) str.
        values: (N,), NaN where the person does not count.
        groups: (N,) str, the sequence or image that people share, or None: each person by itself.
    """

    ids: NDArray
    values: NDArray[np.float64]
    groups: NDArray | None = None


@dataclass
class RunResult:
    """What one run, or a yardstick, gave.

    Attributes:
        label: name in tables, e.g. ``three``.
        recipe: name of the recipe bundle; empty for a yardstick.
        seed: None for a yardstick, which has no chance in it.
        auxiliary: sources of 3D supervision.
        init: initial weights of the annotator's backbone.
        prior: pose prior.
        is_standin: whether the stand-in body was used.
        synthetic: whether the people were synthetic.
        used_3dpw_train: whether a training touched 3DPW's training set.
        samples_seen: people or poses seen in training, by stage.
        seconds: time of each stage.
        metrics: by key; those with values per person are computed from them and need not be given.
        per_person: by the same keys.
        curves: ``(samples seen, value)`` by name, e.g. ``annotate: loss``.
    """

    label: str
    recipe: str = ""
    seed: int | None = None
    auxiliary: Sequence[str] = ()
    init: str = ""
    prior: str = ""
    is_standin: bool = False
    synthetic: bool = False
    used_3dpw_train: bool = False
    samples_seen: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Interval] = field(default_factory=dict)
    per_person: dict[str, PerPerson] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """People and poses seen in training, pre-training included."""
        return sum(self.samples_seen.values())


class Views(NamedTuple):
    """A mesh of one person, (H, W, 3) uint8 RGB: on the photo and from the side."""

    front: NDArray[np.uint8]
    side: NDArray[np.uint8]


@dataclass
class GalleryPerson:
    """One person of the gallery.

    Attributes:
        id: of the person.
        photo: (H, W, 3) uint8 RGB.
        views: by run label; others, e.g. "true body", are shown after the runs.
        errors: in mm, by the same labels, as far as known.
    """

    id: str
    photo: NDArray[np.uint8]
    views: dict[str, Views]
    errors: dict[str, float] = field(default_factory=dict)


@dataclass
class Comparison:
    """Runs to compare, and what is shown with them.

    Attributes:
        title: of the report.
        runs: rows of the table.
        baseline: label of the run that the others are compared with; None: the first.
        yardstick: a row that is no run, e.g. the mean pose.
        people: gallery.
        notes: sentences beside those that :meth:`caveats` derives.
        resamples: of each interval; 0 for none.
    """

    title: str
    runs: list[RunResult]
    baseline: str | None = None
    yardstick: RunResult | None = None
    people: list[GalleryPerson] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    resamples: int = 1000

    def __post_init__(self) -> None:
        labels = [run.label for run in self.rows]
        if not self.runs or len(set(labels)) < len(labels):
            msg = f"a comparison needs runs with distinct labels, got {labels}"
            raise ValueError(msg)
        if self.baseline is not None and self.baseline not in labels:
            msg = f"baseline {self.baseline!r} is none of the runs {labels}"
            raise ValueError(msg)
        for run in self.rows:
            for key, people in run.per_person.items():
                run.metrics.setdefault(key, mean_interval(people.values, people.groups, self.resamples))

    @property
    def rows(self) -> list[RunResult]:
        """The yardstick, if there is one, and the runs."""
        return [*([self.yardstick] if self.yardstick else []), *self.runs]

    @property
    def columns(self) -> list[Column]:
        """Columns of the main table that some run has."""
        return [column for column in COLUMNS if any(column.key in run.metrics for run in self.runs)]

    @property
    def baseline_run(self) -> RunResult:
        """The run that the others are compared with."""
        return next((run for run in self.runs if run.label == self.baseline), self.runs[0])

    def gains(self) -> list[tuple[Column, RunResult, Gain]]:
        """For each headline metric, the gain of each other run over the baseline, on the people they share."""
        found = []
        for column in self.columns:
            for run in self.runs:
                if column.key not in HEADLINES or run is self.baseline_run:
                    continue
                pair = [one.per_person.get(column.key) for one in (self.baseline_run, run)]
                if pair[0] is not None and pair[1] is not None:
                    found.append((column, run, self._gain(pair[0], pair[1])))
        return found

    def _gain(self, baseline: PerPerson, better: PerPerson) -> Gain:
        _, first, second = np.intersect1d(baseline.ids, better.ids, return_indices=True)
        if len(first) == 0:
            msg = "the runs have no person in common, so their errors cannot be paired"
            raise ValueError(msg)
        groups = None if baseline.groups is None else baseline.groups[first]
        return paired_gain(baseline.values[first], better.values[second], groups, self.resamples)

    def caveats(self) -> list[str]:
        """What a reader must know before believing the table."""
        caveats = []
        if any(run.is_standin for run in self.runs):
            caveats.append(
                "The body is the licence-free stand-in, not SMPL: errors are not comparable with published ones."
            )
        if any(run.synthetic for run in self.runs):
            caveats.append("The people are synthetic: rendered bodies with known poses, not photographs.")
        seeds = {run.seed for run in self.runs}
        if len(seeds) == 1:
            caveats.append(
                f"One seed ({next(iter(seeds))}). The intervals are over people, not over trainings: "
                "another seed moves the numbers too."
            )
        leaked = [run.label for run in self.runs if run.used_3dpw_train]
        if leaked:
            caveats.append(
                f"Trained with help of the 3DPW training set, and judged on 3DPW's test set: {_list(leaked)}."
            )
        random = [run.label for run in self.runs if run.init == "random"]
        if random and len(random) < len(self.runs):
            caveats.append(f"Started from random weights: {_list(random)}. Samples of pre-training are counted.")
        return caveats + self.notes


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def number(value: float | None, digits: int = 1) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def interval_text(interval: Interval, digits: int = 1) -> str:
    """``88.7 to 91.5``; empty where there is no interval."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{number(interval.low, digits)} to {number(interval.high, digits)}"


def gain_text(column: Column, run: RunResult, baseline: RunResult, gain: Gain) -> str:
    """One honest sentence about a gain."""
    percent, difference = gain.percent, gain.difference
    direction = "lower" if percent.value >= 0 else "higher"
    sentence = (
        f'{column.group}: {column.header} of "{run.label}" is {number(gain.better)} {column.unit}, '
        f'{number(abs(percent.value))} % {direction} than {number(gain.baseline)} {column.unit} of "{baseline.label}"'
    )
    if percent.low is None or percent.high is None:
        return sentence + "."
    verdict = "excludes 0" if difference.excludes_zero else "includes 0, so this may be chance"
    return (
        f"{sentence}. 95 % interval of the reduction: {interval_text(percent)} %, "
        f"{interval_text(difference)} {column.unit} ({verdict}; {gain.people:,} people in {gain.groups:,} groups)."
    )
