"""Pseudo-GTs as ground truth: a label table attached to the people of the source it was made for, by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from body_models.contracts import GENDERS
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable

VERSION = 1
_COLUMNS = {"global_orient": 3, "body_pose": 69, "betas": 10, "transl": 3, "focal": 2, "princpt": 2}


def attach_labels(table: PeopleTable, labels: str, cache_dir: str = "cache") -> PeopleTable:
    """The people of a table that have a label, with its SMPL parameters and full-image camera.

    Args:
        table: people of the source that was annotated.
        labels: folder of a native label table, with labels-*.parquet.
        cache_dir: folder for caches.

    Raises:
        MissingFilesError: there are no label files.
        AnnotationError: a column is missing, or no label is of these people.
    """
    files = sorted(Path(labels).glob("labels-*.parquet"))
    if not files:
        raise MissingFilesError([f"labels: looked for {labels}/labels-*.parquet. Run the dump stage first"])
    arguments = {"table": table.folder.name}
    folder = build_or_open(
        cache_dir, f"{table.name}-labels", files, arguments, VERSION, lambda: _join(table, labels, files)
    )
    labelled = PeopleTable(folder, table.rows, table.left_out)
    return labelled.select(labelled.column("labelled"), "no label")


def _join(table: PeopleTable, labels: str, files: list[Path]) -> tuple[Arrays, dict[str, Any]]:
    """All rows of the table in their order, so that caches of crops fit; people without a label get zeros."""
    try:
        content = pa.concat_tables([pq.read_table(path, columns=["id", *_COLUMNS]) for path in files])
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"{labels} is not a label table with columns id, {', '.join(_COLUMNS)} ({error}); run the dump again"
        raise AnnotationError(msg) from error
    row_of = {person: row for row, person in enumerate(table.columns["id"].tolist())}
    targets = np.array([row_of.get(person.encode(), -1) for person in content["id"].to_pylist()])
    known = targets >= 0
    if not known.any():
        msg = (
            f"{labels}: none of its {len(targets)} labels is of the people of {table.name}; are they of another source?"
        )
        raise AnnotationError(msg)
    arrays = dict(table.columns)
    arrays["labelled"] = np.zeros(len(row_of), dtype=bool)
    arrays["labelled"][targets[known]] = True
    for name, size in _COLUMNS.items():
        values = content[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, size)
        arrays[name] = np.zeros((len(row_of), size), dtype=np.float32)
        arrays[name][targets[known]] = values[known]
    arrays["gender"] = np.full(len(row_of), GENDERS.index("neutral"), dtype=np.uint8)
    dropped = dict(table.read_dropped)
    if not known.all():
        dropped["label of nobody here"] = int((~known).sum())
    return arrays, {
        "name": table.name,
        "joint_set": table.joint_set.name,
        "image_root": table.image_root,
        "origin": table.origin,
        "dropped": dropped,
    }
