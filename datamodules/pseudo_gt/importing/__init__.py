"""Published pseudo-GTs as native label tables, under the ids of the data set's own people.

Where a file holds the data set's own keys (annotation ids), the ids come from it. Where it holds image names only, its
people are matched to those of a source (:mod:`.matching`): a person who fits nobody is left out and counted. Where the
source knows the people, the file's units are compared with it (:mod:`.units`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.camera import process_box
from datamodules.exposure import UNKNOWN, Exposure, entries
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.formats import FORMATS, complete_camera, read_published
from datamodules.pseudo_gt.formats.exchange import CAMERA_COLUMNS, Published
from datamodules.pseudo_gt.importing.matching import AMBIGUOUS, NOBODY, match_images, match_people, nearest_people
from datamodules.pseudo_gt.importing.units import check_boxes, check_camera
from datamodules.pseudo_gt.native import (
    BLOCK_ROWS,
    Columns,
    Frame,
    LabelError,
    LabelWriter,
    annotated_columns,
    compare_ids,
)
from datamodules.terms import KEY, terms_of


@dataclass
class ImportReport:
    """What became of a published file.

    Attributes:
        folder: of the label table.
        people: labels written.
        found: people in the file.
        ids: where the ids come from: the file's keys, the source's people, or the image names.
        left_out: people left out, by reason.
        without: people of the source who have no label; None without a source.
        missing: columns that a table of this project has and this one has not.
    """

    folder: Path
    people: int
    found: int
    ids: str
    left_out: dict[str, int] = field(default_factory=dict)
    without: int | None = None
    missing: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [f"{self.folder}: {self.people:,} labels of {self.found:,} people; ids are {self.ids}"]
        lines += [f"  {count:,} left out: {reason}" for reason, count in self.left_out.items()]
        if self.without is not None:
            lines.append(f"  {self.without:,} people of the source have no label")
        if self.missing:
            lines.append(f"  not in this layout: {', '.join(self.missing)}")
        return lines


def import_labels(
    path: str | Path,
    format: str,
    folder: str | Path,
    dataset: str,
    split: str,
    source: PeopleTable | None = None,
    exposure: Exposure = UNKNOWN,
) -> ImportReport:
    """Make a native label table of a published file.

    Args:
        path: of the file.
        format: one of :data:`FORMATS`.
        folder: of the table to write.
        dataset: first part of the ids.
        split: second part of the ids.
        source: the data set's people; image, sizes, boxes and joints are taken from it.
        exposure: what the labels' annotator was trained on, which no layout tells.

    Raises:
        LabelError: the file is not in this format or in other units, or none of its people is of the source.
    """
    published = read_published(path, format, dataset, split)
    left_out = Counter(published.left_out)
    found = len(published.columns["betas"]) + left_out.total()
    if source is not None:
        columns, origin, others = _people_of_source(path, published, format, source)
        left_out += others
    else:
        columns, origin = published.columns, "the file's own"
        if "id" not in columns:
            columns["id"], origin = _ids_of_images(path, columns, dataset, split), "image names, numbered"
    if not set(CAMERA_COLUMNS) <= set(columns):
        # Half a camera projects nowhere.
        columns = {name: values for name, values in columns.items() if name not in ("focal", "princpt")}
    count = len(columns["betas"])
    columns.setdefault("gender", np.full(count, "neutral", dtype=object))
    columns["max_abs_beta"] = np.abs(columns["betas"]).max(axis=1)
    _check_ids(path, columns["id"])
    provenance: dict[str, Any] = {
        "imported_from": str(Path(path).absolute()),
        "format": format,
        "ids": origin,
        **entries(exposure),
        KEY: terms_of("smpl", {f"{dataset}-{split}", *exposure.seen}),
    }
    frame: Frame = "world" if FORMATS[format].camera == "world" else "camera"
    with LabelWriter(
        folder,
        joint_set=published.joint_set if source is None else source.joint_set.name,
        image_root=None if source is None else source.image_root,
        provenance=provenance,
        frame=frame,
    ) as writer:
        for start in range(0, count, BLOCK_ROWS):
            writer.write({name: values[start : start + BLOCK_ROWS] for name, values in columns.items()})
    wanted = () if frame == "world" else ("image", "box", "joints_2d", "transl", "focal", "princpt")
    return ImportReport(
        Path(folder),
        count,
        found,
        origin,
        dict(left_out),
        None if source is None else len(source) - count,
        [name for name in wanted if name not in columns],
    )


def _people_of_source(
    path: str | Path, published: Published, format: str, source: PeopleTable
) -> tuple[Columns, str, Counter[str]]:
    """Columns of the people who are of the source, where their ids come from, and how many others there are."""
    if FORMATS[format].camera == "world":
        msg = f"{path}: {format} has one body a frame in the world, no people of {source.name}: leave out the source"
        raise LabelError(msg)
    columns = published.columns
    rows, origin = _find(path, published, source)
    keep = np.zeros(len(rows), dtype=bool)
    keep[np.unique(rows, return_index=True)[1]] = True  # the first label of each person
    keep &= rows >= 0
    if not keep.any():
        raise LabelError(_why_nobody(path, columns, source))
    left_out = Counter(
        {
            "no such person in the source": int((rows == NOBODY).sum()),
            "the name of its image fits several images of the source": int((rows == AMBIGUOUS).sum()),
            "a second label of one person": int((rows >= 0).sum() - keep.sum()),
        }
    )
    columns = _with_source({name: values[keep] for name, values in columns.items()}, source, rows[keep])
    complete_camera(columns, FORMATS[format].camera, columns["image_size"])
    if set(CAMERA_COLUMNS) <= set(columns):
        check_camera(path, columns, source.select(rows[keep]))
    return columns, origin, left_out


def _find(path: str | Path, published: Published, source: PeopleTable) -> tuple[NDArray[np.int64], str]:
    """Row of the source for each published person, negative where there is none, and where the ids come from."""
    columns = published.columns
    if "id" in columns:
        row = {name: i for i, name in enumerate(source.ids())}
        rows = np.array([row.get(name, NOBODY) for name in columns["id"]], dtype=np.int64)
        _check_boxes(path, columns, source, rows)
        return rows, "the file's own"
    if "image" not in columns or "box" not in columns:
        msg = f"{path} has neither the data set's keys nor images and boxes, so its people cannot be told apart"
        raise LabelError(msg)
    images = match_images(columns["image"].tolist(), source)
    _check_boxes(path, columns, source, nearest_people(columns["box"], source, images))
    rows = match_people(columns, published.joint_set, source, images)
    return rows, f"those of {source.name}, matched by image and position"


def _check_boxes(path: str | Path, columns: Columns, source: PeopleTable, rows: NDArray[np.int64]) -> None:
    known = rows >= 0
    if "box" in columns and known.any():
        check_boxes(path, columns["box"][known], source.column("box")[rows[known]])


def _why_nobody(path: str | Path, columns: Columns, source: PeopleTable) -> str:
    """What differs, if none of a file's people is of the source."""
    start = f"{path}: none of its {len(columns['betas']):,} people is of {source.name}"
    if "id" in columns:
        return f"{start}: {compare_ids(columns['id'][0], source.ids()[0])}. Is it of this data set and split?"
    images = match_images(columns["image"].tolist(), source)
    if images.pairs:
        people = sum(len(mine) for mine, _ in images.pairs)
        return (
            f"{start}: {people:,} are on its images, but neither their joints nor their boxes are where the source "
            "has people. Are the images of another size there?"
        )
    there, here = source.column("image")[0].decode("utf-8", "replace"), columns["image"][0]
    why = "fit several images each" if images.ambiguous.any() else "are others"
    names = f"the names of its images {why}; there they are like {there}, here like {here:.80}"
    return f"{start}: {names}. Is it of this data set and split?"


def _with_source(columns: Columns, source: PeopleTable, rows: NDArray[np.int64]) -> Columns:
    added = annotated_columns(source, rows)
    if "box" not in columns:
        pairs = zip(added["person_box"], added["image_size"], strict=True)
        squares = [process_box(box, tuple(size)) for box, size in pairs]
        added["box"] = np.array(squares, dtype=np.float32)
    return {**columns, **added}


def _ids_of_images(path: str | Path, columns: Columns, dataset: str, split: str) -> NDArray[Any]:
    if "image" not in columns:
        msg = f"{path} has neither keys nor image names; name a source (--source KIND=PATH) to find its people"
        raise LabelError(msg)
    seen: Counter[str] = Counter()
    ids = []
    for name in columns["image"]:
        ids.append(f"{dataset}/{split}/{name}#{seen[name]}")
        seen[name] += 1
    return np.array(ids, dtype=object)


def _check_ids(path: str | Path, ids: NDArray[Any]) -> None:
    if len(set(ids)) < len(ids):
        name = next(name for name, number in Counter(ids).items() if number > 1)
        msg = f"{path}: the key of {name} occurs more than once, so its people cannot be told apart"
        raise LabelError(msg)
