"""What a protocol gave, and how it is shown: one JSON line, tables on the terminal, files."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from callbacks.person_errors import Evaluation
from experiments.results.run_results import interval_text, number
from experiments.stats.bootstrap import mean_interval
from lightning_modules.scoring.protocols import PROTOCOLS

METRICS = ("mpjpe", "pa_mpjpe", "mpvpe", "pa_mpvpe", "pck50", "auc200", "pck150", "auc150", "mpjae")
"""Metrics that every JSON line has, null where the input lacks what they need."""
_PERCENT = ("pck", "auc", "turned")
_IN_LISTS = ("mpjpe", "pa_mpjpe", "mpvpe", "pck150")


@dataclass
class ProtocolErrors:
    """The errors of N samples under one protocol.

    Attributes:
        protocol: its name.
        ids: (N,) str.
        metrics: (N,) by name; mm, degrees (mpjae, mpjae_pa) or percent (pck, auc, turned); NaN for samples that are
            excluded.
        per_joint: (N, J) errors of single joints, mm.
        joint_names: of the J joints.
        groups: (N,) str, the sequence or image of each sample; None: each by itself.
        facts: what else is known, for the JSON line.
    """

    protocol: str
    ids: NDArray[Any]
    metrics: dict[str, NDArray[np.float64]]
    per_joint: NDArray[np.float64]
    joint_names: Sequence[str]
    groups: NDArray[Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(N,) whether a sample has a value of some metric."""
        known = np.zeros(len(self.ids), dtype=bool)
        for values in self.metrics.values():
            known |= np.isfinite(values)
        return known

    def mean(self, metric: str) -> float | None:
        """Mean over the samples that count; None where there is none."""
        values = self.metrics.get(metric, np.empty(0))
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else None


def by_protocol(evaluation: Evaluation, facts: dict[str, Any]) -> list[ProtocolErrors]:
    """An evaluation's protocols, one by one."""
    found = []
    for key, per_joint in evaluation.per_joint.items():
        start = f"{key}_"
        values = {name.removeprefix(start): v for name, v in evaluation.values.items() if name.startswith(start)}
        protocol = PROTOCOLS[key]
        found.append(
            ProtocolErrors(
                protocol.name, evaluation.ids, values, per_joint, protocol.joint_names, evaluation.sequences, facts
            )
        )
    return found


def json_line(scored: ProtocolErrors) -> str:
    """``{"protocol": ..., "n": ..., "excluded": ..., "mpjpe": ..., ...}``; never NaN, which is not JSON."""
    count = int(scored.counted.sum())
    names = dict.fromkeys([*METRICS, *scored.metrics])
    content = {
        "protocol": scored.protocol,
        "n": count,
        "excluded": len(scored.ids) - count,
        **{name: scored.mean(name) for name in names},
        **scored.facts,
    }
    return json.dumps(content, allow_nan=False)


def print_table(results: Sequence[ProtocolErrors], console: Console, resamples: int) -> None:
    """Each metric with its 95 % interval."""
    table = Table(
        "protocol",
        "n",
        "excluded",
        Column("metric", no_wrap=True, overflow="fold"),
        "mean",
        Column("95 % interval", no_wrap=True),
        "unit",
    )
    for scored in results:
        count = int(scored.counted.sum())
        first = [scored.protocol, f"{count:,}", f"{len(scored.ids) - count:,}"]
        for name, values in scored.metrics.items():
            values = np.where(np.isfinite(values), values, np.nan)
            interval = mean_interval(values, scored.groups, resamples)
            table.add_row(*first, name, number(interval.value, 2), interval_text(interval, 2), _unit(name))
            first = ["", "", ""]
        table.add_section()
    console.print(table)
    for fact in dict.fromkeys(fact for scored in results for fact in scored.facts.items()):
        console.print("{}: {}".format(*fact).replace("None", "unknown"), highlight=False)


def print_joints(scored: ProtocolErrors, console: Console) -> None:
    """The mean error of each joint, after the alignment of the root."""
    table = Table("joint", "mean error, mm", title=f"{scored.protocol}: joints")
    for name, value in zip(scored.joint_names, _column_means(scored.per_joint), strict=True):
        table.add_row(name, number(value, 2))
    console.print(table)


def print_sequences(scored: ProtocolErrors, console: Console) -> None:
    """The means of each sequence or image."""
    if scored.groups is None:
        console.print(f"{scored.protocol}: the input says no sequences")
        return
    shown = [name for name in _IN_LISTS if name in scored.metrics]
    table = Table(Column("sequence", overflow="fold"), "n", *shown, title=f"{scored.protocol}: sequences")
    names, numbers = np.unique(scored.groups, return_inverse=True)
    for place, name in enumerate(names):
        some = numbers == place
        means = [number(_column_means(scored.metrics[metric][some][:, None])[0], 2) for metric in shown]
        table.add_row(escape(str(name)), f"{int(scored.counted[some].sum()):,}", *means)
    console.print(table)


def print_worst(scored: ProtocolErrors, count: int, console: Console) -> None:
    """The samples with the largest PA-MPJPE."""
    values = scored.metrics.get("pa_mpjpe", np.empty(0))
    rows = np.flatnonzero(np.isfinite(values))
    shown = [name for name in _IN_LISTS if name in scored.metrics]
    table = Table(Column("sample", overflow="fold"), *shown, title=f"{scored.protocol}: worst by pa_mpjpe")
    for row in rows[np.argsort(-values[rows], kind="stable")[:count]]:
        table.add_row(escape(str(scored.ids[row])), *(number(scored.metrics[name][row], 2) for name in shown))
    console.print(table)


def save(results: Sequence[ProtocolErrors], folder: Path, resamples: int) -> None:
    """Write ``summary.csv`` (a row a metric), and for each protocol ``<name>.npz`` and ``<name>.csv`` (a row a sample).

    In the .npz: ids, one (N,) array a metric, per_joint (N, J), joint_names, and groups where known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["protocol", "n", "excluded", "metric", "unit", "mean", "low", "high"])
        for scored in results:
            count = int(scored.counted.sum())
            for name, values in scored.metrics.items():
                interval = mean_interval(np.where(np.isfinite(values), values, np.nan), scored.groups, resamples)
                shown = [scored.protocol, count, len(scored.ids) - count, name, _unit(name)]
                writer.writerow([*shown, *(_cell(value) for value in interval)])
    for scored in results:
        path = folder / scored.protocol.replace("/", "_")
        arrays: dict[str, Any] = {"ids": scored.ids.astype(str), **scored.metrics, "per_joint": scored.per_joint}
        arrays["joint_names"] = np.array(scored.joint_names)
        if scored.groups is not None:
            arrays["groups"] = scored.groups.astype(str)
        np.savez_compressed(path.with_suffix(".npz"), **arrays)
        with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", *scored.metrics])
            for row, person in enumerate(scored.ids):
                writer.writerow([person, *(_cell(float(values[row])) for values in scored.metrics.values())])


def _cell(value: float | None) -> float | str:
    return "" if value is None or not np.isfinite(value) else value


def _unit(metric: str) -> str:
    return "%" if metric.startswith(_PERCENT) else "degrees" if metric.startswith("mpjae") else "mm"


def _column_means(values: NDArray[Any]) -> list[float | None]:
    """Mean of each column over what is finite."""
    columns = [column[np.isfinite(column)] for column in values.T]
    return [float(column.mean()) if len(column) else None for column in columns]
