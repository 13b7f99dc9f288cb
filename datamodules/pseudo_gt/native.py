"""The native label table: one row a person, in Parquet, beside a labels.json that says where the labels come from.

A folder ``labels/<dataset>-<split>/`` holds ``labels-00000.parquet`` and, written last, ``labels.json``; without the
latter the labels are not complete, and are not read. With pandas: ``pandas.read_parquet(labels_file)``.

Its columns are those of the label table in :mod:`body_models.rows`; docs/labels.md lists them.

A table has the columns that its writer knew; only ``id`` and the body (global_orient, body_pose, betas) are always
there. Numbers that are unknown for single rows are NaN.

A table of the *world* frame (MoCap: one body a frame, fused over the cameras; folder ``<dataset>-<split>-world``)
has ids ``dataset/split/subject/sequence/frame``, global_orient and transl in the world's axes and metres, no image,
box or camera, and besides: sequence, frame, views and view_disagreement.

labels.json: ``version``, ``rows``, ``joint_set`` (of body_models.joint_sets), ``image_root``, ``frame`` (camera or
world), ``body`` (kind, rotations besides the root's, numbers of shape), ``provenance``. Tables without body are of
SMPL; those of version 1 have no joint_set, image_root and frame either. All are still read.

How the rows of several processes become one table: :mod:`datamodules.pseudo_gt.shards`. For users: docs/labels.md.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from body_models.bodies import FREE_BODY, BodyModels
from body_models.camera import project
from body_models.parameters import BodyParameters
from body_models.rows import fits, forms, sizes_of
from body_models.spec import SMPL, BodySpec
from datamodules.people import PeopleTable
from datamodules.writing import replacing, write_json

VERSION = 2
LABELS_FILE = "labels-00000.parquet"
PROVENANCE_FILE = "labels.json"
BLOCK_ROWS = 8192
JOINTS = "joints_2d"

_FORMS = forms("labels")
_TYPES = {"float32": pa.float32(), "int32": pa.int32()}

# Types in labels.json.
_META: dict[str, tuple[type, ...]] = {
    "version": (int,),
    "rows": (int,),
    "joint_set": (str, type(None)),
    "image_root": (str, type(None)),
    "frame": (str,),
    "body": (dict,),
    "provenance": (dict,),
}
# What older tables do not say: those of version 1 the first three, none before there were other bodies the last.
_OLD_META = {
    "joint_set": None, "image_root": None, "frame": "camera",
    "body": {"kind": SMPL.kind, "rotations": SMPL.num_rotations, "shape": SMPL.shape_size},
}  # fmt: skip
# What Arrow was seen to raise on damaged files.
_PARQUET_ERRORS = (pa.ArrowException, OSError, ValueError, MemoryError)

Columns = dict[str, NDArray[Any]]
"""Column name -> (N,) or (N, n) array, joints_2d (N, K, 3); strings are (N,) object arrays of str."""

Frame = Literal["camera", "world"]


class LabelError(ValueError):
    """Labels that are incomplete, doubled, or not what their file says; the message names file, record and remedy."""


def some_of(names: Sequence[str], shown: int = 5) -> str:
    """The first of some names, each cut to 80 characters, for messages."""
    return ", ".join(f"{name:.80}" for name in names[:shown]) + (", ..." if len(names) > shown else "")


def compare_ids(here: str, there: str) -> str:
    """What an id of a file and one of the people that it should be of look like, for messages."""
    return f"ids there are like {there:.80}, here like {here:.80}"


def require_people(path: str | Path, people: int, left_out: Mapping[str, int]) -> None:
    """Raise a LabelError that says why nobody is left, if nobody is."""
    if not people:
        reasons = ", ".join(f"{count:,}: {reason}" for reason, count in left_out.items() if count)
        msg = f"{path} has no label of anybody ({reasons or 'it holds nobody'})"
        raise LabelError(msg)


def to_arrow(columns: Mapping[str, Any], spec: BodySpec = SMPL) -> pa.Table:
    """Label columns of a kind of body as an Arrow table in the types of the native table.

    Raises:
        LabelError: a column has rows of a wrong shape; it is named.
    """
    arrays, sizes = {}, sizes_of(spec)
    for name, values in columns.items():
        form = _FORMS.get(name)
        if form is None or form.dtype == "text":
            arrays[name] = pa.array([str(value) for value in values], pa.string())
            continue
        values = np.ascontiguousarray(values)
        if not fits(form, values.shape[1:], sizes):
            wanted = " x ".join(str(sizes.get(str(size), size)) for size in form.shape)
            msg = f"label column {name} has rows of shape {values.shape[1:]}, expected ({wanted}) of a body {spec.kind}"
            raise LabelError(msg)
        length = math.prod(values.shape[1:])
        flat = pa.array(values.reshape(-1), _TYPES[form.dtype])
        arrays[name] = pa.FixedSizeListArray.from_arrays(flat, length) if form.shape else flat
    return pa.table(arrays)


def to_numpy(table: pa.Table) -> Columns:
    columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # combining nothing leaves an empty ChunkedArray
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        if not pa.types.is_fixed_size_list(column.type):
            columns[name] = column.to_numpy(False)
            continue
        length = column.type.list_size
        values = column.flatten().to_numpy()
        columns[name] = values.reshape(-1, *_row_shape(name, length))
    return columns


@dataclass
class LabelTable:
    """Labels in memory.

    Attributes:
        folder: where they lie.
        columns: by name, as in the module's docstring.
        provenance: what the writer was told about their origin.
        joint_set: name of the joint set of ``joints_2d``; None where the table has none.
        image_root: folder that image paths start from; None where unknown.
        frame: of global_orient and transl.
    """

    folder: Path
    columns: Columns
    provenance: dict[str, Any]
    joint_set: str | None = None
    image_root: str | None = None
    frame: Frame = "camera"

    def __len__(self) -> int:
        return len(self.columns["id"])

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """(N,) row of each id, -1 where there is no label."""
        row = {name: i for i, name in enumerate(self.columns["id"])}
        return np.array([row.get(name, -1) for name in ids], dtype=np.int64)


def write_meta(
    folder: Path,
    rows: int,
    *,
    joint_set: str | None,
    image_root: str | None,
    provenance: Mapping[str, Any],
    frame: Frame = "camera",
    spec: BodySpec = SMPL,
) -> None:
    """Write labels.json, which says that the table beside it is complete; arguments as in :class:`LabelWriter`."""
    content = {
        "version": VERSION,
        "rows": rows,
        "joint_set": joint_set,
        "image_root": None if image_root is None else os.path.abspath(image_root),
        "frame": frame,
        "body": {"kind": spec.kind, "rotations": spec.num_rotations, "shape": spec.shape_size},
        "provenance": dict(provenance),
    }
    write_json(folder / PROVENANCE_FILE, content)


class LabelWriter:
    """Streams a label table to disk; a context manager.

    Parquet and labels.json get their names, in this order, when the block ends without an error; an older table of
    the same folder stays until then. After an error nothing of the new table is left.

    Args:
        folder: of the table.
        joint_set: name of the joint set of ``joints_2d``; None where the rows have none.
        image_root: folder that image paths start from; None where unknown.
        provenance: plain values for labels.json.
        frame: of global_orient and transl.
        spec: of the bodies.

    Attributes:
        rows: written so far.

    Raises:
        LabelError: at the end of the block, if nobody was written.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        joint_set: str | None,
        image_root: str | None,
        provenance: Mapping[str, Any],
        frame: Frame = "camera",
        spec: BodySpec = SMPL,
    ) -> None:
        self.spec = spec
        self.folder = Path(folder)
        self.rows = 0
        self._joint_set, self._image_root, self._provenance, self._frame = joint_set, image_root, provenance, frame
        self._file = ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> LabelWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows as one row group; the same columns every time."""
        table = to_arrow(columns, self.spec)
        if self._writer is None:
            temporary = self._file.enter_context(replacing(self.folder / LABELS_FILE))
            self._writer = pq.ParquetWriter(temporary, table.schema)
        self._writer.write_table(table)
        self.rows += len(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
        if kind is None and not self.rows:
            error = LabelError(f"{self.folder}: no label was written, so there is no table")
        if error is None:
            # What says that a table is complete goes first and comes last.
            (self.folder / PROVENANCE_FILE).unlink(missing_ok=True)
        self._file.__exit__(None if error is None else type(error), error, traceback)
        if kind is not None:
            return
        if error is not None:
            raise error
        write_meta(
            self.folder,
            self.rows,
            joint_set=self._joint_set,
            image_root=self._image_root,
            provenance=self._provenance,
            frame=self._frame,
            spec=self.spec,
        )


def read_provenance(folder: str | Path) -> dict[str, Any]:
    """Content of labels.json, as the module's head says; what older tables do not say is filled in.

    Raises:
        LabelError: there are no complete labels.
    """
    path = Path(folder) / PROVENANCE_FILE
    if not path.exists():
        msg = f"{folder} holds no complete labels ({PROVENANCE_FILE} is missing): run the dump stage (again)"
        raise LabelError(msg)
    try:
        content = {**_OLD_META, **json.loads(path.read_bytes())}
        wrong = [name for name, kinds in _META.items() if type(content.get(name)) not in kinds]
        wrong += ["body"] * any(type(content["body"].get(name)) is not int for name in ("rotations", "shape"))
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        msg = f"{path} is not the labels.json of a label table ({error!r}): run the dump stage again"
        raise LabelError(msg) from error
    if type(content.get("version")) is int and content["version"] > VERSION:
        msg = f"{path} has version {content['version']}, this code reads up to {VERSION}: update the code"
        raise LabelError(msg)
    if wrong or content["frame"] not in ("camera", "world"):
        shown = ", ".join(f"{name} {content.get(name)!r:.60}" for name in wrong or ["frame"])
        msg = f"{path} is not the labels.json of a label table ({shown}): run the dump stage again"
        raise LabelError(msg)
    return content


def body_sizes(folder: str | Path) -> dict[str, int]:
    """Sizes of the columns of a table that depend on its body, as :class:`datamodules.people.PeopleBuilder` takes them.

    Raises:
        LabelError: there are no complete labels.
    """
    return _sizes(read_provenance(folder))


def column_names(folder: str | Path) -> list[str]:
    """Names of a table's columns.

    Raises:
        LabelError: there are no complete labels.
    """
    with _open_table(folder) as file:
        return list(file.schema_arrow.names)


def _open_table(folder: str | Path) -> pq.ParquetFile:
    meta, path = read_provenance(folder), Path(folder) / LABELS_FILE
    rows, sizes = meta["rows"], _sizes(meta)
    with _readable(path):
        file = pq.ParquetFile(path)
    if file.metadata.num_rows != rows:
        found = file.metadata.num_rows
        file.close()
        msg = f"{folder}: {PROVENANCE_FILE} promises {rows} rows, {LABELS_FILE} has {found}"
        raise LabelError(msg)
    wrong = [field for field in file.schema_arrow if not _is_native(field, sizes)]
    if wrong:
        file.close()
        msg = f"{path}: column {wrong[0].name} is of type {wrong[0].type}, which is not a label table's"
        raise LabelError(msg)
    return file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what Arrow says about a damaged file into a LabelError that names it."""
    try:
        yield
    except LabelError:
        raise
    except _PARQUET_ERRORS as error:
        msg = f"{path} cannot be read ({error}): run the dump stage again"
        raise LabelError(msg) from error


def _complete(table: pa.Table) -> Columns:
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = [pc.list_flatten(column)] if pa.types.is_fixed_size_list(column.type) else []
        if any(part.null_count for part in (column, *values)):
            msg = f"column {name} has values missing"
            raise ValueError(msg)
    return to_numpy(table)


def _sizes(meta: Mapping[str, Any]) -> dict[str, int]:
    """Sizes of the bodies of a table, by its labels.json."""
    return {"3R": 3 * meta["body"]["rotations"], "S": meta["body"]["shape"]}


def _is_native(field: pa.Field, sizes: Mapping[str, int]) -> bool:
    """Whether a column has the type that its name stands for; columns of other names are strings or plain numbers."""
    kind, form = field.type, _FORMS.get(field.name)
    if form is None or form.dtype == "text":
        return pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not form.shape:
        return kind.equals(_TYPES[form.dtype])
    if not pa.types.is_fixed_size_list(kind) or not kind.value_type.equals(_TYPES[form.dtype]):
        return False
    return fits(form, _row_shape(field.name, kind.list_size), sizes)


def _row_shape(name: str, length: int) -> tuple[int, ...]:
    """The shape of one row of a column, of whose numbers Parquet only knows how many there are."""
    last = _FORMS[name].shape[1:]
    return (length // 3, *map(int, last)) if last and length % 3 == 0 else (length,)


def _check_columns(folder: str | Path, file: pq.ParquetFile, columns: Sequence[str] | None) -> list[str] | None:
    missing = [name for name in columns or () if name not in file.schema_arrow.names]
    if missing:
        msg = f"{folder} has no column {', '.join(missing)}; it has {', '.join(file.schema_arrow.names)}"
        raise LabelError(msg)
    return None if columns is None else list(columns)


def read_labels(folder: str | Path, columns: Sequence[str] | None = None) -> LabelTable:
    """Read a label table.

    Args:
        folder: of the table.
        columns: names to read; None for all.

    Raises:
        LabelError: the labels are incomplete, or lack a column.
    """
    content = read_provenance(folder)
    with _open_table(folder) as file:
        names = _check_columns(folder, file, columns)
        with _readable(Path(folder) / LABELS_FILE):
            found = _complete(file.read(names))
    meta = {name: content[name] for name in ("provenance", "joint_set", "image_root", "frame")}
    return LabelTable(Path(folder), found, **meta)


def iter_labels(
    folder: str | Path,
    rows: int = BLOCK_ROWS,
    columns: Sequence[str] | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> Iterator[Columns]:
    """A table's columns, so many rows at a time, for whatever must not hold all of it.

    Args:
        folder: of the table.
        rows: of the table that are read at a time.
        columns: names to read; None for all.
        keep: (N,) mask of the rows to yield, e.g. a filter's; None for all. Blocks without any are left out.

    Raises:
        LabelError: the labels are incomplete, lack a column, or are not as many as the mask says.
    """
    start = 0
    with _open_table(folder) as file:
        names = _check_columns(folder, file, columns)
        if keep is not None and keep.shape != (file.metadata.num_rows,):
            msg = f"{folder} has {file.metadata.num_rows} rows, the mask of rows to keep has shape {keep.shape}"
            raise LabelError(msg)
        batches = file.iter_batches(batch_size=rows, columns=names)
        while True:
            with _readable(Path(folder) / LABELS_FILE):
                batch = next(batches, None)
                if batch is None:
                    return
                table = pa.Table.from_batches([batch])
                if keep is not None:
                    table = table.filter(pa.array(keep[start : start + len(batch)]))
                start += len(batch)
                block = _complete(table)
            if len(table):
                yield block


def body_models_of(provenance: Mapping[str, Any], default: str = FREE_BODY) -> str:
    """Reference of the bodies that a table's labels were made with; the default where it does not say."""
    return str(provenance.get("settings", {}).get("paths", {}).get("body_models", default))


def reproject(columns: Mapping[str, NDArray[Any]], bodies: BodyModels) -> NDArray[np.float32]:
    """(N, J, 2) body joints on the full image, in pixels, from nothing but what a label file holds.

    Args:
        columns: global_orient, body_pose, betas, transl, focal, princpt, as read from any format.
        bodies: that the labels belong to; without a column gender the neutral one.
    """
    joints = bodies.joints(BodyParameters.of_columns(columns))
    return project(joints, torch.tensor(columns["focal"]), torch.tensor(columns["princpt"])).numpy()


def annotated_columns(people: PeopleTable, rows: NDArray[Any]) -> Columns:
    """What a label table says of people besides their labels: image, box, joints, and where known group and time.

    Args:
        people: of a source.
        rows: of this view of it.
    """
    names = {"id": "id", "image": "image", "image_size": "image_size", "box": "person_box", JOINTS: JOINTS}
    names |= {name: name for name in ("sequence", "frame") if people.has(name)}
    columns = {new: people.columns[old][people.rows[rows]] for old, new in names.items()}
    for name, values in columns.items():
        if values.dtype.kind == "S":
            texts = [value.decode("utf-8", "surrogateescape") for value in values.tolist()]
            columns[name] = np.array(texts, dtype=object)
    return columns


def read_people(folder: Path, ids: Sequence[str]) -> Columns:
    """All columns of some people of a table, in the order of ids."""
    place = {name: i for i, name in enumerate(ids)}
    names = np.concatenate([block["id"] for block in iter_labels(folder, columns=["id"])])
    keep = np.array([name in place for name in names])
    blocks = list(iter_labels(folder, keep=keep))
    order = np.argsort([place[name] for name in names[keep]])
    return {name: np.concatenate([block[name] for block in blocks])[order] for name in blocks[0]}
