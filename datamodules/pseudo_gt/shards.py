"""From the processes of a dump to one verified label table (:mod:`datamodules.pseudo_gt.native`).

While a dump runs, each process writes *parts* into the hidden folder ``.shards`` of its table. A part gets its name
only when it is complete and on disk, so whenever the dump stops, what is there can be used: the next start keeps the
parts of the same dump, which ``dump.json`` names, and the processes go on with everybody else. One process merges the
parts at the end. Nothing here holds more of a table than a few parts, beside some bytes a person for the ids.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from body_models.spec import SMPL, BodySpec
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import (
    BLOCK_ROWS,
    LABELS_FILE,
    PROVENANCE_FILE,
    LabelError,
    LabelWriter,
    annotated_columns,
    read_provenance,
    some_of,
    to_arrow,
    to_numpy,
)
from datamodules.writing import replacing, write_json

VERSION = 2
"""Raised when the columns of a part, or their meaning, change: parts of another version are not gone on with."""

_SHARDS, _IDENTITY, _ROW = ".shards", "dump.json", "row"
_SHOWN = 5


@dataclass(frozen=True)
class DumpTable:
    """A label table to be: where it goes, whose labels it holds, and what is said about their origin.

    Attributes:
        folder: of the table.
        people: who must get a label each; the table is in their order.
        provenance: plain values for labels.json.
        key: plain values that the labels depend on (checkpoint, settings); parts of an interrupted dump with the same
            key and people are kept. None keeps none.
        spec: of the labels' bodies.
    """

    folder: Path
    people: PeopleTable
    provenance: Mapping[str, Any]
    key: Any = None
    spec: BodySpec = SMPL

    @property
    def parts(self) -> list[Path]:
        """The finished parts."""
        return sorted((self.folder / _SHARDS).glob("shard-*.parquet"))

    @cached_property
    def identity(self) -> str:
        """Hash of all that makes it the same dump: key, people and their order, version of the columns."""
        ids = hashlib.sha256(np.ascontiguousarray(self.people.column("id")).tobytes()).hexdigest()
        content = json.dumps([VERSION, len(self.people), ids, self.key], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def open(self) -> None:
        """Keep what an interrupted dump of the same identity left, and remove all else; called by one process."""
        shards = self.folder / _SHARDS
        same = self.key is not None and self._left_identity() == self.identity
        if same and self._is_complete():
            shutil.rmtree(shards, ignore_errors=True)
            return
        if same:
            for path in [*shards.glob("*.tmp"), *(path for path in self.parts if _rows_of_part(path) is None)]:
                path.unlink()
            return
        self.clear()
        shards.mkdir(parents=True)
        write_json(shards / _IDENTITY, {"identity": self.identity})

    def clear(self) -> None:
        """Remove the table and its parts; what says that it is complete goes first."""
        for name in (PROVENANCE_FILE, LABELS_FILE, LABELS_FILE + ".tmp"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / _SHARDS, ignore_errors=True)

    def finished(self) -> NDArray[np.bool_]:
        """(N,) whose labels are on disk, by row of ``people``."""
        done = np.full(len(self.people), self._is_complete())
        for path in self.parts:
            rows = _rows_of_part(path)
            if rows is not None:
                done[rows] = True
        return done

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """(B,) rows of ``people`` with these ids.

        Raises:
            LabelError: an id is of nobody there.
        """
        order, known = self._sorted_ids
        names = np.array([name.encode() for name in ids])
        places = np.minimum(np.searchsorted(known, names), len(known) - 1)
        strange = np.flatnonzero(known[places] != names).tolist()
        if strange:
            msg = f"{self.folder}: {len(strange)} not in the data set ({some_of([ids[i] for i in strange], _SHOWN)})"
            raise LabelError(msg)
        return order[places]

    def merge(self) -> None:
        """Make the table out of its parts, if they hold exactly the expected people, once each.

        Image, size, annotated box and joints come from ``people``, exactly as they were annotated.

        Raises:
            LabelError: people are missing (the parts stay, so that the next start goes on), doubled or out of order.
        """
        if not self.parts and self._is_complete():
            return
        parts = [_Part(path) for path in self.parts]
        self._check(parts)
        with LabelWriter(
            self.folder,
            joint_set=self.people.joint_set.name,
            image_root=self.people.image_root,
            provenance={**self.provenance, "dump": self.identity},
            spec=self.spec,
        ) as writer:
            for start in range(0, len(self.people), BLOCK_ROWS):
                stop = min(start + BLOCK_ROWS, len(self.people))
                block = pa.concat_tables([piece for part in parts for piece in part.between(start, stop)])
                block = block.take(np.argsort(block.column(_ROW).to_numpy()))
                annotated = annotated_columns(self.people, np.arange(start, stop))
                writer.write({**annotated, **to_numpy(block.drop_columns(_ROW))})
        shutil.rmtree(self.folder / _SHARDS)

    def _check(self, parts: list[_Part]) -> None:
        rows = np.concatenate([part.rows for part in parts]) if parts else np.empty(0, np.int64)
        counts = np.bincount(rows, minlength=len(self.people))
        problems = {"missing": np.flatnonzero(counts == 0), "more than once": np.flatnonzero(counts > 1)}
        text = [f"{len(found)} {what} ({self._names(found)})" for what, found in problems.items() if len(found)]
        if text or not len(self.people):
            if len(problems["more than once"]):
                self.clear()  # nobody can say which of the two is right
            msg = f"{self.folder}: of {len(self.people)} people, {'; '.join(text) or 'nobody'}. Run the dump again"
            raise LabelError(msg)
        for part in parts:
            if (np.diff(part.rows) < 0).any():
                self.clear()
                msg = f"{self.folder}: a part of {len(part.rows)} rows is not in the data set's order; do not shuffle"
                raise LabelError(msg)

    def _names(self, rows: NDArray[np.int64]) -> str:
        names = self.people.columns["id"][self.people.rows[rows[: _SHOWN + 1]]]
        return some_of([name.decode() for name in names.tolist()], _SHOWN)

    @cached_property
    def _sorted_ids(self) -> tuple[NDArray[np.int64], NDArray[np.bytes_]]:
        ids = self.people.column("id")
        order = np.argsort(ids, kind="stable")
        known = ids[order]
        doubled = int((known[1:] == known[:-1]).sum())
        if doubled:
            msg = f"{self.folder}: the data set names {doubled} of its people twice"
            raise LabelError(msg)
        return order, known

    def _left_identity(self) -> str | None:
        """Identity of the dump whose parts, or whose table, are here."""
        path = self.folder / _SHARDS / _IDENTITY
        if path.exists():
            return json.loads(path.read_bytes())["identity"]
        return self._merged_identity()

    def _merged_identity(self) -> str | None:
        if not (self.folder / PROVENANCE_FILE).exists():
            return None
        return read_provenance(self.folder)["provenance"].get("dump")

    def _is_complete(self) -> bool:
        return self.key is not None and self._merged_identity() == self.identity


class PartWriter:
    """Writes the parts of one process, each complete under its name or not there.

    Args:
        folder: of the label table.
        rank: number of this process.
        spec: of the labels' bodies.
    """

    def __init__(self, folder: Path, rank: int, spec: BodySpec = SMPL) -> None:
        self.spec = spec
        self._folder, self._rank = folder / _SHARDS, rank
        # Behind those of an interrupted dump.
        taken = [int(path.stem.rpartition("-")[2]) for path in self._folder.glob(f"shard-{rank:05d}-*.parquet")]
        self._number = max(taken, default=-1) + 1

    def write(self, rows: NDArray[np.int64], columns: Mapping[str, Any]) -> None:
        """Write a part.

        Args:
            rows: (N,) rows of the people, rising.
            columns: of the label table, (N, ...) each; the same names every time.
        """
        table = to_arrow(columns, self.spec).add_column(0, _ROW, pa.array(rows, pa.int64()))
        path = self._folder / f"shard-{self._rank:05d}-{self._number:05d}.parquet"
        with replacing(path) as temporary:
            pq.write_table(table, temporary)
        self._number += 1


class _Part:
    """A part, in memory only while its rows are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = pq.read_table(path, columns=[_ROW]).column(_ROW).to_numpy()
        self._table: pa.Table | None = None

    def between(self, start: int, stop: int) -> list[pa.Table]:
        """The rows from start to stop, as a table or none; asked for in rising order."""
        first, last = np.searchsorted(self.rows, [start, stop])
        if first == last:
            return []
        if self._table is None:
            self._table = pq.read_table(self.path)
        piece = self._table.slice(first, last - first)
        if last == len(self.rows):
            self._table = None
        return [piece]


def _rows_of_part(path: Path) -> NDArray[np.int64] | None:
    """Rows in a part, None if it is damaged."""
    try:
        return _Part(path).rows
    except (pa.ArrowException, OSError, KeyError):
        return None
