"""What a comparison of label tables says: on the terminal, as compare.json, and as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from body_models.bodies import BodyModels
from datamodules.exposure import read_exposure
from datamodules.pseudo_gt.native import Columns, read_people
from datamodules.writing import write_json, write_text
from experiments.exposure import sentences
from experiments.label_study.shared_people import DISTANCES, TRUTH, LabelComparison, LabelSet
from experiments.pictures.figures import PALETTE, YARDSTICK_COLOR, Shares, share_figure
from experiments.pictures.gallery import draw_people
from experiments.pictures.pages import REPORT_FILE, render_page
from experiments.provenance.records import code_commit, is_free_body
from experiments.results.run_results import GalleryPerson, RunResult, gain_text, number
from experiments.stats.bootstrap import paired_gain

COMPARISON_FILE = "compare.json"
_TRUE_BODY = "true body"
_DRAWN = ("global_orient", "body_pose", "betas", "transl", "focal", "princpt")
_GAINS = ("pa_mpjpe", "mpvpe")
_LARGE_BETA = 3.0


def write_report(
    result: LabelComparison,
    baseline: LabelSet,
    folder: Path,
    people: int,
    images: Path | None,
    body_models: str,
    console: Console,
) -> Path:
    """Print a comparison, and write it into a folder.

    Args:
        result: of :func:`experiments.label_study.shared_people.compare_sets`.
        baseline: the table that the gains of the others are told over.
        folder: for compare.json and report.html.
        people: in each part of the gallery.
        images: folder that image paths start from; None where a table says.
        body_models: reference of the bodies, see :mod:`body_models.bodies`.
        console: terminal for the table.

    Returns:
        Path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    gains = _gains(result, baseline)
    parts = _choose(result, people)
    drawn, problem = _draw(result, parts, images, body_models)
    notes = [*_notes(result, body_models), *([problem] if problem else [])]
    title = f"{len(result.sets)} label tables compared on {len(result.ids):,} people"
    console.print(Group(_terminal_table(result, title), *(Text(text) for text, _ in gains)))
    for note in notes:
        console.print(f"[dim]Note: {note}[/]")
    content = {
        "shared": len(result.ids),
        "union": result.union,
        "truth": None if result.truth is None else str(result.truth),
        "joints_of": result.joints_of,
        "tables": [_plain(one) for one in result.sets],
        "pairs": [
            {"a": result.sets[i].name, "b": result.sets[j].name, **{key: _statistics(v) for key, v in values.items()}}
            for (i, j), values in result.pairs.items()
        ],
        "gains": [text for text, _ in gains],
        "people": {part: [{"id": name, "pa_mpjpe": value} for name, value in chosen] for part, chosen in parts.items()},
        "notes": notes,
        "commit": code_commit(),
    }
    write_json(folder / COMPARISON_FILE, content)
    page = render_page(
        "labels.html.j2",
        title=title,
        result=result,
        rows=_rows(result),
        matrices=[_matrix(result, column.key) for column in DISTANCES],
        distances=DISTANCES,
        gains=gains,
        notes=notes,
        figure=Markup(_figure(result)),
        colors=_colors(result),
        parts=[(part, [(drawn[name], value) for name, value in chosen]) for part, chosen in parts.items()]
        if drawn
        else [],
    )
    path = write_text(folder / REPORT_FILE, page)
    console.print(f"report: {path}")
    return path


def _gains(result: LabelComparison, baseline: LabelSet) -> list[tuple[str, bool]]:
    """Sentences about true errors, and whether each is beyond chance; people of one image are drawn together."""
    found = []
    for column in (column for column in result.columns if column.key in _GAINS):
        for one in result.sets:
            if one is not baseline:
                values = (baseline.values[column.key], one.values[column.key])
                gain = paired_gain(*values, result.images)
                text = gain_text(column, RunResult(one.name), RunResult(baseline.name), gain)
                found.append((text, gain.difference.excludes_zero))
    return found


def _choose(result: LabelComparison, people: int) -> dict[str, list[tuple[str, float]]]:
    """(id, largest PA-MPJPE between two tables in mm) of the most, median and least differing people."""
    values = result.disagreement
    order = np.flatnonzero(np.isfinite(values))
    order = order[np.argsort(values[order], kind="stable")]
    middle = max(0, (len(order) - people) // 2)
    rows = {"most": order[::-1][:people], "median": order[middle : middle + people], "least": order[:people]}
    return {part: [(str(result.ids[row]), float(values[row])) for row in some] for part, some in rows.items()}


def _draw(
    result: LabelComparison,
    parts: dict[str, list[tuple[str, float]]],
    images: Path | None,
    body_models: str,
) -> tuple[dict[str, GalleryPerson], str | None]:
    """The chosen people as pictures by id; or none, and why."""
    ids = list(dict.fromkeys(name for chosen in parts.values() for name, _ in chosen))
    shown = [one for one in result.sets if set(_DRAWN) <= set(one.there)]
    places = next((one for one in result.sets if {"image", "box"} <= set(one.there)), None)
    if not ids:
        return {}, None
    if not shown or places is None:
        return {}, "No table has a camera, image and box, so nobody can be drawn."
    root = images or places.meta["image_root"] or next((o.meta["image_root"] for o in result.sets), None)
    where = read_people(places.folder, ids)
    if root is None or not all(Path(root, name).is_file() for name in where["image"]):
        return (
            {},
            f"The images are not at {root or 'any place that the tables name'}, so nobody is drawn; give --images.",
        )
    bodies: dict[str, Columns] = {one.name: read_people(one.folder, ids) for one in shown}
    bodies[shown[0].name] |= {name: where[name] for name in ("image", "box")}
    if result.truth is not None:
        with np.load(result.truth, allow_pickle=False) as content:
            true = {name: content[name] for name in content.files}
        if set(ids) <= set(true["id"].astype(str).tolist()) and set(_DRAWN) <= true.keys():
            bodies[_TRUE_BODY] = true
    row = {str(name): i for i, name in enumerate(result.ids)}
    errors = {
        one.name: {name: float(one.values["pa_mpjpe"][row[name]]) for name in ids}
        for one in shown
        if "pa_mpjpe" in one.values
    }
    drawn = draw_people(ids, bodies, root, BodyModels(body_models), _colors(result), errors)
    without = [one.name for one in result.sets if one not in shown]
    problem = f"Without a camera, so not drawn: {', '.join(without)}." if without else None
    return {person.id: person for person in drawn}, problem


def _colors(result: LabelComparison) -> dict[str, str]:
    colors = {one.name: PALETTE[i % len(PALETTE)] for i, one in enumerate(result.sets)}
    return {**colors, _TRUE_BODY: YARDSTICK_COLOR}


def _notes(result: LabelComparison, body_models: str) -> list[str]:
    """What a reader must know before believing the numbers."""
    notes = []
    if is_free_body(body_models):
        notes.append("The bodies are the free body, not SMPL: errors are not comparable with published ones.")
    if result.joints_of is not None:
        notes.append(f"The 2D error of all tables is measured on the joints and boxes of {result.joints_of}.")
    if result.truth is not None:
        known = int(np.isfinite(next(one.values["mpvpe"] for one in result.sets)).sum())
        notes.append(f"True bodies are known of {known:,} of the shared people.")
    told = {one.name: read_exposure(one.meta["provenance"]) for one in result.sets}
    notes += sentences(told, "annotated")
    return notes


def _rows(result: LabelComparison) -> list[tuple[str, str, list[str]]]:
    """(header, unit, a text for each table): coverage first, then the figures."""
    shared = [100 * len(result.ids) / one.meta["rows"] for one in result.sets]
    rows = [
        ("labels", "people", [f"{one.meta['rows']:,}" for one in result.sets]),
        ("coverage", "% of all people", [number(100 * one.meta["rows"] / result.union) for one in result.sets]),
        ("compared", "% of its labels", [number(value) for value in shared]),
    ]
    for column in result.columns:
        digits = 2 if column.key in ("limit_violations", "max_abs_beta") else 1
        header = f"{column.header} to the true body" if column.group == TRUTH else column.header
        rows.append((header, column.unit, [number(one.mean(column.key), digits) for one in result.sets]))
        if column.key == "limit_violations":
            rows.append(("people with a joint beyond", "%", [_share(one, column.key, 0) for one in result.sets]))
        if column.key == "max_abs_beta":
            rows.append(
                ("people with |beta| above 3", "%", [_share(one, column.key, _LARGE_BETA) for one in result.sets])
            )
    return rows


def _share(one: LabelSet, key: str, limit: float) -> str:
    return number(100 * float((one.values[key] > limit).mean()))


def _matrix(result: LabelComparison, key: str) -> list[list[str]]:
    """Means between each two tables; a dash on the diagonal."""
    count = len(result.sets)
    cells = [["-"] * count for _ in range(count)]
    for (i, j), values in result.pairs.items():
        cells[i][j] = cells[j][i] = number(float(np.nanmean(values[key], dtype=np.float64)))
    return cells


def _terminal_table(result: LabelComparison, title: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("")
    for one in result.sets:
        table.add_column(one.name, justify="right", overflow="fold")
    for header, unit, texts in _rows(result):
        table.add_row(f"{header}, {unit}" if unit else header, *texts)
    for column in DISTANCES:
        table.add_section()
        table.add_row(f"[bold]{column.header} between tables, {column.unit}[/]")
        for one, texts in zip(result.sets, _matrix(result, column.key), strict=True):
            table.add_row(f"  to {one.name}", *texts)
    return table


def _figure(result: LabelComparison) -> str:
    """Shares of the people below each distance: between tables, and to the truth where it is known."""
    between = [
        Shares(f"{result.sets[i].name} - {result.sets[j].name}", PALETTE[k % len(PALETTE)], values["pa_mpjpe"])
        for k, ((i, j), values) in enumerate(result.pairs.items())
    ]
    colors = _colors(result)
    true = [
        Shares(one.name, colors[one.name], one.values["pa_mpjpe"]) for one in result.sets if "pa_mpjpe" in one.values
    ]
    panels = [("Between the tables", between), ("To the true bodies", true)]
    return share_figure([(title, "PA-MPJPE, mm", lines) for title, lines in panels if lines])


def _plain(one: LabelSet) -> dict[str, Any]:
    provenance = one.meta["provenance"]
    return {
        "name": one.name,
        "folder": str(one.folder),
        "labels": one.meta["rows"],
        "joint_set": one.meta["joint_set"],
        "run": provenance.get("run"),
        "commit": provenance.get("commit"),
        "figures": {key: _statistics(values) for key, values in one.values.items()},
    }


def _statistics(values: NDArray[Any]) -> dict[str, float | None]:
    known = values[np.isfinite(values)].astype(np.float64)
    median, high = np.quantile(known, [0.5, 0.9]).tolist() if len(known) else (None, None)
    return {"people": len(known), "mean": float(known.mean()) if len(known) else None, "median": median, "q90": high}
