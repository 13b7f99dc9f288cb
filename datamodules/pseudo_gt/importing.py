"""Published pseudo-GTs as native label tables, under the ids of the data set's own people.

Where a file holds the data set's own keys (annotation ids), the ids come from it. Where it holds image names only,
its people are matched to those of a source: image by image, one to one, by the joints that both know or else by the
overlap of the boxes. Nobody is guessed: a person who fits nobody is left out and counted.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from body_models.camera import process_box
from body_models.joint_sets import JOINT_SETS, SPIN49, JointSet, convert_joints
from datamodules.people import PeopleTable
from datamodules.progress import show_progress
from datamodules.pseudo_gt.formats import FORMATS, complete_camera, read_published
from datamodules.pseudo_gt.native import BLOCK_ROWS, JOINTS, Columns, Frame, LabelError, LabelWriter

MIN_COMMON_JOINTS = 3
MAX_JOINT_DISTANCE = 0.05  # of the box, mean over the common joints
MIN_OVERLAP = 0.5  # intersection over union of the boxes; the margins of published boxes differ
_COCO_NAME = re.compile(r"^COCO_(?:train|val|test)\d{4}_")


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
    used_3dpw_train: bool | None = None,
) -> ImportReport:
    """Make a native label table of a published file.

    Args:
        path: of the file.
        format: one of :data:`FORMATS`.
        folder: of the table to write.
        dataset: first part of the ids.
        split: second part of the ids.
        source: the data set's people; image, sizes, boxes and joints are taken from it.
        used_3dpw_train: whether the labels' annotator was trained on 3DPW's training set, which no layout tells; None
            where that is not known.

    Raises:
        LabelError: the file is not in this format, or none of its people is of the source.
    """
    published = read_published(path, format, dataset, split)
    columns, left_out = published.columns, Counter[str]()
    count = len(columns["betas"])
    found, origin = count, "the file's own"
    without = None
    if source is not None:
        rows, origin = _find(columns, published.joint_set, source)
        keep, reason = _first_of_each(rows), "no such person in the source"
        left_out[reason] = int((rows < 0).sum())
        left_out["a second label of one person"] = int((rows >= 0).sum() - keep.sum())
        if not keep.any():
            msg = (
                f"{path}: none of its {count} people is of {source.name}. Is it of this data set and split? Images "
                f"there are named like {source.column('image')[0].decode()}, here like "
                f"{columns['image'][0] if 'image' in columns else '(no image names)'}"
            )
            raise LabelError(msg)
        columns = {name: values[keep] for name, values in columns.items()}
        columns = _with_source(columns, source, rows[keep])
        complete_camera(columns, FORMATS[format].camera, columns["image_size"])
        joint_set: str | None = source.joint_set.name
        without = len(source) - len(np.unique(rows[keep]))
        count = int(keep.sum())
    else:
        joint_set = published.joint_set if JOINTS in columns else None
        if "id" not in columns:
            columns["id"], origin = _ids_of_images(columns, dataset, split), "image names, numbered"
        # Half a camera projects nowhere.
        if not {"transl", "focal", "princpt"} <= set(columns) and "focal" in columns:
            del columns["focal"]
    columns.setdefault("gender", np.full(count, "neutral", dtype=object))
    columns["max_abs_beta"] = np.abs(columns["betas"]).max(axis=1)
    _check_ids(path, columns["id"])
    provenance: dict[str, Any] = {
        "imported_from": str(Path(path).absolute()),
        "format": format,
        "ids": origin,
        "used_3dpw_train": used_3dpw_train,
    }
    frame: Frame = "world" if FORMATS[format].camera == "world" else "camera"
    with LabelWriter(
        folder,
        joint_set=joint_set,
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
        {reason: number for reason, number in left_out.items() if number},
        without,
        [name for name in wanted if name not in columns],
    )


def _find(columns: Columns, joint_set: str | None, source: PeopleTable) -> tuple[NDArray[np.int64], str]:
    """Row of the source for each published person, -1 where there is none, and where the ids come from."""
    if "id" in columns:
        row = {name: i for i, name in enumerate(source.ids())}
        return np.array([row.get(name, -1) for name in columns["id"]], dtype=np.int64), "the file's own"
    if "image" not in columns or "box" not in columns:
        msg = "the file has neither the data set's keys nor images and boxes, so its people cannot be told apart"
        raise LabelError(msg)
    return match_people(columns, joint_set, source), f"those of {source.name}, matched by image and position"


def match_people(columns: Columns, joint_set: str | None, source: PeopleTable) -> NDArray[np.int64]:
    """(N,) row of the source for each published person, -1 where nobody fits; nobody is taken twice.

    Args:
        columns: image, box (N, 4), and joints_2d where they are known.
        joint_set: of joints_2d.
        source: the data set's people.
    """
    names = [name.decode("utf-8", "surrogateescape") for name in source.column("image").tolist()]
    deep = len({_image_key(name, 1) for name in names}) < len(set(names))
    depth = 2 if deep else 1
    here, there = defaultdict(list), defaultdict(list)
    for i, name in enumerate(columns["image"]):
        here[_image_key(name, depth)].append(i)
    for i, name in enumerate(names):
        there[_image_key(name, depth)].append(i)
    rows = np.full(len(columns["box"]), -1, dtype=np.int64)
    boxes, sizes, joints = source.column("box"), source.column("image_size"), source.column(JOINTS)
    known = JOINT_SETS[joint_set] if joint_set is not None and JOINTS in columns else None
    for image, mine in show_progress(here.items(), "Matching people", total=len(here)):
        theirs = there.get(image)
        if not theirs:
            continue
        squares = np.array([process_box(boxes[i], tuple(sizes[i])) for i in theirs])
        score = _overlap(columns["box"][mine], squares)
        if known is not None:
            close = _closeness(columns[JOINTS][mine], known, joints[theirs], source.joint_set, squares[:, 2])
            score = np.where(np.isnan(close), score, close)
        for a, b in zip(*linear_sum_assignment(-score), strict=True):
            if score[a, b] > 0:
                rows[mine[a]] = theirs[b]
    return rows


def _image_key(name: str, depth: int) -> str:
    parts = Path(name).with_suffix("").parts[-depth:]
    return "/".join([*parts[:-1], _COCO_NAME.sub("", parts[-1])])


def _overlap(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """(A, B) intersection over union of boxes x, y, w, h; 0 below the least that counts."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    common = np.clip(high - low, 0, None).prod(axis=2)
    union = a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - common
    share = common / np.maximum(union, 1e-9)
    return np.where(share >= MIN_OVERLAP, share, 0)


def _closeness(a: NDArray, a_set: JointSet, b: NDArray, b_set: JointSet, size: NDArray) -> NDArray[np.float64]:
    """(A, B) 2 minus the mean distance of common joints in limits, so that joints count more than boxes.

    0 beyond the limit; NaN where fewer than three joints are common.
    """
    a, b = convert_joints(a, a_set, SPIN49), convert_joints(b, b_set, SPIN49)
    common = (a[:, None, :, 2] > 0) & (b[None, :, :, 2] > 0)
    distance = np.linalg.norm(a[:, None, :, :2] - b[None, :, :, :2], axis=3)
    number = common.sum(axis=2)
    mean = (distance * common).sum(axis=2) / np.maximum(number, 1) / size[None] / MAX_JOINT_DISTANCE
    return np.where(number < MIN_COMMON_JOINTS, np.nan, np.where(mean <= 1, 2 - mean, 0))


def _first_of_each(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    keep = np.zeros(len(rows), dtype=bool)
    keep[np.unique(rows, return_index=True)[1]] = True
    return keep & (rows >= 0)


def _with_source(columns: Columns, source: PeopleTable, rows: NDArray[np.int64]) -> Columns:
    ids = source.ids()
    image = source.column("image")[rows].tolist()
    boxes, sizes = source.column("box")[rows], source.column("image_size")[rows]
    added: Columns = {
        "id": np.array([ids[row] for row in rows], dtype=object),
        "image": np.array([name.decode("utf-8", "surrogateescape") for name in image], dtype=object),
        "image_size": sizes,
        "person_box": boxes,
        JOINTS: source.column(JOINTS)[rows],
    }
    if "box" not in columns:
        squares = [process_box(box, tuple(size)) for box, size in zip(boxes, sizes, strict=True)]
        added["box"] = np.array(squares, dtype=np.float32)
    return {**columns, **added}


def _ids_of_images(columns: Columns, dataset: str, split: str) -> NDArray:
    if "image" not in columns:
        msg = "the file has neither keys nor image names; name a source (--source KIND=PATH) to find its people"
        raise LabelError(msg)
    seen: Counter[str] = Counter()
    ids = []
    for name in columns["image"]:
        ids.append(f"{dataset}/{split}/{name}#{seen[name]}")
        seen[name] += 1
    return np.array(ids, dtype=object)


def _check_ids(path: str | Path, ids: NDArray) -> None:
    if len(set(ids)) < len(ids):
        name = next(name for name, number in Counter(ids).items() if number > 1)
        msg = f"{path}: the key of {name} occurs more than once, so its people cannot be told apart"
        raise LabelError(msg)
