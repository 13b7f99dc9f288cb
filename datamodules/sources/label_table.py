"""Pseudo-GTs as ground truth: a label table attached to the people of the source it was made for, by id, or alone.

A table of version 2 holds images, boxes and 2D joints itself, so it is a source without the annotations it came from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from body_models.contracts import GENDERS
from body_models.joint_sets import JOINT_SETS
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.ids import IdError, PersonId
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.progress import show_progress
from datamodules.pseudo_gt.native import (
    LABELS_FILE,
    PROVENANCE_FILE,
    LabelError,
    body_sizes,
    column_names,
    compare_ids,
    iter_labels,
    read_labels,
    read_provenance,
)
from datamodules.pseudo_gt.views import Filters, view

VERSION = 3
"""3 reads group and time."""
_COLUMNS = ("global_orient", "body_pose", "betas", "transl", "focal", "princpt")
_PEOPLE_COLUMNS = ("id", "image", "image_size", "person_box", "joints_2d")


def open_pseudo_gt(
    root: str, split: str | None = None, cache_dir: str = "cache", image_root: str | None = None
) -> PeopleTable:
    """Table of the people of a label table, with its SMPL parameters and full-image camera; ids stay what they are.

    Args:
        root: folder of a native label table.
        split: that the ids must say; None for whichever they say.
        cache_dir: folder for caches.
        image_root: folder that image paths start from, where it is not (any more) the one that the table names.

    Raises:
        MissingFilesError: there are no complete labels.
        AnnotationError: the table cannot stand by itself, or is of another split.
        LabelError: the label table contradicts itself.
    """
    files = _files(root)
    meta = read_provenance(root)
    missing = [name for name in (*_PEOPLE_COLUMNS, *_COLUMNS) if name not in column_names(root)]
    if missing:
        msg = (
            f"{root} has no {', '.join(missing)}, so it is no source by itself: give the source that it labels, "
            "and this as its labels"
        )
        raise AnnotationError(msg)
    if meta["joint_set"] not in JOINT_SETS:
        msg = f"{root}: {PROVENANCE_FILE} has joint_set {meta['joint_set']!r}, none of {', '.join(JOINT_SETS)}"
        raise LabelError(msg)
    images = image_root or meta["image_root"]
    if images is None:
        msg = f"{root}: {PROVENANCE_FILE} has no image_root: say where the images are with image_root"
        raise AnnotationError(msg)
    name = next(iter_labels(root, rows=1, columns=["id"]))["id"][0]
    dataset, found, _ = _id(root, name)
    if split not in (None, found):
        msg = f"{root} has labels of split {found!r} ({name}), not of {split!r}"
        raise AnnotationError(msg)
    arguments = {"image_root": str(Path(images).absolute())}
    folder = build_or_open(
        cache_dir,
        f"{dataset}-{found}-alone",
        files,
        arguments,
        VERSION,
        lambda: _read_alone(
            root,
            PeopleBuilder(dataset, found, JOINT_SETS[meta["joint_set"]], Path(images), sizes=body_sizes(root)),
        ),
    )
    return PeopleTable(folder)


def _read_alone(root: str, people: PeopleBuilder) -> tuple[Arrays, dict[str, Any]]:
    there = column_names(root)
    more = [name for name in ("sequence", "frame") if name in there]
    wanted = [*_PEOPLE_COLUMNS, *_COLUMNS, *(name for name in ("gender", *more) if name in there)]
    blocks = iter_labels(root, columns=wanted)
    for block in show_progress(blocks, "reading labels"):
        genders = block.get("gender", ["neutral"] * len(block["id"]))
        for i, (name, gender) in enumerate(zip(block["id"], genders, strict=True)):
            dataset, split, key = _id(root, name)
            if (dataset, split) != (people.dataset, people.split):
                msg = f"{root} has labels of {people.dataset}/{people.split} and of another source: {name}"
                raise LabelError(msg)
            if gender not in GENDERS:
                msg = f"{root}: label {name} has gender {gender!r}, none of {', '.join(GENDERS)}"
                raise LabelError(msg)
            people.add(
                key,
                image=block["image"][i],
                image_size=block["image_size"][i],
                box=block["person_box"][i],
                joints_2d=block["joints_2d"][i],
                gender=GENDERS.index(gender),
                **{column: block[column][i] for column in (*_COLUMNS, *more)},
            )
    return people.finish()


def _id(root: str, name: str) -> PersonId:
    try:
        return PersonId.parse(name)
    except IdError as error:
        msg = f"{root}: label {error}"
        raise LabelError(msg) from error


def _files(labels: str) -> list[Path]:
    if Path(labels).is_file():
        msg = (
            f"{labels} is a file, not the folder of a label table: make one of it with "
            "python -m experiments import-labels FILE --format F --out LABELS"
        )
        raise AnnotationError(msg)
    files = [Path(labels) / name for name in (LABELS_FILE, PROVENANCE_FILE)]
    lost = [path for path in files if not path.is_file()]
    if lost:
        raise MissingFilesError([f"labels {path}. Run the dump stage (again)" for path in lost])
    return files


def attach_labels(
    table: PeopleTable, labels: str, cache_dir: str = "cache", filters: Filters | None = None
) -> PeopleTable:
    """The people of a table that have a label, with its SMPL parameters and full-image camera.

    Args:
        table: people of the source that was annotated.
        labels: folder of a native label table.
        cache_dir: folder for caches.
        filters: limits that the labels have to keep; whoever is left out is counted by reason.

    Raises:
        MissingFilesError: there are no complete labels.
        AnnotationError: a column is missing, or no label is of these people.
        LabelError: the label table contradicts itself, or lacks what a filter looks at.
    """
    files = _files(labels)
    arguments = {"table": table.folder.name}
    folder = build_or_open(cache_dir, f"{table.name}-labels", files, arguments, VERSION, lambda: _join(table, labels))
    people = PeopleTable(folder, table.rows, table.left_out)
    people = people.select(people.column("label_row") >= 0, "no label")
    passed = view(labels, filters or {})
    for number, reason in enumerate(passed.reasons):
        people = people.select(passed.left_out[people.column("label_row")] != number, reason)
    if len(people) == 0:
        msg = f"{labels}: nobody of {table.name} passes the filters ({passed.describe()}); choose wider limits"
        raise LabelError(msg)
    return people


def _join(table: PeopleTable, labels: str) -> tuple[Arrays, dict[str, Any]]:
    """All rows of the table in their order, so that caches of crops fit; people without a label get zeros."""
    try:
        found = read_labels(labels, ["id", *_COLUMNS])
    except (pa.ArrowException, OSError, LabelError) as error:
        msg = (
            f"{labels} is not a label table with columns id, {', '.join(_COLUMNS)} ({error}); run the dump again. "
            "Labels imported from a layout without a camera can be compared, but not trained on"
        )
        raise AnnotationError(msg) from error
    rows = found.rows_of([person.decode() for person in table.columns["id"].tolist()])
    labelled = rows >= 0
    if not labelled.any():
        ids = compare_ids(found.columns["id"][0], table.columns["id"][0].decode())
        msg = f"{labels}: none of its {len(found)} labels is of the people of {table.name}; {ids}. Of another source?"
        raise AnnotationError(msg)
    arrays = {**table.columns, "label_row": rows}
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
        "notes": table.notes,
        "image_places": table.image_places,
        "dropped": {**table.read_dropped, **({"label of nobody here": strangers} if strangers else {})},
    }
