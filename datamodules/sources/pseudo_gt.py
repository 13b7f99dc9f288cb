"""Pseudo-GTs as ground truth: a label table attached to the people of the source it was made for, by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from body_models.contracts import GENDERS
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import LABELS_FILE, PROVENANCE_FILE, LabelError, read_labels

VERSION = 1
_COLUMNS = ("global_orient", "body_pose", "betas", "transl", "focal", "princpt")


def attach_labels(table: PeopleTable, labels: str, cache_dir: str = "cache") -> PeopleTable:
    """The people of a table that have a label, with its SMPL parameters and full-image camera.

    Args:
        table: people of the source that was annotated.
        labels: folder of a native label table.
        cache_dir: folder for caches.

    Raises:
        MissingFilesError: there are no complete labels.
        AnnotationError: a column is missing, or no label is of these people.
        LabelError: the label table contradicts itself.
    """
    files = [Path(labels) / name for name in (LABELS_FILE, PROVENANCE_FILE)]
    lost = [path for path in files if not path.is_file()]
    if lost:
        raise MissingFilesError([f"labels {path}. Run the dump stage (again)" for path in lost])
    arguments = {"table": table.folder.name}
    folder = build_or_open(cache_dir, f"{table.name}-labels", files, arguments, VERSION, lambda: _join(table, labels))
    labelled = PeopleTable(folder, table.rows, table.left_out)
    return labelled.select(labelled.column("labelled"), "no label")


def _join(table: PeopleTable, labels: str) -> tuple[Arrays, dict[str, Any]]:
    """All rows of the table in their order, so that caches of crops fit; people without a label get zeros."""
    try:
        found = read_labels(labels, ["id", *_COLUMNS])
    except (pa.ArrowException, OSError, LabelError) as error:
        msg = f"{labels} is not a label table with columns id, {', '.join(_COLUMNS)} ({error}); run the dump again"
        raise AnnotationError(msg) from error
    rows = found.rows_of([person.decode() for person in table.columns["id"].tolist()])
    labelled = rows >= 0
    if not labelled.any():
        msg = f"{labels}: none of its {len(found)} labels is of the people of {table.name}; are they of another source?"
        raise AnnotationError(msg)
    arrays = {**table.columns, "labelled": labelled}
    for name in _COLUMNS:
        values = found.columns[name]
        arrays[name] = np.zeros((len(rows), values.shape[1]), dtype=np.float32)
        arrays[name][labelled] = values[rows[labelled]]
    # Annotators regress the neutral body.
    arrays["gender"] = np.full(len(rows), GENDERS.index("neutral"), dtype=np.uint8)
    strangers = len(found) - int(labelled.sum())
    return arrays, {
        "name": table.name,
        "joint_set": table.joint_set.name,
        "image_root": table.image_root,
        "origin": table.origin,
        "dropped": {**table.read_dropped, **({"label of nobody here": strangers} if strangers else {})},
    }
