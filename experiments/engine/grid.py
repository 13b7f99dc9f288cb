"""The runs of a sweep as a grid of cells, and its manifest: ``grid.json`` beside the run folders.

The manifest holds the arguments of the command and each cell's index, label, overrides, folder and state, so that a
cell can be run by its index alone, on another machine and at another time::

    python -m experiments.run --grid runs/recipe_grid --index 3

Nothing heavy is imported here: a process that only starts others stays small.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.writing import write_json
from experiments.engine.state import LOG_FILE, read_state
from experiments.settings.loading import expand_sweep
from experiments.settings.schema import Settings

MANIFEST = "grid.json"
VERSION = 1
_SHOWN_LINES = 10


class GridError(ValueError):
    """A grid, or a cell of one, that cannot be found or does not fit its manifest."""


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        index: its place in the manifest.
        label: its name within the grid, e.g. ``three-seed0``.
        settings: of this run alone.
        overrides: the swept values, as ``key=value``.
        folder: its run folder.
    """

    index: int
    label: str
    settings: Settings
    overrides: list[str]
    folder: Path


@dataclass(frozen=True)
class Grid:
    """All runs of one command.

    Attributes:
        settings: before the sweep is expanded.
        arguments: the grid's ``KEY=VALUE`` arguments, which its manifest holds.
        extra: those of this command alone, which the manifest does not hold: ``stages=report`` after all runs must
            not be what the next run of an index is told.
        cells: the runs, in order.
        folder: that the run folders lie in.
    """

    settings: Settings
    arguments: list[str]
    extra: list[str]
    cells: list[Cell]
    folder: Path

    @property
    def is_swept(self) -> bool:
        """Whether it was asked for as a grid; a single run has no manifest."""
        return bool(self.settings.sweep)

    def cell(self, name: str) -> Cell:
        """A cell by index or label.

        Raises:
            GridError: there is none.
        """
        for cell in self.cells:
            if name in (str(cell.index), cell.label):
                return cell
        labels = ", ".join(cell.label for cell in self.cells)
        msg = f"the grid has no run {name!r}: an index from 0 to {len(self.cells) - 1}, or a label of {labels}"
        raise GridError(msg)


def grid_of(
    settings: Settings, origins: Mapping[str, str], arguments: Sequence[str], extra: Sequence[str] = ()
) -> Grid:
    """The grid that settings describe; nothing is made yet.

    Args:
        settings: as ``load_settings`` gives them.
        origins: the same.
        arguments: that ``load_settings`` was given.
        extra: those of them, the last ones, that the manifest is not to hold.
    """
    folder = Path(settings.paths.runs) / settings.name
    values = itertools.product(*([(key, value) for value in swept] for key, swept in settings.sweep.items()))
    cells = [
        Cell(index, label, one, [f"{key}={_written(value)}" for key, value in chosen], folder / label)
        for index, (chosen, (label, one)) in enumerate(zip(values, expand_sweep(settings, origins), strict=True))
    ]
    return Grid(settings, list(arguments[: len(arguments) - len(extra)]), list(extra), cells, folder)


def write_manifest(grid: Grid) -> Path:
    """Write ``grid.json`` with the state that each run has now; returns its path."""
    runs = [
        {
            "index": cell.index,
            "label": cell.label,
            "overrides": cell.overrides,
            "folder": cell.folder.name,
            "state": read_state(cell.folder)["state"],
        }
        for cell in grid.cells
    ]
    path = grid.folder / MANIFEST
    write_json(path, {"version": VERSION, "name": grid.settings.name, "arguments": grid.arguments, "runs": runs})
    return path


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Content of a manifest, by its path or its folder.

    Raises:
        GridError: there is none, or it is of another version.
    """
    path = Path(path).expanduser()
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        msg = f"no manifest {file}: python -m experiments.run ... --manifest writes one"
        raise GridError(msg)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{file} is not valid JSON ({error}): write it again with --manifest"
        raise GridError(msg) from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        msg = f"{file} is no manifest of version {VERSION}: write it again with --manifest"
        raise GridError(msg)
    return content


def check_manifest(grid: Grid, manifest: Mapping[str, Any]) -> None:
    """Refuse a grid whose runs are not those of the manifest that its arguments come from.

    Raises:
        GridError: a file that the arguments name was changed since, or the command's own arguments ask for others.
    """
    if grid.settings.name != manifest["name"]:
        msg = (
            f"name={grid.settings.name}: the manifest is that of {manifest['name']}, and a grid keeps its name; for "
            "another one give all of its arguments instead of --grid"
        )
        raise GridError(msg)
    expected, found = [run["label"] for run in manifest["runs"]], [cell.label for cell in grid.cells]
    if expected != found:
        msg = (
            f"{grid.folder / MANIFEST} has the runs {', '.join(expected)}, its arguments now give {', '.join(found)}: "
            "a file that they name has changed; write the manifest again with --manifest"
        )
        raise GridError(msg)


def failure_lines(cell: Cell) -> list[str]:
    """What is said at the end about a run that failed: why, and the last lines of its log."""
    log = cell.folder / LOG_FILE
    lines = [f"{cell.label}: {read_state(cell.folder).get('error') or 'ended without a word'}"]
    if log.is_file():
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
        lines[0] += f"; the end of {log}:"
        lines += [f"    {line}" for line in last]
    return lines


def manifest_text(grid: Grid) -> str:
    """The runs of a grid, and how to start them one by one."""
    width = max(len(cell.label) for cell in grid.cells)
    lines = [f"{cell.index:>4}  {cell.label:<{width}}  {' '.join(cell.overrides)}".rstrip() for cell in grid.cells]
    lines += [
        "",
        f"{grid.folder / MANIFEST}: {len(grid.cells)} runs",
        f"one of them:  python -m experiments.run --grid {grid.folder} --index 0",
        f"with SLURM:   sbatch --array=0-{len(grid.cells) - 1} experiments/slurm/grid.sbatch {grid.folder}",
        f"the report:   python -m experiments.run --grid {grid.folder} stages=report",
    ]
    return "\n".join(lines)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
