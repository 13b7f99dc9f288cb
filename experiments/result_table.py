"""The table of a comparison for the terminal, for Markdown and as CSV: the same rows everywhere."""

from __future__ import annotations

import csv
import io

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.results import Comparison, RunResult, gain_text, interval_text, number

_FACTS = ("annotator", "initial weights", "auxiliary 3D", "prior", "samples seen")


def _facts(run: RunResult) -> list[str]:
    samples = f"{run.samples:,}" if run.samples else "-"
    return [run.label, run.init or "-", ", ".join(run.auxiliary) or "-", run.prior or "-", samples]


def rich_table(comparison: Comparison) -> Group:
    """Table, gains and caveats for the terminal: a column for each run, so that it fits into 80 characters."""
    table = Table(title=comparison.title, title_justify="left", header_style="bold", show_lines=False)
    table.add_column("")
    for run in comparison.rows:
        table.add_column(run.label, justify="right", style="dim" if run is comparison.yardstick else "")
    facts = [_facts(run) for run in comparison.rows]
    for i, name in enumerate(_FACTS[1:], start=1):
        table.add_row(name, *(fact[i].replace(", ", "\n") for fact in facts))
    best = _best(comparison)
    group = None
    for column in comparison.columns:
        if column.group != group:
            group = column.group
            table.add_section()
            table.add_row(f"[bold]{group}[/]")
        cells = []
        for run in comparison.rows:
            text = number(run.metrics[column.key].value) if column.key in run.metrics else "-"
            cells.append(f"[bold]{text}[/]" if best.get(column.key) is run else text)
        table.add_row(f"  {column.header}, {column.unit}", *cells)
    gains = [Text(gain_text(column, run, comparison.baseline_run, gain)) for column, run, gain in comparison.gains()]
    notes = [Text(f"Note: {note}", style="dim") for note in comparison.caveats()]
    return Group(table, *gains, *notes)


def _best(comparison: Comparison) -> dict[str, RunResult]:
    """The run with the smallest value in each column, where there are several."""
    best = {}
    for column in comparison.columns:
        runs = [run for run in comparison.runs if column.key in run.metrics]
        if len(runs) > 1:
            best[column.key] = min(runs, key=lambda run: run.metrics[column.key].value)
    return best


def markdown_table(comparison: Comparison) -> str:
    """The table with its gains and caveats, for a README or a pull request."""
    columns = comparison.columns
    header = [*_FACTS, *(f"{column.group}: {column.header}, {column.unit}" for column in columns)]
    lines = [f"## {comparison.title}", "", _line(header), _line(["---"] * len(_FACTS) + ["---:"] * len(columns))]
    for run in comparison.rows:
        cells = []
        for column in columns:
            metric = run.metrics.get(column.key)
            text = "-" if metric is None else number(metric.value)
            interval = "" if metric is None else interval_text(metric)
            cells.append(f"{text} ({interval})" if interval else text)
        lines.append(_line([*_facts(run), *cells]))
    lines.append("")
    lines += [f"* {gain_text(column, run, comparison.baseline_run, gain)}" for column, run, gain in comparison.gains()]
    lines += [f"* {note}" for note in comparison.caveats()]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def csv_table(comparison: Comparison) -> str:
    """Every metric of every run: value, low, high; one row a run, full precision."""
    keys = sorted({key for run in comparison.rows for key in run.metrics})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    facts = ["label", "recipe", "seed", "init", "auxiliary", "prior", "is_standin", "synthetic", "used_3dpw_train"]
    ends = ("", "/low", "/high")
    writer.writerow([*facts, "samples_seen", *(key + end for key in keys for end in ends)])
    for run in comparison.rows:
        values: list[float | None] = []
        for key in keys:
            values += list(run.metrics[key]) if key in run.metrics else [None] * 3
        writer.writerow(
            [
                run.label, run.recipe, run.seed, run.init, " ".join(run.auxiliary), run.prior, run.is_standin,
                run.synthetic, run.used_3dpw_train, run.samples, *values,
            ]
        )  # fmt: skip
    return file.getvalue()
