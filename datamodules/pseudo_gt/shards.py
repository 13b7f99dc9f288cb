"""From the processes of a dump to one verified label table (:mod:`datamodules.pseudo_gt.native`).

While it runs, each process streams a *shard* of its own; one process merges them afterwards.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.pseudo_gt.native import (
    BLOCK_ROWS,
    LABELS_FILE,
    PROVENANCE_FILE,
    VERSION,
    LabelError,
    to_arrow,
    write_json,
)

_SHARDS = ".shards"
_SHOWN = 5


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
        table = to_arrow(columns)
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
        for start in range(0, len(expected_ids), BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, len(expected_ids))
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
        self._batches = file.iter_batches(batch_size=BLOCK_ROWS)
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
