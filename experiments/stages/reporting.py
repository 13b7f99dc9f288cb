"""The end of a run: its summary; the end of an experiment: the comparison of its runs."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.pipeline import Run, console
from experiments.settings import Settings


def summarise(run: Run) -> None:
    """Say what the run's stages left."""
    for name, record in run.records.items():
        console.print(f"  {name}: {record.folder}")


def compare(settings: Settings, runs: Sequence[Run]) -> None:
    """Print the errors of each run's labels."""
    for run in runs:
        if "evaluate" in run.records:
            console.print(run.label, run.records["evaluate"].outputs)
