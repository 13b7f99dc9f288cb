"""The comparison of runs as one self-contained HTML file, and as tables beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from rich.console import Console

from datamodules.benchmarks import BENCHMARKS
from datamodules.writing import write_text
from experiments.comparison.sections import METRIC_WORDS, SECTIONS, WORDS
from experiments.comparison.tables import csv_table, latex_table, markdown_table, rich_table
from experiments.pictures.figures import (
    color_of,
    curve_figures,
    distribution_figure,
    effect_figure,
    metric_figure,
    quality_figure,
)
from experiments.pictures.mesh_viewer import VIEWER_PEOPLE, viewer_data, viewer_stills
from experiments.pictures.pages import REPORT_FILE, render_page
from experiments.results.run_results import (
    Column,
    Comparison,
    GalleryPerson,
    Variant,
    gain_text,
    number,
)
from experiments.stats.effects import Effects

QUALITY_HEADERS = (
    ("error_2d", "2D error, % of box"),
    ("mirror_disagreement", "mirror disagreement, mm"),
    ("prior_score", "-log density under the prior"),
    ("limit_excess_deg", "beyond joint limits, degrees"),
    ("max_abs_beta", "largest |beta|"),
    ("visible_joints", "annotated joints"),
)
_JOINT_TABLES = {
    **{
        f"{one.name}/{protocol}": f"Regressor on {one.title} ({protocol})"
        for one in BENCHMARKS.values()
        for protocol in one.all_protocols
    },
    "pseudo_gt/smpl24": "Labels against true bodies (smpl24)",
}
_SHOWN_SEQUENCES = 40
_TOLD_GAINS = 8
_HEAT = "213, 94, 0"


def build_comparison(
    comparison: Comparison, folder: str | Path, console: Console | None = None, meshes: int = VIEWER_PEOPLE
) -> Path:
    """Write ``report.html``, ``table.md``, ``table.tex`` and ``table.csv``, and print the table.

    Args:
        comparison: what to show.
        folder: where the files go; each appears when it is complete.
        console: terminal for the table; None prints nothing.
        meshes: people whose meshes the page holds, to be turned.

    Returns:
        Path of the HTML file, which needs no other file and no network.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", markdown_table(comparison))
    write_text(folder / "table.tex", latex_table(comparison))
    write_text(folder / "table.csv", csv_table(comparison))
    path = write_text(folder / REPORT_FILE, report_html(comparison, meshes))
    if console is not None:
        console.print(rich_table(comparison))
    return path


def report_html(comparison: Comparison, meshes: int = VIEWER_PEOPLE) -> str:
    """The page as text."""
    # The run with the most stages says their order.
    runs = sorted(comparison.runs, key=lambda run: -len(run.seconds))
    stages = list(dict.fromkeys(stage for run in runs for stage in run.seconds))
    shown = {column.key for column in comparison.columns}
    details = sorted({key for run in comparison.runs for key in run.metrics} - shown)
    # Of several seeds the table tells the change, with an interval over trainings: one over people would contradict it.
    gains = [
        (
            gain_text(column, one, comparison.baseline_variant, gain),
            gain.difference.excludes_zero and not comparison.warning,
        )
        for column, one, gain in comparison.gains()
        if len(comparison.seeds) <= 1
    ]
    colors = {label: color_of(comparison, label) for label in _labels(comparison)}
    effects = comparison.headline_effects
    viewer = viewer_data(comparison, colors, meshes)
    content: dict[str, Any] = dict(
        comparison=comparison,
        sections={section.name: section for section in SECTIONS},
        columns=comparison.columns,
        groups_of=_groups,
        missing_runs=_missing_runs(effects),
        words=_words(comparison),
        gains=gains,
        told_gains=_TOLD_GAINS,
        details=details,
        stages=stages,
        colors=colors,
        metric_figure=Markup(metric_figure(comparison)),
        distribution_figure=Markup(distribution_figure(comparison)),
        effects=effects,
        effect_figure=Markup(effect_figure(effects)),
        seed_rows=_seed_rows(comparison),
        curves=[Markup(svg) for svg in curve_figures(comparison).values()],
        joint_tables=[
            (title, _heat_table(comparison, {one.label: _means(one, "per_joint", key) for one in comparison.variants}))
            for key, title in _JOINT_TABLES.items()
            if any(key in run.per_joint for run in comparison.runs)
        ],
        sequence_tables=_sequence_tables(comparison),
        quality_figure=Markup(quality_figure(comparison, QUALITY_HEADERS)),
        quality_headers=[
            (key, header) for key, header in QUALITY_HEADERS if any(key in run.quality for run in comparison.runs)
        ],
        quality=lambda one, key: _quality(one, key),
        shows_errors=any(person.errors for person in comparison.people),
        people=[_person(comparison, person) for person in comparison.people],
        viewer=viewer,
        stills=viewer_stills(comparison, colors) if viewer else {},
    )
    return render_page("comparison.html.j2", **content, present=_present(content))


def _words(comparison: Comparison) -> dict[str, str]:
    """The words of the page and what they mean."""
    heads = " ".join(f"{column.group} {column.header}" for column in comparison.columns)
    return {**WORDS, **{word: meaning for word, meaning in METRIC_WORDS.items() if word in heads}}


def _present(content: Mapping[str, Any]) -> list[str]:
    """The sections that have content, in their order."""
    sources = {
        "results": "columns", "effects": "effects", "curves": "curves", "joints": "joint_tables",
        "sequences": "sequence_tables", "labels": "quality_figure", "gallery": "people", "viewer": "viewer",
        "details": "details",
    }  # fmt: skip
    return [section.name for section in SECTIONS if content[sources[section.name]]]


def _missing_runs(effects: Sequence[tuple[Column, Effects]]) -> list[tuple[str, tuple[str, ...]]]:
    """What an incomplete grid lacks, each list of runs once: a sentence, and the runs."""
    told: dict[tuple[str, ...], tuple[str, list[Column]]] = {}
    for column, found in effects:
        if found.missing:
            what = (
                f"some runs are missing, so the effects are those of seeds {', '.join(map(str, found.seeds))}."
                if found.effects
                else "the grid is not complete, so main effects and interactions cannot be told apart."
            )
            told.setdefault(found.missing, (what, []))[1].append(column)
    return [
        (f"{'; '.join(f'{one.group}, {one.header}' for one in columns)}: {what} {len(missing)} missing:", missing)
        for missing, (what, columns) in told.items()
    ]


def _seed_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Each run by itself: its headline metrics, and its difference to the baseline's run of the same seed."""
    rows = []
    for one in comparison.variants:
        for run in one.runs:
            cells = []
            for column in comparison.headlines:
                gain = None
                if one is not comparison.baseline_variant:
                    gain = comparison.gain(column.key, one, run.seed or 0)
                cells.append((run.metrics.get(column.key), None if gain is None else gain.difference))
            rows.append({"label": one.label, "run": run.label, "seed": run.seed, "cells": cells})
    return rows


def _means(one: Variant, name: str, key: str) -> dict[str, float]:
    """Mean over the seeds of what the runs know by joint or by sequence."""
    known = [values for run in one.runs if (values := getattr(run, name).get(key))]
    names = dict.fromkeys(part for values in known for part in values)
    return {part: float(np.mean([values[part] for values in known if part in values])) for part in names}


def _heat_table(
    comparison: Comparison, columns: dict[str, dict[str, float]], most: int | None = None
) -> tuple[list[str], list[tuple[str, list[tuple[str, str]]]]]:
    """(labels, rows of (name, cells of (text, style))); with ``most`` only the rows with the largest errors."""
    columns = {label: values for label, values in columns.items() if values}
    names = list(dict.fromkeys(name for values in columns.values() for name in values))
    # The root has no error, because it is the origin.
    names = [name for name in names if any(values.get(name, 0.0) != 0 for values in columns.values())]
    if most is not None:
        means = {name: np.nanmean([values.get(name, np.nan) for values in columns.values()]) for name in names}
        names = sorted(names, key=lambda name: -means[name])[:most]
    known = [values[name] for values in columns.values() for name in names if np.isfinite(values.get(name, np.nan))]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    rows = []
    for name in names:
        cells = []
        for values in columns.values():
            value = values.get(name)
            heat = 0.0 if value is None or high <= low else 0.55 * (value - low) / (high - low)
            cells.append((number(value), f"background: rgba({_HEAT}, {heat:.2f})" if np.isfinite(heat) else ""))
        rows.append((name.replace("_", " "), cells))
    return list(columns), rows


def _sequence_tables(comparison: Comparison) -> list[tuple[str, Any, int]]:
    """(title, heat table, number of recordings) for each headline metric that is known by recording."""
    tables = []
    for column in comparison.headlines:
        by_label = {one.label: _means(one, "per_sequence", column.key) for one in comparison.variants}
        count = len({name for values in by_label.values() for name in values})
        if count:
            title = f"{column.group}: {column.header}, {column.unit}"
            tables.append((title, _heat_table(comparison, by_label, _SHOWN_SEQUENCES), count))
    return tables


def _quality(one: Variant, key: str) -> tuple[str, str]:
    """Mean and median of a column of a variant's label tables, as texts."""
    known = [run.quality[key] for run in one.runs if key in run.quality]
    if not known:
        return "-", ""
    digits = 2 if key == "max_abs_beta" else 1
    mean, median = np.mean([(values.mean, values.quantiles[2]) for values in known], axis=0)
    return number(mean, digits), number(median, digits)


def _groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Neighbouring columns under one header: (header, number of columns)."""
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    return groups


def _labels(comparison: Comparison) -> list[str]:
    others = [label for person in comparison.people for label in person.views]
    return list(dict.fromkeys([*(one.label for one in comparison.rows), *others]))


def _person(comparison: Comparison, person: GalleryPerson) -> dict[str, Any]:
    labels = [label for label in _labels(comparison) if label in person.views]
    views = [{"label": label, "views": person.views[label], "error": person.errors.get(label)} for label in labels]
    values = {label: error for label, error in person.errors.items() if np.isfinite(error)}
    if values:
        values["mean error"] = float(np.mean(list(values.values())))
    if person.disagreement is not None:
        values["disagreement"] = person.disagreement
    return {
        "id": person.id, "photo": person.photo, "views": views, "disagreement": person.disagreement,
        "contested": person.contested, "values": json.dumps({key: round(value, 1) for key, value in values.items()}),
    }  # fmt: skip
