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

from experiments.results import HEADLINES, Column, Comparison, RunResult

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, told apart by colour-blind readers, on light and dark alike; one for each run."""
YARDSTICK_COLOR = "#888888"
# Drawn in this colour, replaced by the page's text colour afterwards.
_INK = "#010203"
_SMOOTHING = 40
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
    """Colour of a run (or of what is none) in all figures."""
    labels = [run.label for run in comparison.runs]
    return PALETTE[labels.index(label) % len(PALETTE)] if label in labels else YARDSTICK_COLOR


def mesh_color(color: str) -> tuple[float, float, float]:
    """A figure's colour, lightened so that shading shows on a mesh; red, green, blue in [0, 1]."""
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (0.65 * value + 0.35 for value in rgb)
    return red, green, blue


def metric_figure(comparison: Comparison) -> str:
    """Headline metrics of each run with their intervals, the yardstick as a line."""
    columns = [column for column in comparison.columns if column.key in HEADLINES]
    if not columns:
        return ""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 0.9 + 0.42 * len(comparison.runs)), layout="constrained")
        for axes, column in zip(np.atleast_1d(figure.subplots(1, len(columns), sharey=True)), columns, strict=True):
            _draw_metric(axes, comparison, column)
        return _svg(figure, "errors of each annotator with 95 % intervals")


def _draw_metric(axes: Axes, comparison: Comparison, column: Column) -> None:
    for row, run in enumerate(comparison.runs):
        metric = run.metrics.get(column.key)
        if metric is None:
            continue
        color = color_of(comparison, run.label)
        if metric.low is not None and metric.high is not None:
            axes.plot([metric.low, metric.high], [row, row], color=color, linewidth=2.5, solid_capstyle="round")
        axes.plot(metric.value, row, "o", color=color, markersize=7)
    mean = comparison.yardstick.metrics.get(column.key) if comparison.yardstick else None
    if mean is not None and comparison.yardstick is not None:
        axes.axvline(mean.value, color=YARDSTICK_COLOR, linestyle="--", linewidth=1.2)
        axes.text(mean.value, -0.55, f"{comparison.yardstick.label} ", ha="right", va="center", fontsize=8.5)
    axes.set_yticks(range(len(comparison.runs)), [run.label for run in comparison.runs])
    axes.set_ylim(len(comparison.runs) - 0.4, -0.8)
    values = [run.metrics[column.key] for run in comparison.rows if column.key in run.metrics]
    axes.set_xlim(0, 1.06 * max(value.high or value.value for value in values))
    axes.grid(axis="y", visible=False)
    axes.set_title(column.group, fontsize=9.5, loc="left")
    axes.set_xlabel(f"{column.header}, {column.unit} (smaller is better)", fontsize=9)


class Shares(NamedTuple):
    """One line of :func:`share_figure`: the label, colour and (N,) values of its people."""

    label: str
    color: str
    values: NDArray
    dashed: bool = False


def distribution_figure(comparison: Comparison) -> str:
    """Share of the people whose error is below a value."""
    panels = []
    for column in comparison.columns:
        lines = [
            Shares(run.label, color_of(comparison, run.label), people.values, run is comparison.yardstick)
            for run in comparison.rows
            if (people := run.per_person.get(column.key)) is not None
        ]
        if column.key in HEADLINES and any(line.label != _label(comparison.yardstick) for line in lines):
            panels.append((column.group, f"{column.header}, {column.unit}", lines))
    return share_figure(panels)


def _label(run: RunResult | None) -> str | None:
    return None if run is None else run.label


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
            axes.legend(fontsize=8.5, loc="lower right")
            axes.label_outer()
        return _svg(figure, "share of the people whose error is below a value")


def curve_figures(comparison: Comparison) -> dict[str, str]:
    """One figure for each curve, with a line for each run; single steps faint, their moving mean strong."""
    names = list(dict.fromkeys(name for run in comparison.runs for name in run.curves))
    figures = {}
    with matplotlib.rc_context(_STYLE):
        for name in names:
            figure = Figure(figsize=(4.1, 2.6), layout="constrained")
            axes = figure.subplots()
            for run in comparison.runs:
                points = np.array([point for point in run.curves.get(name, []) if np.isfinite(point[1])])
                if len(points) == 0:
                    continue
                color = color_of(comparison, run.label)
                smooth = _moving_mean(points)
                if len(smooth) < len(points):
                    axes.plot(*_thinned(points).T, color=color, alpha=0.25, linewidth=0.8)
                    axes.plot(*smooth.T, color=color, linewidth=1.8, label=run.label)
                else:
                    axes.plot(*points.T, "o-", color=color, linewidth=1.8, markersize=3, label=run.label)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
            axes.set_xlabel("samples seen", fontsize=9)
            axes.set_title(name, fontsize=9.5, loc="left")
            axes.legend(fontsize=8.5)
            figures[name] = _svg(figure, f"{name} over the samples seen")
    return figures


def _moving_mean(points: np.ndarray) -> np.ndarray:
    """(M, 2): points averaged so that about 40 stay; all of them if there are not more."""
    parts = np.array_split(points, _SMOOTHING) if len(points) > 2 * _SMOOTHING else [point[None] for point in points]
    return np.array([part.mean(axis=0) for part in parts])


def _thinned(points: np.ndarray) -> np.ndarray:
    return points[:: max(1, len(points) // 300)]


def _svg(figure: Figure, description: str) -> str:
    file = io.StringIO()
    # Ids must differ between the figures of a page, and be the same from run to run.
    with matplotlib.rc_context({"svg.hashsalt": description}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The page sets the width; its own font is used.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
