"""List runs: ``python -m experiments runs [FOLDER ...] [--json]``.

FOLDER holds run folders, or grids of them, at any depth; by default ``runs``. For each run: its state, the stages that
are done of those it goes through, where the running training is, and the main metrics of ``summary.json``, with a mark
where 3DPW-train helped. Runs of a grid that have not begun are listed, too. ``--json`` prints all of it for programs.

States: finished, running, interrupted (start the same command again), failed (its log says why), waiting.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datamodules.exposure import entries, read_exposure
from experiments.cli import CommandParser
from experiments.engine.grid import MANIFEST, GridError, read_manifest
from experiments.engine.state import FAILED, FINISHED, INTERRUPTED, RUNNING, WAITING, read_state
from experiments.exposure import footnotes, mark
from experiments.results.run_results import COLUMNS, HEADLINES

_CONFIG, _SUMMARY = "config.yaml", "summary.json"
_DEPTH = 4
_COLORS = {FINISHED: "green", RUNNING: "cyan", INTERRUPTED: "yellow", FAILED: "red", WAITING: "dim"}


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = CommandParser("runs", __doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("runs")], metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    arguments = parser.parse_args(argv)
    found = [describe_run(folder) for root in arguments.folders for folder in find_runs(root)]
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    _print(found, arguments.folders)
    return 0


def find_runs(root: Path) -> list[Path]:
    """Run folders below a folder, itself included; of a grid also those that are not there yet, in its order.

    Raises:
        GridError: there are none.
    """
    found = list(dict.fromkeys(_walk(root, _DEPTH))) if root.is_dir() else []
    if not found:
        msg = f"no runs in {root}: name the folder that a run's paths.runs was, or one of its subfolders"
        raise GridError(msg)
    return found


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    names = {entry.name for entry in listed}
    if _CONFIG in names:
        yield folder
        return
    if MANIFEST in names:
        yield from (folder / one["folder"] for one in read_manifest(folder)["runs"])
    for entry in listed if depth else ():
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _walk(folder / entry.name, depth - 1)


def describe_run(folder: Path) -> dict[str, Any]:
    """What is known of a run: its state (:func:`experiments.engine.state.read_state`) and its summary's main values.

    Returns:
        Plain values: folder, name, label, state, done and stages (names), stage, step, steps, seconds (of its process,
        or of all its stages once it is finished), recipe, seed, exposure, used_3dpw_train (None where that is not
        known), error, and metrics (name -> value).
    """
    state = read_state(folder)
    summary = _summary(folder)
    if state["state"] == WAITING and (folder / _CONFIG).is_file():
        # Made before runs told their state.
        state["state"] = FINISHED if summary else INTERRUPTED
    seconds = sum(summary["seconds"].values()) if summary and state["state"] == FINISHED else None
    if state["state"] == RUNNING:
        seconds = time.time() - state["started"]
    return {
        "folder": str(folder),
        "name": folder.parent.name,
        "label": folder.name,
        "state": state["state"],
        **{key: state.get(key) for key in ("done", "stages", "stage", "step", "steps", "error")},
        "seconds": seconds,
        "recipe": summary["recipe"]["name"] if summary else None,
        "seed": summary["seed"] if summary else None,
        **entries(read_exposure(summary or {})),
        "metrics": {name: metric["value"] for name, metric in summary["metrics"].items()} if summary else {},
    }


def _summary(folder: Path) -> dict[str, Any] | None:
    path = folder / _SUMMARY
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        msg = f"{path} is not valid JSON ({error}); run the same command again, which writes it anew"
        raise GridError(msg) from error


def _print(found: Sequence[dict[str, Any]], roots: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = [column for column in COLUMNS if column.key in HEADLINES and any(column.key in r["metrics"] for r in found)]
    table = Table(header_style="bold")
    for name in ("run", "state", "stages", "at", "time"):
        table.add_column(name, overflow="fold", no_wrap=name in ("state", "stages"))
    for column in shown:
        table.add_column(f"{column.group}\n{column.header}, {column.unit}", justify="right")
    for run in found:
        values = [run["metrics"].get(column.key) for column in shown]
        table.add_row(
            escape(f"{run['name']}/{run['label']}") + (mark(read_exposure(run)) if run["metrics"] else ""),
            f"[{_COLORS[run['state']]}]{run['state']}[/]",
            "" if run["stages"] is None else f"{_done(run)}/{len(run['stages'])}",
            escape(_place(run)),
            "" if run["seconds"] is None else _duration(run["seconds"]),
            *("-" if value is None else f"{value:.1f}" for value in values),
        )
    if notes := footnotes(read_exposure(run) for run in found if run["metrics"]):
        table.caption = "\n".join(notes)
    console = Console(highlight=False, emoji=False)
    console.print(table)
    counts = {state: sum(run["state"] == state for run in found) for state in _COLORS}
    places = ", ".join(str(root) for root in roots)
    console.print(f"{places}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count))


def _done(run: dict[str, Any]) -> int:
    return len(set(run["done"]) & set(run["stages"]))


def _place(run: dict[str, Any]) -> str:
    """Where a run is or stopped: stage and step; the reason of one that failed."""
    if run["state"] == FAILED:
        return run["error"] or ""
    if run["steps"]:
        return f"{run['stage']} {run['step'] or 0:,}/{run['steps']:,}"
    return run["stage"] or ""


def _duration(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {left:02} s" if minutes else f"{left} s"
