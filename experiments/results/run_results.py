"""Results of runs as the comparison shows them: what one run gave, what runs of other seeds share, and the gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.benchmarks import BENCHMARKS, DEFAULT
from datamodules.benchmarks.benchmark import Benchmark
from datamodules.exposure import NOTHING, Exposure, combined
from experiments.exposure import flags, sentences
from experiments.stats.bootstrap import Gain, Interval, mean_interval, paired_gain
from experiments.stats.effects import Effects, Factor, find_effects, t_interval


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


LABELS = "Pseudo-GT against true bodies (smpl24)"
_HEADERS = {
    "mpjpe": ("MPJPE", "mm"), "pa_mpjpe": ("PA-MPJPE", "mm"), "mpvpe": ("MPVPE", "mm"), "pck150": ("PCK at 150 mm", "%")
}  # fmt: skip


def _columns_of(benchmark: Benchmark) -> Iterator[Column]:
    for protocol, metrics in benchmark.columns.items():
        group = f"Downstream, {benchmark.title} {benchmark.test} ({protocol})"
        for metric in metrics:
            yield Column(f"{benchmark.name}/{protocol}_{metric}", group, *_HEADERS.get(metric, (metric, "mm")))


COLUMNS = (
    Column("pseudo_gt/smpl24_mpjpe", LABELS, "MPJPE"),
    Column("pseudo_gt/smpl24_pa_mpjpe", LABELS, "PA-MPJPE"),
    Column("pseudo_gt/smpl24_mpvpe", LABELS, "MPVPE"),
    Column("pseudo_gt/smpl24_depth", LABELS, "depth error"),
    Column("pseudo_gt/smpl24_turned", LABELS, "pelvis off by > 60°", "% of people"),
    Column("pseudo_gt/error_2d", "Pseudo-GT", "2D error", "% of box"),
    Column("pseudo_gt/limit_violations", "Pseudo-GT", "limit violations", "joints per person"),
    Column("pseudo_gt/limit_excess_deg", "Pseudo-GT", "outside limits", "degrees per person"),
    *(column for benchmark in BENCHMARKS.values() for column in _columns_of(benchmark)),
)
"""Columns of the main table, in order; one that no run has is left out. All other metrics stand in the details."""

_REFERENCE = ("none", "random")
"""Levels that mean "without"; they stand first in the effects."""

HEADLINES = ("pseudo_gt/smpl24_pa_mpjpe", *(f"{one.name}/{one.headline}" for one in BENCHMARKS.values()))
"""The metrics whose gain over the baseline is told in words."""


class ComparisonError(ValueError):
    """Runs that cannot be compared as asked."""


@dataclass
class PerPerson:
    """One error for each person.

    Attributes:
        ids: (N,) str.
        values: (N,), NaN where the person does not count.
        groups: (N,) str, the sequence or image that people share, or None: each person by itself.
    """

    ids: NDArray[Any]
    values: NDArray[np.float64]
    groups: NDArray[Any] | None = None


class Distribution(NamedTuple):
    """What a column of a label table holds.

    Attributes:
        mean: over the people that have a value.
        quantiles: 5, 25, 50, 75 and 95 % of them lie below.
        people: number of them.
    """

    mean: float
    quantiles: tuple[float, float, float, float, float]
    people: int


WORSE = "worse than the mean pose"
"""Mark of a row that a label without any training beats."""


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
        is_free_body: whether the free body was used.
        synthetic: whether the people were synthetic.
        is_trial: whether it was made with size=tiny, which learns nothing.
        exposure: what the network, its start and its labels were trained on.
        samples_seen: people or poses seen in training, by stage.
        seconds: time of each stage.
        metrics: by key; those with values per person are computed from them and need not be given.
        per_person: by the same keys.
        curves: ``(samples seen, value)`` by name, e.g. ``annotate: loss``.
        variant: what it has in common with runs of other seeds, as tables name it; empty: the label.
        levels: value of each setting that differs between the runs compared, the seed left out.
        per_joint: mean error in mm by joint, by protocol, e.g. ``threedpw/lsp14``.
        per_sequence: mean of a headline metric by recording, by the metric's key.
        quality: what the label table's columns hold, by column.
    """

    label: str
    recipe: str = ""
    seed: int | None = None
    auxiliary: Sequence[str] = ()
    init: str = ""
    prior: str = ""
    is_free_body: bool = False
    synthetic: bool = False
    is_trial: bool = False
    exposure: Exposure = NOTHING
    samples_seen: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Interval] = field(default_factory=dict)
    per_person: dict[str, PerPerson] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    variant: str = ""
    levels: dict[str, str] = field(default_factory=dict)
    per_joint: dict[str, dict[str, float]] = field(default_factory=dict)
    per_sequence: dict[str, dict[str, float]] = field(default_factory=dict)
    quality: dict[str, Distribution] = field(default_factory=dict)

    @property
    def used_3dpw_train(self) -> bool | None:
        """Whether a training touched the training split of the default benchmark; None where that is not known."""
        return self.exposure.saw_training_of()

    @property
    def samples(self) -> int:
        """People and poses seen in training, pre-training included."""
        return sum(self.samples_seen.values())


@dataclass(frozen=True)
class Variant:
    """Runs that differ in the seed alone: a row of the tables.

    Attributes:
        label: name in tables, e.g. ``three``.
        runs: at least one.
    """

    label: str
    runs: tuple[RunResult, ...]

    @property
    def first(self) -> RunResult:
        """The run that stands for all of them in what does not depend on the seed."""
        return self.runs[0]

    @property
    def seeds(self) -> list[int]:
        """Seeds of the runs; none for a yardstick."""
        return [run.seed for run in self.runs if run.seed is not None]

    @property
    def flags(self) -> list[str]:
        """What must be said beside every number of these runs."""
        told = {"free body": "is_free_body", "synthetic": "synthetic"}
        others = [text for text, name in told.items() if any(getattr(run, name) for run in self.runs)]
        return [*flags(self.exposure), *others]

    @property
    def exposure(self) -> Exposure:
        """What one of the runs, its start or its labels were trained on."""
        return combined(run.exposure for run in self.runs)

    def by_seed(self, key: str) -> dict[int, float]:
        """A metric of each seed; a run without a seed counts as seed 0."""
        known = {run.seed or 0: run.metrics[key].value for run in self.runs if key in run.metrics}
        return {seed: value for seed, value in known.items() if np.isfinite(value)}

    def mean(self, key: str) -> float | None:
        """Mean of a metric over the seeds."""
        values = list(self.by_seed(key).values())
        return float(np.mean(values)) if values else None

    def spread(self, key: str) -> float | None:
        """Standard deviation of a metric over the seeds; None for less than two."""
        values = list(self.by_seed(key).values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def interval(self, key: str) -> Interval | None:
        """A metric with its 95 % interval: over the seeds (t), or of one seed over its people (bootstrap)."""
        if len(self.by_seed(key)) > 1:
            return t_interval(list(self.by_seed(key).values()))
        return next((run.metrics[key] for run in self.runs if key in run.metrics), None)


class Difference(NamedTuple):
    """How a variant differs from the baseline in one metric; negative is smaller than the baseline.

    Attributes:
        change: mean of the differences of equal seeds, with the t interval over them where there are two or more.
        seeds: that both have.
        people: the same change with its bootstrap interval over people, sequences or images, each person's error
            averaged over the seeds; None where the people's errors are not known.
    """

    change: Interval
    seeds: tuple[int, ...]
    people: Interval | None

    @property
    def shown(self) -> Interval:
        """The interval that a table shows: over the seeds where there are several."""
        return self.change if self.change.low is not None or self.people is None else self.people


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
        disagreement: mean PA-MPJPE in mm between each two annotators; None for one alone.
        contested: chosen because the annotators differ much; the others are chosen blindly.
        vertices: (V, 3) metres, camera frame, by label; none where nothing is shown in 3D.
    """

    id: str
    photo: NDArray[np.uint8]
    views: dict[str, Views]
    errors: dict[str, float] = field(default_factory=dict)
    disagreement: float | None = None
    contested: bool = False
    vertices: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass
class Comparison:
    """Runs to compare, and what is shown with them.

    Attributes:
        title: of the report.
        runs: one for each recipe and seed.
        baseline: label of the variant (or of one of its runs) that the others are compared with; None: the one
            without recipes, or else the first.
        yardstick: a row that is no run, e.g. the mean pose.
        people: gallery.
        faces: (F, 3) of their meshes.
        notes: sentences beside those that :meth:`caveats` derives.
        resamples: of each interval; 0 for none.
    """

    title: str
    runs: list[RunResult]
    baseline: str | None = None
    yardstick: RunResult | None = None
    people: list[GalleryPerson] = field(default_factory=list)
    faces: NDArray[Any] | None = None
    notes: list[str] = field(default_factory=list)
    resamples: int = 1000

    def __post_init__(self) -> None:
        everything = [*([self.yardstick] if self.yardstick else []), *self.runs]
        labels = [run.label for run in everything]
        if not self.runs or len(set(labels)) < len(labels):
            msg = f"a comparison needs runs with distinct labels, got {labels}"
            raise ValueError(msg)
        if self.baseline is not None and all(self.baseline not in _names(one) for one in self.variants):
            msg = f"baseline {self.baseline!r} is none of {', '.join(one.label for one in self.variants)}"
            raise ComparisonError(msg)
        for run in everything:
            for key, people in run.per_person.items():
                if key not in run.metrics:
                    run.metrics[key] = mean_interval(people.values, people.groups, self.resamples)

    @cached_property
    def variants(self) -> list[Variant]:
        """The runs, those of equal settings together."""
        found: dict[str, list[RunResult]] = {}
        for run in self.runs:
            found.setdefault(run.variant or run.label, []).append(run)
        return [Variant(label, tuple(sorted(runs, key=lambda run: run.seed or 0))) for label, runs in found.items()]

    @cached_property
    def rows(self) -> list[Variant]:
        """The yardstick, if there is one, and the variants."""
        return [*([Variant(self.yardstick.label, (self.yardstick,))] if self.yardstick else []), *self.variants]

    @property
    def columns(self) -> list[Column]:
        """Columns of the main table that some run has."""
        return [column for column in COLUMNS if any(column.key in run.metrics for run in self.runs)]

    @property
    def shared_flags(self) -> list[str]:
        """Flags that every variant carries, so that they are said once below a table."""
        return [flag for flag in self.flags(self.variants[0]) if all(flag in self.flags(one) for one in self.variants)]

    @property
    def warning(self) -> str:
        """What stands above everything else; empty where the numbers mean something."""
        trials = [one.label for one in self.variants if any(run.is_trial for run in one.runs)]
        if not trials:
            return ""
        which = "" if len(trials) == len(self.variants) else f" of {_list(trials)}"
        return f"This proves nothing: size=tiny shows that all works, and learns nothing. No number{which} is a result."

    def flags(self, one: Variant) -> list[str]:
        """What must be said beside every number of a row: that of its runs, and that doing nothing would be better."""
        return [*one.flags, *([WORSE] if self._worse(one) else [])]

    def _worse(self, one: Variant) -> list[Column]:
        """The headline metrics in which a variant is no better than the yardstick."""
        if self.yardstick is None or one.first is self.yardstick:
            return []
        known = {key: metric.value for key, metric in self.yardstick.metrics.items()}
        means = {column: one.mean(column.key) for column in self.headlines if column.key in known}
        return [column for column, mean in means.items() if mean is not None and mean >= known[column.key]]

    @property
    def headlines(self) -> list[Column]:
        """The columns whose differences are told."""
        return [column for column in self.columns if column.key in HEADLINES]

    @cached_property
    def baseline_variant(self) -> Variant:
        """What the others are compared with."""
        if self.baseline is not None:
            return next(one for one in self.variants if self.baseline in _names(one))
        without = [one for one in self.variants if one.first.recipe == "none"]
        return (without or self.variants)[0]

    @cached_property
    def seeds(self) -> list[int]:
        """All seeds that some run has."""
        return sorted({seed for one in self.variants for seed in one.seeds})

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """Difference of each other variant to the baseline, by column key and label."""
        found: dict[str, dict[str, Difference]] = {}
        for column in self.columns:
            for one in self.variants:
                if one is not self.baseline_variant and one.by_seed(column.key):
                    found.setdefault(column.key, {})[one.label] = self._difference(column.key, one)
        return found

    def _difference(self, key: str, one: Variant) -> Difference:
        base, other = self.baseline_variant.by_seed(key), one.by_seed(key)
        shared = sorted(base.keys() & other.keys())
        if not shared:
            # Without equal seeds there are no pairs, so there is no interval over them.
            gap = (one.mean(key) or float("nan")) - (self.baseline_variant.mean(key) or float("nan"))
            return Difference(Interval(gap), (), None)
        change = t_interval([other[seed] - base[seed] for seed in shared])
        gain = self.gain(key, one)
        return Difference(change, tuple(shared), None if gain is None else _negative(gain.difference))

    def gain(self, key: str, one: Variant, seed: int | None = None) -> Gain | None:
        """How much smaller a variant's error is than the baseline's, on the people they share, by the bootstrap.

        Args:
            key: of the metric.
            one: the variant.
            seed: of both; None averages each person's error over the seeds that both have.

        Returns:
            None where the people's errors are not known, or nobody is in both.
        """
        people = {run.seed or 0: run.per_person[key] for run in one.runs if key in run.per_person}
        base = {run.seed or 0: run.per_person[key] for run in self.baseline_variant.runs if key in run.per_person}
        shared = [number for number in sorted(base.keys() & people.keys()) if seed in (None, number)]
        if not shared:
            return None
        pooled = [_mean_over_seeds([runs[number] for number in shared]) for runs in (base, people)]
        return self._gain(*pooled)

    def gains(self) -> list[tuple[Column, Variant, Gain]]:
        """For each headline metric, the gain of each other variant over the baseline, on the people they share."""
        return [
            (column, one, gain)
            for column in self.headlines
            for one in self.variants
            if one is not self.baseline_variant and (gain := self.gain(column.key, one)) is not None
        ]

    def _gain(self, baseline: PerPerson, better: PerPerson) -> Gain | None:
        _, first, second = np.intersect1d(baseline.ids, better.ids, return_indices=True)
        if len(first) == 0:
            return None
        groups = None if baseline.groups is None else baseline.groups[first]
        return paired_gain(baseline.values[first], better.values[second], groups, self.resamples)

    def effects(self, key: str) -> Effects:
        """Main effects and interactions of the settings that were varied."""
        names = list(dict.fromkeys(name for run in self.runs for name in run.levels))
        factors = []
        for name in names:
            levels = list(dict.fromkeys(run.levels.get(name, "") for run in self.runs))
            reference = [level for level in _REFERENCE if level in levels] or [
                self.baseline_variant.first.levels.get(name, "")
            ]
            # In the order of the runs, the reference first.
            factors.append(Factor(name, tuple(sorted(levels, key=lambda level: level not in reference))))
        cells: dict[tuple[str, ...], dict[int, float]] = {}
        for one in self.variants:
            cell = tuple(one.first.levels.get(name, "") for name in names)
            if values := one.by_seed(key):
                cells.setdefault(cell, {}).update(values)
        return find_effects(factors, cells)

    @cached_property
    def headline_effects(self) -> list[tuple[Column, Effects]]:
        """The effects on each headline metric, as far as the runs are a grid, of which at most half is missing."""
        known = [(column, self.effects(column.key)) for column in self.headlines]
        return [
            (column, found)
            for column, found in known
            if found.factors and (found.effects or len(found.missing) <= len(self.variants))
        ]

    def caveats(self) -> list[str]:
        """What a reader must know before believing the table."""
        caveats = []
        if any(run.is_free_body for run in self.runs):
            caveats.append("The bodies are the free body, not SMPL: errors are not comparable with published ones.")
        if any(run.synthetic for run in self.runs):
            caveats.append("The people are synthetic: rendered bodies with known poses, not photographs.")
        if len(self.seeds) <= 1:
            caveats.append(
                f"One seed ({', '.join(map(str, self.seeds)) or '-'}). The intervals are over people, not over "
                "trainings: another seed moves the numbers too."
            )
        else:
            fewer = [one.label for one in self.variants if set(one.seeds) != set(self.seeds)]
            caveats.append(
                f"Seeds {', '.join(map(str, self.seeds))}: means with the standard deviation over seeds; intervals of "
                "differences are paired by seed (t)" + (f". Not all of them: {_list(fewer)}." if fewer else ".")
            )
        caveats += self._told_exposure()
        for column in self.headlines:
            if worse := [one.label for one in self.variants if column in self._worse(one)]:
                caveats.append(f"No better than the mean pose in {column.group}, {column.header}: {_list(worse)}.")
        random = [one.label for one in self.variants if one.first.init == "random"]
        if random and len(random) < len(self.variants):
            caveats.append(f"Started from random weights: {_list(random)}. Samples of pre-training are counted.")
        return caveats + self.notes

    def _told_exposure(self) -> list[str]:
        """Who was trained on the training split of a benchmark that it is judged on, or of the default one."""
        told = {f'"{one.label}"': one.exposure for one in self.variants}
        judged = {column.key.partition("/")[0] for column in self.columns}
        watched = [one for one in BENCHMARKS.values() if one is DEFAULT or one.name in judged]
        caveats = []
        for one in watched:
            behind = f", and judged on {one.title}'s test set" if one.name in judged else ""
            caveats += sentences(told, behind=behind, benchmark=one) if "train" in one.splits else []
        return caveats


def _names(one: Variant) -> list[str]:
    return [one.label, *(run.label for run in one.runs)]


def _negative(interval: Interval) -> Interval:
    low = None if interval.high is None else -interval.high
    return Interval(-interval.value, low, None if interval.low is None else -interval.low)


def _mean_over_seeds(parts: Sequence[PerPerson]) -> PerPerson:
    """Each person's error averaged over the seeds; people that one of them lacks are left out."""
    first = parts[0]
    if all(len(part.ids) == len(first.ids) and (part.ids == first.ids).all() for part in parts):
        return PerPerson(first.ids, np.mean([part.values for part in parts], axis=0), first.groups)
    rows = [dict(zip(part.ids.tolist(), part.values.tolist(), strict=True)) for part in parts]
    kept = np.array([i for i, name in enumerate(first.ids.tolist()) if all(name in row for row in rows)], dtype=int)
    ids = first.ids[kept]
    values = np.array([np.mean([row[name] for row in rows]) for name in ids.tolist()])
    return PerPerson(ids, values, None if first.groups is None else first.groups[kept])


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def number(value: float | None, digits: int = 1) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def signed(value: float, digits: int = 1) -> str:
    """A change for a table, with its sign; the minus is a real one."""
    if not np.isfinite(value):
        return "-"
    # Adding zero makes the negative zero, to which small changes are rounded, a positive one.
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed_interval(interval: Interval, digits: int = 1) -> str:
    """The ends of a change's interval, ``-14.0 to -10.6`` with real minus signs; empty where there is none."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{signed(interval.low, digits)} to {signed(interval.high, digits)}"


def interval_text(interval: Interval, digits: int = 1) -> str:
    """``88.7 to 91.5``; empty where there is no interval."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{number(interval.low, digits)} to {number(interval.high, digits)}"


def gain_text(column: Column, run: RunResult | Variant, baseline: RunResult | Variant, gain: Gain) -> str:
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
