"""What trainings logged: each stage's CSV files, in one table of steps, and all stages of a run in ``metrics.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

from experiments.engine.pipeline import Run

METRICS = "metrics"
"""Folder of a stage's CSV logs: one version for each time that it was started, so that resuming loses none."""
METRICS_FILE = "metrics.csv"
_FIRST = ("stage", "step")
_UNWANTED = ("epoch", "step")


def read_log(folder: Path) -> dict[int, dict[str, str]]:
    """Rows of a stage's CSV logs by step; of a step that was trained twice, the later one.

    Args:
        folder: of the stage.
    """
    rows: dict[int, dict[str, str]] = {}
    versions = sorted((folder / METRICS).glob("version_*"), key=lambda path: int(path.name.partition("_")[2]))
    for version in versions:
        if not (version / "metrics.csv").is_file():
            continue  # stopped before its first log
        with (version / "metrics.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                rows.setdefault(int(row["step"]), {}).update({key: value for key, value in row.items() if value})
    return dict(sorted(rows.items()))


def write_metrics(run: Run) -> Path:
    """Write ``metrics.csv``: a row for each stage and step, a column for each metric, empty where it was not logged."""
    rows = [
        {"stage": name, "step": str(step), **{key: value for key, value in row.items() if key not in _UNWANTED}}
        for name, record in run.records.items()
        for folder in {record.folder, run.folder / name}  # the dump logs beside the label tables
        for step, row in read_log(folder).items()
    ]
    columns = [*_FIRST, *sorted({key for row in rows for key in row} - set(_FIRST))]
    path = run.folder / METRICS_FILE
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path
