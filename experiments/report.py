"""The comparison of runs as one self-contained HTML file, and as tables beside it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from rich.console import Console

from experiments.report_figures import color_of, curve_figures, distribution_figure, metric_figure
from experiments.result_table import csv_table, markdown_table, rich_table
from experiments.results import Comparison, GalleryPerson, gain_text, interval_text, number

REPORT_FILE = "report.html"
_JPEG_QUALITY = 85


def build_comparison(comparison: Comparison, folder: str | Path, console: Console | None = None) -> Path:
    """Write ``report.html``, ``table.md`` and ``table.csv``, and print the table.

    Args:
        comparison: what to show.
        folder: where the files go; each appears when it is complete.
        console: terminal for the table; None prints nothing.

    Returns:
        Path of the HTML file, which needs no other file and no network.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", markdown_table(comparison))
    write_text(folder / "table.csv", csv_table(comparison))
    path = write_text(folder / REPORT_FILE, report_html(comparison))
    if console is not None:
        console.print(rich_table(comparison))
    return path


def report_html(comparison: Comparison) -> str:
    """The page as text."""
    # The run with the most stages says their order.
    runs = sorted(comparison.runs, key=lambda run: -len(run.seconds))
    stages = list(dict.fromkeys(stage for run in runs for stage in run.seconds))
    shown = {column.key for column in comparison.columns}
    details = sorted({key for run in comparison.rows for key in run.metrics} - shown)
    return render_page(
        "comparison.html.j2",
        comparison=comparison,
        columns=comparison.columns,
        column_groups=_groups(comparison),
        gains=[
            (gain_text(column, run, comparison.baseline_run, gain), gain.difference.excludes_zero)
            for column, run, gain in comparison.gains()
        ],
        details=details,
        stages=stages,
        colors={label: color_of(comparison, label) for label in _labels(comparison)},
        metric_figure=Markup(metric_figure(comparison)),
        distribution_figure=Markup(distribution_figure(comparison)),
        curves=[Markup(svg) for svg in curve_figures(comparison).values()],
        shows_errors=any(person.errors for person in comparison.people),
        people=[_person(comparison, person) for person in comparison.people],
    )


def render_page(template: str, **values: Any) -> str:
    """A page of the templates folder as text."""
    environment = Environment(
        loader=PackageLoader("experiments"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, interval=interval_text, picture=_picture)
    return environment.get_template(template).render(**values)


def _groups(comparison: Comparison) -> list[tuple[str, int]]:
    """Neighbouring columns under one header: (header, number of columns)."""
    groups: list[tuple[str, int]] = []
    for column in comparison.columns:
        if groups and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    return groups


def _labels(comparison: Comparison) -> list[str]:
    others = [label for person in comparison.people for label in person.views]
    return list(dict.fromkeys([*(run.label for run in comparison.rows), *others]))


def _person(comparison: Comparison, person: GalleryPerson) -> dict[str, Any]:
    labels = [label for label in _labels(comparison) if label in person.views]
    views = [{"label": label, "views": person.views[label], "error": person.errors.get(label)} for label in labels]
    return {"id": person.id, "photo": person.photo, "views": views}


def _picture(rgb: NDArray[np.uint8]) -> str:
    """An image as a data URL."""
    done, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        msg = f"a picture of shape {rgb.shape} and type {rgb.dtype} cannot be written as JPEG"
        raise ValueError(msg)
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def write_text(path: Path, text: str) -> Path:
    """Write a file so that no reader ever sees half of it; returns its path."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    return path
