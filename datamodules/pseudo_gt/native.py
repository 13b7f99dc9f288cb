"""The native label table: one row a person, in Parquet, beside a labels.json that says where the labels come from.

A folder ``labels/<dataset>-<split>/`` holds ``labels-00000.parquet`` and, written last, ``labels.json``; without the
latter the labels are not complete, and are not read. With pandas: ``pandas.read_parquet(labels_file)``.

============== ====== ================================================================================
column         shape  content
============== ====== ================================================================================
id             string ``dataset/split/key``, once each, in the order of the data set
image          string path below the data set's image folder (left out where the writer was not told)
box            4      x, y, w, h of the crop in image pixels
global_orient  3      axis-angle, camera frame
body_pose      69     axis-angle
betas          10     shape of the body of ``gender``
transl         3      metres, camera frame
gender         string of the body model
focal          2      pixels, full image
princpt        2      pixels, full image
latent         32     code of the pose prior (left out where the annotator has none)
error_2d       number mean distance of the annotated joints, in crop widths; NaN where none is annotated
visible_joints number annotated 2D joints that the error was measured on
max_abs_beta   number largest absolute shape coefficient
============== ====== ================================================================================

While it is written, each process streams a *shard* of its own; one process merges them afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from body_models.camera import project
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel

VERSION = 1
LABELS_FILE = "labels-00000.parquet"
PROVENANCE_FILE = "labels.json"
_SHARDS = ".shards"
_MERGE_ROWS = 8192
_SHOWN = 5

# Columns of numbers: (length of each row's vector, or 0 for a scalar; type). All others are strings.
_NUMBERS: dict[str, tuple[int, pa.DataType]] = {
    "box": (4, pa.float32()),
    "global_orient": (3, pa.float32()),
    "body_pose": (69, pa.float32()),
    "betas": (10, pa.float32()),
    "transl": (3, pa.float32()),
    "focal": (2, pa.float32()),
    "princpt": (2, pa.float32()),
    "latent": (32, pa.float32()),
    "error_2d": (0, pa.float32()),
    "visible_joints": (0, pa.int32()),
    "max_abs_beta": (0, pa.float32()),
}

Columns = dict[str, NDArray]
"""Column name -> (N,) or (N, n) array; strings are (N,) object arrays of str."""


class LabelError(ValueError):
    """Labels that are incomplete, doubled, or not what their file says; the message names file, record and remedy."""


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _to_arrow(columns: Mapping[str, Any]) -> pa.Table:
    arrays = {}
    for name, values in columns.items():
        if name not in _NUMBERS:
            arrays[name] = pa.array([str(value) for value in values], pa.string())
            continue
        length, kind = _NUMBERS[name]
        values = np.ascontiguousarray(values)
        if values.shape[1:] != ((length,) if length else ()):
            msg = f"label column {name} has rows of shape {values.shape[1:]}, expected {(length,) if length else ()}"
            raise LabelError(msg)
        flat = pa.array(values.reshape(-1), kind)
        arrays[name] = pa.FixedSizeListArray.from_arrays(flat, length) if length else flat
    return pa.table(arrays)


def _to_numpy(table: pa.Table) -> Columns:
    columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        length, _ = _NUMBERS.get(name, (0, None))
        if isinstance(column, pa.ChunkedArray):  # combining nothing leaves an empty ChunkedArray
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        columns[name] = column.flatten().to_numpy().reshape(-1, length) if length else column.to_numpy(False)
    return columns


class ShardWriter:
    """Streams the rows of one process to disk; the shard has its final name only once it is complete.

    Args:
        folder: of the label table.
        rank: number of this process.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self.path = folder / _SHARDS / f"shard-{rank:05d}.parquet"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self.path.with_suffix(".tmp")
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows as one row group; the same columns every time."""
        table = _to_arrow(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file; does nothing if no row was written."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            os.replace(self._temporary, self.path)


def clear_labels(folder: Path) -> None:
    """Remove a table and its leftovers; what says that it is complete goes first."""
    for name in (PROVENANCE_FILE, LABELS_FILE, LABELS_FILE + ".tmp"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / _SHARDS, ignore_errors=True)


def merge_shards(
    folder: Path, expected_ids: Sequence[str], provenance: Mapping[str, Any], images: Sequence[str] | None = None
) -> None:
    """Make the table out of its shards, if they hold exactly the expected people, once each.

    Shards are read side by side, so memory does not grow with the table. Each must be in the order of
    ``expected_ids``, as an unshuffled sampler leaves them; the table is in that order too.

    Args:
        folder: of the label table.
        expected_ids: of all people, in order.
        provenance: plain values for labels.json.
        images: image path of each expected person.

    Raises:
        LabelError: ids are missing, doubled, unknown or out of order; the shards stay where they are.
    """
    shards = [pq.ParquetFile(path) for path in sorted((folder / _SHARDS).glob("shard-*.parquet"))]
    position = {name: i for i, name in enumerate(expected_ids)}
    if len(position) < len(expected_ids):
        msg = f"{folder}: the data set names {len(expected_ids) - len(position)} of its people twice"
        raise LabelError(msg)
    found_ids = [shard.read(["id"]).column("id").to_pylist() for shard in shards]
    _check_ids(folder, [name for ids in found_ids for name in ids], position)
    order = [np.array([position[name] for name in ids], dtype=np.int64) for ids in found_ids]
    for path, positions in zip(shards, order, strict=True):
        if (np.diff(positions) < 0).any():
            msg = f"{folder}: a shard of {path.metadata.num_rows} rows is not in the data set's order; do not shuffle"
            raise LabelError(msg)

    temporary = folder / (LABELS_FILE + ".tmp")
    cursors = [_Cursor(shard) for shard in shards]
    writer = None
    try:
        for start in range(0, len(expected_ids), _MERGE_ROWS):
            stop = min(start + _MERGE_ROWS, len(expected_ids))
            parts, places = [], []
            for cursor, positions in zip(cursors, order, strict=True):
                first, last = np.searchsorted(positions, [start, stop])
                if last > first:
                    parts.append(cursor.take(int(last - first)))
                    places.append(positions[first:last])
            rows = pa.concat_tables(parts).take(np.argsort(np.concatenate(places)))
            if images is not None:
                rows = rows.add_column(1, "image", pa.array(list(images[start:stop]), pa.string()))
            writer = writer or pq.ParquetWriter(temporary, rows.schema)
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()
        for shard in shards:
            shard.close()
    os.replace(temporary, folder / LABELS_FILE)
    write_json(folder / PROVENANCE_FILE, {"version": VERSION, "rows": len(expected_ids), "provenance": provenance})
    shutil.rmtree(folder / _SHARDS)


class _Cursor:
    """Reads a Parquet file from its beginning, any number of rows at a time."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._batches = file.iter_batches(batch_size=_MERGE_ROWS)
        self._rest = file.schema_arrow.empty_table()

    def take(self, rows: int) -> pa.Table:
        while len(self._rest) < rows:
            self._rest = pa.concat_tables([self._rest, pa.Table.from_batches([next(self._batches)])])
        taken, self._rest = self._rest.slice(0, rows), self._rest.slice(rows)
        return taken


def _check_ids(folder: Path, found: Sequence[str], expected: Mapping[str, int]) -> None:
    counts: dict[str, int] = {}
    for name in found:
        counts[name] = counts.get(name, 0) + 1
    problems = {
        "missing": [name for name in expected if name not in counts],
        "more than once": [name for name, count in counts.items() if count > 1],
        "not in the data set": [name for name in counts if name not in expected],
    }
    text = [
        f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for what, names in problems.items()
        if names
    ]
    if text or not expected:
        msg = f"{folder}: of {len(expected)} people, {'; '.join(text) or 'nobody'}. Run the dump again"
        raise LabelError(msg)


@dataclass
class LabelTable:
    """Labels in memory.

    Attributes:
        folder: where they lie.
        columns: by name, as in the module's docstring.
        provenance: what the writer was told about their origin.
    """

    folder: Path
    columns: Columns
    provenance: dict[str, Any]

    def __len__(self) -> int:
        return len(self.columns["id"])

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """(N,) row of each id, -1 where there is no label."""
        row = {name: i for i, name in enumerate(self.columns["id"])}
        return np.array([row.get(name, -1) for name in ids], dtype=np.int64)


def read_provenance(folder: str | Path) -> dict[str, Any]:
    """Content of labels.json: ``version``, ``rows``, ``provenance``.

    Raises:
        LabelError: there are no complete labels.
    """
    path = Path(folder) / PROVENANCE_FILE
    if not path.exists():
        msg = f"{folder} holds no complete labels ({PROVENANCE_FILE} is missing): run the dump stage (again)"
        raise LabelError(msg)
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["version"] > VERSION:
        msg = f"{path} has version {content['version']}, this code reads up to {VERSION}: update the code"
        raise LabelError(msg)
    return content


def read_labels(folder: str | Path, columns: Sequence[str] | None = None) -> LabelTable:
    """Read a label table.

    Args:
        folder: of the table.
        columns: names to read; None for all.

    Raises:
        LabelError: the labels are incomplete.
    """
    content = read_provenance(folder)
    table = pq.read_table(Path(folder) / LABELS_FILE, columns=None if columns is None else list(columns))
    if len(table) != content["rows"]:
        msg = f"{folder}: {PROVENANCE_FILE} promises {content['rows']} rows, {LABELS_FILE} has {len(table)}"
        raise LabelError(msg)
    return LabelTable(Path(folder), _to_numpy(table), content["provenance"])


def iter_labels(folder: str | Path, rows: int = _MERGE_ROWS) -> Iterator[Columns]:
    """A table's columns, so many rows at a time, for exports that must not hold all of it."""
    read_provenance(folder)
    with pq.ParquetFile(Path(folder) / LABELS_FILE) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield _to_numpy(pa.Table.from_batches([batch]))


def body_parameters(columns: Mapping[str, NDArray]) -> dict[str, torch.Tensor]:
    """Labels as the body model takes them: global_orient (N, 3, 3), body_pose (N, 23, 3, 3), betas, transl (m)."""
    rotations = {
        "global_orient": torch.tensor(columns["global_orient"], dtype=torch.float32),
        "body_pose": torch.tensor(columns["body_pose"], dtype=torch.float32).unflatten(1, (23, 3)),
    }
    tensors = {name: axis_angle_to_matrix(value) for name, value in rotations.items()}
    for name in ("betas", "transl"):
        tensors[name] = torch.tensor(columns[name], dtype=torch.float32)
    return tensors


def reproject(columns: Mapping[str, NDArray], body: BodyModel, rows: int = 256) -> NDArray[np.float32]:
    """(N, J, 2) body joints on the full image, in pixels, from nothing but what a label file holds.

    Args:
        columns: global_orient, body_pose, betas, transl, focal, princpt, as read from any format.
        body: the body that the labels belong to.
        rows: people posed at once.
    """
    parts = []
    with torch.no_grad():
        for start in range(0, len(columns["betas"]), rows):
            some = {name: values[start : start + rows] for name, values in columns.items()}
            joints = body.joints(**body_parameters(some))
            points = project(joints, torch.tensor(some["focal"]), torch.tensor(some["princpt"]))
            parts.append(points.numpy())
    return np.concatenate(parts)
