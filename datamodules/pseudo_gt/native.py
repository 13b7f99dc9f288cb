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

How the rows of several processes become one table: :mod:`datamodules.pseudo_gt.shards`.
"""

from __future__ import annotations

import json
import os
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
BLOCK_ROWS = 8192

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


def to_arrow(columns: Mapping[str, Any]) -> pa.Table:
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


def iter_labels(folder: str | Path, rows: int = BLOCK_ROWS) -> Iterator[Columns]:
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
