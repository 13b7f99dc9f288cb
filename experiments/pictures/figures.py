"""Figures of the report as inline SVG that takes the page's text colour, in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from experiments.results.run_results import Column, Comparison, Variant
from experiments.stats.effects import Effects

PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b68c8", "#8f8a1f", "#b8436d", "#2f9c95",
    "#a0522d", "#5f7d8e",
)  # fmt: skip
"""Okabe and Ito's colours, told apart by colour-blind readers, on light and dark alike, and more for large grids."""
YARDSTICK_COLOR = "#888888"
# Drawn in this colour, replaced by the page's text colour afterwards.
_INK = "#010203"
_SMOOTHING = 40
_FEW_POINTS = 12
_MANY = 12
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.grid": True,
    "grid.color": "#888888",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def color_of(comparison: Comparison, label: str) -> str:
    """Colour of a variant (or of what is none) in all figures."""
    labels = [one.label for one in comparison.variants]
    return PALETTE[labels.index(label) % len(PALETTE)] if label in labels else YARDSTICK_COLOR


def mesh_color(color: str) -> tuple[float, float, float]:
    """A figure's colour, lightened so that shading shows on a mesh; red, green, blue in [0, 1]."""
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (0.65 * value + 0.35 for value in rgb)
    return red, green, blue


def metric_figure(comparison: Comparison) -> str:
    """Headline metrics of each variant as bars with 95 % intervals and a dot a seed, the yardstick as a line."""
    columns = comparison.headlines
    if not columns:
        return ""
    with matplotlib.rc_context(_STYLE):
        height = 0.42 if len(comparison.variants) <= _MANY else 0.26
        figure = Figure(figsize=(8.4, 0.9 + height * len(comparison.variants)), layout="constrained")
        for axes, column in zip(np.atleast_1d(figure.subplots(1, len(columns), sharey=True)), columns, strict=True):
            _draw_metric(axes, comparison, column)
        return _svg(figure, "errors of each annotator with 95 % intervals")


def _draw_metric(axes: Axes, comparison: Comparison, column: Column) -> None:
    ends = []
    for row, one in enumerate(comparison.variants):
        metric = one.interval(column.key)
        if metric is None:
            continue
        color = color_of(comparison, one.label)
        axes.barh(row, metric.value, height=0.66, color=color, alpha=0.3, linewidth=0)
        if metric.low is not None and metric.high is not None:
            axes.plot([metric.low, metric.high], [row, row], color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot([metric.value] * 2, [row - 0.33, row + 0.33], color=color, linewidth=2.2)
        seeds = list(one.by_seed(column.key).values())
        if len(seeds) > 1:
            axes.plot(seeds, [row] * len(seeds), "o", color=color, markersize=4, markeredgecolor="white")
        ends += [metric.value, *seeds, metric.high or 0]
    mean = comparison.yardstick.metrics.get(column.key) if comparison.yardstick else None
    if mean is not None and comparison.yardstick is not None:
        axes.axvline(mean.value, color=YARDSTICK_COLOR, linestyle="--", linewidth=1.2)
        axes.text(mean.value, -0.75, f"{comparison.yardstick.label} ", ha="right", va="center", fontsize=8.5)
        ends.append(mean.value)
    axes.set_yticks(range(len(comparison.variants)), [one.label for one in comparison.variants])
    axes.set_ylim(len(comparison.variants) - 0.4, -1.1 if mean is not None else -0.6)
    axes.set_xlim(0, 1.04 * max(ends))
    axes.grid(axis="y", visible=False)
    axes.set_title(column.group, fontsize=9.5, loc="left")
    axes.set_xlabel(f"{column.header}, {column.unit} (smaller is better)", fontsize=9)


def effect_figure(panels: Sequence[tuple[Column, Effects]]) -> str:
    """Main effects and interactions with their t intervals and a dot a seed; zero changes nothing."""
    panels = [(column, effects) for column, effects in panels if effects.effects]
    if not panels:
        return ""
    names = [effect.name.replace(" x ", "\nx ").replace(", the", ",\nthe") for effect in panels[0][1].effects]
    with matplotlib.rc_context(_STYLE):
        lines = sum(name.count("\n") + 1 for name in names)
        figure = Figure(figsize=(8.4, 0.9 + 0.3 * lines), layout="constrained")
        for axes, (column, effects) in zip(
            np.atleast_1d(figure.subplots(1, len(panels), sharey=True)), panels, strict=True
        ):
            axes.axvline(0, color=_INK, linewidth=0.8)
            for row, effect in enumerate(effects.effects):
                change = effect.change
                color = YARDSTICK_COLOR if not change.excludes_zero else PALETTE[2 if change.value < 0 else 1]
                if change.low is not None:
                    axes.plot([change.low, change.high], [row, row], color=color, linewidth=2.2)
                axes.plot(list(effect.by_seed.values()), [row] * len(effect.by_seed), "o", color=color, markersize=3.5)
                axes.plot(change.value, row, "D", color=color, markersize=6)
            axes.set_yticks(range(len(names)), names, fontsize=8.5)
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.grid(axis="y", visible=False)
            axes.set_title(column.group.replace(" (", "\n("), fontsize=9, loc="left")
            axes.set_xlabel(f"change of {column.header}, {column.unit}", fontsize=9)
        return _svg(figure, "effect of each recipe with 95 % intervals over seeds")


def quality_figure(comparison: Comparison, columns: Sequence[tuple[str, str]]) -> str:
    """Distributions of the label tables' columns: 5 to 95 % thin, 25 to 75 % thick, median a line, for each variant.

    Args:
        comparison: whose runs know the distributions.
        columns: (column, header) of the panels.
    """
    variants = [one for one in comparison.variants if any(run.quality for run in one.runs)]
    panels = [(key, header) for key, header in columns if any(key in one.first.quality for one in variants)]
    if not panels:
        return ""
    across = 3
    down = -(-len(panels) // across)
    height = 0.28 if len(variants) <= _MANY else 0.14
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, down * (0.8 + height * len(variants))), layout="constrained")
        places = np.atleast_1d(figure.subplots(down, across, sharey=True)).ravel()
        for axes in places[len(panels) :]:
            axes.set_visible(False)
        for axes, (key, header) in zip(places[: len(panels)], panels, strict=True):
            for row, one in enumerate(variants):
                known = [run.quality[key].quantiles for run in one.runs if key in run.quality]
                if not known:
                    continue
                low, first, middle, third, high = np.mean(known, axis=0)
                color = color_of(comparison, one.label)
                axes.plot([low, high], [row, row], color=color, linewidth=1.2)
                axes.barh(row, third - first, left=first, height=0.5, color=color, alpha=0.55, linewidth=0)
                axes.plot([middle, middle], [row - 0.32, row + 0.32], color=color, linewidth=2.4)
            axes.set_yticks(range(len(variants)), [one.label for one in variants], fontsize=8.5)
            axes.set_ylim(len(variants) - 0.4, -0.6)
            axes.grid(axis="y", visible=False)
            axes.set_title(header, fontsize=9, loc="left")
            axes.tick_params(axis="x", labelsize=8.5)
        return _svg(figure, "what the label tables say about themselves")


class Shares(NamedTuple):
    """One line of :func:`share_figure`: the label, colour and (N,) values of its people."""

    label: str
    color: str
    values: NDArray[Any]
    dashed: bool = False


def distribution_figure(comparison: Comparison) -> str:
    """Share of the people whose error is below a value; of the first seed of each variant."""
    panels = []
    for column in comparison.headlines:
        lines = [
            Shares(one.label, color_of(comparison, one.label), people.values, one.first is comparison.yardstick)
            for one in comparison.rows
            if (people := one.first.per_person.get(column.key)) is not None
        ]
        if any(not line.dashed for line in lines):
            panels.append((column.group, f"{column.header}, {column.unit}", lines))
    return share_figure(panels)


def share_figure(panels: Sequence[tuple[str, str, Sequence[Shares]]]) -> str:
    """Share of people below each value, one panel for each (title, name and unit of the values, lines)."""
    if not panels:
        return ""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 2.9), layout="constrained")
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels), sharey=True)), panels, strict=True):
            title, quantity, lines = panel
            limit = 0.0
            for line in lines:
                values = np.sort(line.values[np.isfinite(line.values)])
                if len(values) == 0:
                    continue
                # 200 points draw the curve; thousands would only make the page large.
                share = np.linspace(0, 100, 200)
                errors = np.percentile(values, share)
                axes.plot(errors, share, color=line.color, linestyle="--" if line.dashed else "-", label=line.label)
                limit = max(limit, float(errors[-3]))
            axes.set_xlim(0, limit or None)
            axes.set_ylim(0, 100)
            axes.set_title(title, fontsize=9.5, loc="left")
            axes.set_xlabel(quantity, fontsize=9)
            axes.set_ylabel("% of people below", fontsize=9)
            if len(lines) <= _MANY:
                axes.legend(fontsize=8.5, loc="lower right")
            axes.label_outer()
        return _svg(figure, "share of the people whose error is below a value")


def curve_figures(comparison: Comparison) -> dict[str, str]:
    """One figure for each curve: a line for each variant, the mean of its seeds, and the band that they span."""
    names = list(dict.fromkeys(name for run in comparison.runs for name in run.curves))
    figures = {}
    with matplotlib.rc_context(_STYLE):
        for name in names:
            figure = Figure(figsize=(4.1, 2.6), layout="constrained")
            axes = figure.subplots()
            for one in comparison.variants:
                _draw_curve(axes, one, name, color_of(comparison, one.label))
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
            axes.set_xlabel("people seen", fontsize=9)
            axes.set_title(name, fontsize=9.5, loc="left")
            figures[name] = _svg(figure, f"{name} over the people seen")
    return figures


def _draw_curve(axes: Axes, one: Variant, name: str, color: str) -> None:
    lines, faint = [], []
    for run in one.runs:
        points = np.array([point for point in run.curves.get(name, []) if np.isfinite(point[1])])
        if len(points):
            lines.append(_moving_mean(points))
            faint.append(points)
    if not lines:
        return
    if len(lines) == 1:
        (line,) = lines
        if len(line) < len(faint[0]):
            axes.plot(*_thinned(faint[0]).T, color=color, alpha=0.25, linewidth=0.8)
        axes.plot(*line.T, color=color, linewidth=1.8, marker="o" if len(line) < _FEW_POINTS else "", markersize=3)
        return
    # The seeds may have been logged at other steps.
    seen = lines[0][:, 0]
    values = np.array([np.interp(seen, line[:, 0], line[:, 1]) for line in lines])
    axes.fill_between(seen, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
    axes.plot(seen, values.mean(axis=0), color=color, linewidth=1.8, marker="o" if len(seen) < _FEW_POINTS else "",
              markersize=3)  # fmt: skip


def _moving_mean(points: np.ndarray) -> np.ndarray:
    """(M, 2): points averaged so that about 40 stay; all of them if there are not more."""
    parts = np.array_split(points, _SMOOTHING) if len(points) > 2 * _SMOOTHING else [point[None] for point in points]
    return np.array([part.mean(axis=0) for part in parts])


def _thinned(points: np.ndarray) -> np.ndarray:
    return points[:: max(1, len(points) // 150)]


def _svg(figure: Figure, description: str) -> str:
    file = io.StringIO()
    # Ids must differ between the figures of a page, and be the same from run to run.
    with matplotlib.rc_context({"svg.hashsalt": description}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    # A hundredth of a point is finer than any screen; matplotlib writes a millionth.
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda place: re.sub(r"(\.\d\d)\d+", r"\1", place[0]), svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The page sets the width; its own font is used.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
