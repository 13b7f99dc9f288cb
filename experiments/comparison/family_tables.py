"""Families of regressors times label sets, in Markdown: their errors, and whether all families order the sets alike.

The first table has the errors; the second what changes when one label set is replaced by another, with 95 % t
intervals over the seeds; the last line counts how often a better label set by its own error gave the better regressor.
Label sets that 3DPW-train helped to make, or to train on, are marked.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import yaml

from datamodules.exposure import combined
from experiments.documents.markdown import table_lines
from experiments.exposure import footnotes, mark
from experiments.results.run_results import (
    COLUMNS,
    HEADLINES,
    Column,
    RunResult,
    Variant,
    number,
    signed,
    signed_interval,
)
from experiments.settings.loading import label_sets_name
from experiments.stats.effects import t_interval

FAMILY, LABELS = "downstream.family", "labels.folders"
_DIRECT = "pseudo_gt/smpl24_"

Cells = Mapping[tuple[str, str], Variant]
"""Runs that differ in the seed alone, by label set and family."""


def family_table(runs: Sequence[RunResult]) -> str:
    """The tables of each error of the protocol that the runs' benchmark is known by.

    Args:
        runs: as :func:`experiments.results.finished_runs.read_runs` gives them, of any families and label sets.
    """
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for run in runs:
        labels = yaml.safe_load(run.levels.get(LABELS, "[]")) or []
        groups.setdefault((label_sets_name(labels), run.levels.get(FAMILY, "regressor")), []).append(run)
    cells = {key: Variant(" ".join(key), tuple(group)) for key, group in groups.items()}
    headline = next((one for one in HEADLINES[1:] if any(one in run.metrics for run in runs)), HEADLINES[1])
    columns = [column for column in COLUMNS if column.key.startswith(_protocol(headline))]
    return "\n".join(line for column in columns for line in _tables(cells, column))


def _protocol(key: str) -> str:
    """Beginning of the names of a protocol's metrics: ``threedpw/lsp14_``."""
    source, _, metric = key.partition("/")
    return f"{source}/{metric.partition('_')[0]}_"


def _tables(cells: Cells, column: Column) -> list[str]:
    families = list(dict.fromkeys(family for _, family in cells))
    own = _own_errors(cells, column.key.replace(_protocol(column.key), _DIRECT))
    # From the worst labels to the best; no labels at all come first.
    sets = sorted(dict.fromkeys(name for name, _ in cells), key=lambda name: -own.get(name, float("inf")))
    saw = {name: combined(one.exposure for (of, _), one in cells.items() if of == name) for name in sets}
    marked = {name: name + mark(saw[name]) for name in sets}
    rows = [
        [marked[name], number(own.get(name)), *(_error(cells.get((name, one)), column.key) for one in families)]
        for name in sets
    ]
    changed = []
    for before, after in itertools.combinations(sets, 2):
        known = before in own and after in own
        changes = [_change(_by_seed(cells, before, after, family, column.key)) for family in families]
        own_change = signed(own[after] - own[before]) if known else "-"
        changed.append([f"{marked[before]} by {marked[after]}", own_change, *changes])
    agree = [_agreement(cells, own, family, column.key) for family in families]
    changed.append(["in the order of the labels' own errors", "", *agree])
    # The star of a footnote would begin a list.
    notes = [note.replace("*", "\\*") for note in footnotes(saw.values())]
    return [
        f"### {column.group}: {column.header}, {column.unit}", "",
        *table_lines(["labels", "the labels' own error", *families], rows, 1), "",
        *table_lines(["labels replaced", "the labels' own error", *families], changed, 1), "",
        *itertools.chain.from_iterable((note, "") for note in notes),
    ]  # fmt: skip


def _own_errors(cells: Cells, key: str) -> dict[str, float]:
    """Each label set's error against the true bodies, where it is known; every run on it has the same."""
    errors = {name: variant.mean(key) for (name, _), variant in cells.items()}
    return {name: error for name, error in errors.items() if error is not None}


def _error(variant: Variant | None, key: str) -> str:
    if variant is None:
        return "-"
    spread = variant.spread(key)
    return number(variant.mean(key)) + ("" if spread is None else f" ± {number(spread)}")


def _by_seed(cells: Cells, before: str, after: str, family: str, key: str) -> list[float]:
    """Change of the error in each seed that has both runs."""
    old, new = (
        {} if cell is None else cell.by_seed(key) for cell in map(cells.get, ((before, family), (after, family)))
    )
    return [new[seed] - old[seed] for seed in old if seed in new]


def _change(differences: Sequence[float]) -> str:
    if not differences:
        return "-"
    change = t_interval(differences)
    ends = signed_interval(change)
    return signed(change.value) + (f" ({ends})" if ends else "")


def _agreement(cells: Cells, own: Mapping[str, float], family: str, key: str) -> str:
    ordered = sorted(own, key=lambda name: -own[name])
    changes = [
        change
        for before, after in itertools.combinations(ordered, 2)
        for change in _by_seed(cells, before, after, family, key)
    ]
    return f"{sum(change < 0 for change in changes)} of {len(changes)}"
