"""Who the people of a published file are, where it holds image names and positions instead of the data set's keys.

Images are told apart by their whole path: two names are of one image if, folder by folder from the end, one is the end
of the other. Folders that only say where images lie (images, train2014, imageFrames, ...), COCO's prefix of 2014 and
the kind of file do not count, because code bases differ in them. Within an image people are matched one to one by the
joints that both sides know, or else by the overlap of their boxes. Nobody is guessed: who fits nobody, or is of an
image whose name fits several, stays without a match.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from body_models.camera import process_box
from body_models.joint_sets import JOINT_SETS, SPIN49, JointSet, convert_joints
from datamodules.people import PeopleTable
from datamodules.progress import show_progress
from datamodules.pseudo_gt.native import JOINTS, Columns

NOBODY, AMBIGUOUS = -1, -2
"""Instead of a row of the source: nobody fits; the image's name fits several images."""
MIN_COMMON_JOINTS = 3
MAX_JOINT_DISTANCE = 0.05  # of the box, mean over the common joints
MIN_OVERLAP = 0.5  # intersection over union of the boxes; the margins of published boxes differ
_COCO_NAME = re.compile(r"^COCO_(?:train|val|test)\d{4}_")
_SUFFIX = re.compile(r"\.(?:jpe?g|png|bmp|webp|tiff?|gif|avif|jp2)$", re.IGNORECASE)
# SPIN extracts MPI-INF-3DHP's frames to imageFrames, others to imageSequence.
_PLACES = re.compile(r"images?|image(?:Files|Frames|Sequence)|(?:train|val|test)20\d\d", re.IGNORECASE)

_Key = tuple[str, ...]


class ImageMatch(NamedTuple):
    """Which images of a source are those of a published file.

    Attributes:
        pairs: for each image that both have, the rows of its people in the file and in the source.
        ambiguous: (N,) people of the file whose image's name fits several images.
    """

    pairs: list[tuple[list[int], list[int]]]
    ambiguous: NDArray[np.bool_]


class _Images:
    """A source's images by name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[_Key, list[str]] = defaultdict(list)
        self._longer: dict[_Key, set[_Key]] = {}
        for name in names:
            self._names[_image_key(name)].append(name)

    def find(self, name: str) -> list[str]:
        """The images that a name can mean."""
        key = _image_key(name)
        keys = {key} if key in self._names else self._longer_keys(key) | self._shorter_keys(key)
        found = [one for some in keys for one in self._names[some]]
        same_kind = [one for one in found if _suffix(one) == _suffix(name)]
        return same_kind if len(keys) == len(same_kind) == 1 else found

    def _longer_keys(self, key: _Key) -> set[_Key]:
        if not self._longer:
            self._longer = defaultdict(set)
            for whole in self._names:
                for start in range(1, len(whole)):
                    self._longer[whole[start:]].add(whole)
        return self._longer.get(key, set())

    def _shorter_keys(self, key: _Key) -> set[_Key]:
        return {key[start:] for start in range(1, len(key)) if key[start:] in self._names}


def _image_key(name: str) -> _Key:
    parts = [part for part in _SUFFIX.sub("", name).replace("\\", "/").split("/") if part not in ("", ".")]
    places = [part for part in parts[:-1] if not _PLACES.fullmatch(part)]
    # 4D-Humans' tars have no dots in names: WebDataset ends a name at the first.
    return tuple(part.replace(".", "_") for part in (*places, *(_COCO_NAME.sub("", last) for last in parts[-1:])))


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()


def match_images(names: Sequence[str], source: PeopleTable) -> ImageMatch:
    """Find a published file's images, one name a person, among a source's."""
    of_source = [name.decode("utf-8", "surrogateescape") for name in source.column("image").tolist()]
    here, there = _rows_by_name(names), _rows_by_name(of_source)
    images = _Images(there)
    found = {name: images.find(name) for name in here}
    takers: dict[str, list[str]] = defaultdict(list)
    for name, some in found.items():
        if len(some) == 1:
            takers[some[0]].append(name)
    ambiguous = np.zeros(len(names), dtype=bool)
    for name, some in found.items():
        if len(some) > 1 or (some and not _may_take(name, some[0], takers[some[0]])):
            ambiguous[here[name]] = True
            found[name] = []
    # Names that mean one image may be spelt in several ways.
    rows: dict[str, list[int]] = defaultdict(list)
    for name, some in found.items():
        for image in some:
            rows[image] += here[name]
    return ImageMatch([(sorted(mine), there[image]) for image, mine in rows.items()], ambiguous)


def _rows_by_name(names: Iterable[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name].append(row)
    return rows


def _may_take(name: str, image: str, takers: list[str]) -> bool:
    """Whether no other name fits the image as well or better: S1/a and S3/a cannot both be a."""
    if len(takers) == 1:
        return True
    key = _image_key(name)
    return key == _image_key(image) or all(_image_key(taker) == key for taker in takers)


def match_people(columns: Columns, joint_set: str | None, source: PeopleTable, images: ImageMatch) -> NDArray[np.int64]:
    """(N,) row of the source for each published person, or NOBODY or AMBIGUOUS; nobody is taken twice.

    Args:
        columns: box (N, 4), and joints_2d where they are known.
        joint_set: of joints_2d.
        source: the data set's people.
        images: which images these people are on.
    """
    rows = np.where(images.ambiguous, AMBIGUOUS, NOBODY)
    boxes, sizes, joints = source.column("box"), source.column("image_size"), source.column(JOINTS)
    known = JOINT_SETS[joint_set] if joint_set is not None and JOINTS in columns else None
    for mine, theirs in show_progress(images.pairs, "Matching people"):
        squares = _squares(boxes[theirs], sizes[theirs])
        # Files have the crop that their network saw, the person's box made square, or the annotated box itself.
        kinds = (squares, _squares(boxes[theirs], sizes[theirs], 1.0), boxes[theirs])
        score = np.max([_overlap(columns["box"][mine], kind) for kind in kinds], axis=0)
        if known is not None:
            close = _closeness(columns[JOINTS][mine], known, joints[theirs], source.joint_set, squares[:, 2])
            score = np.where(np.isnan(close), score, close)
        for a, b in zip(*linear_sum_assignment(-score), strict=True):
            if score[a, b] > 0:
                rows[mine[a]] = theirs[b]
    return rows


def _squares(boxes: NDArray[Any], sizes: NDArray[Any], *scale: float) -> NDArray[np.float64]:
    """(N, 4) squares around annotated boxes, with the crop's margin or with a scale of their own."""
    return np.array([process_box(box, tuple(size), 1.0, *scale) for box, size in zip(boxes, sizes, strict=True)])


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """(A, B) intersection over union of boxes x, y, w, h; 0 below the least that counts."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    common = np.clip(high - low, 0, None).prod(axis=2)
    union = a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - common
    share = common / np.maximum(union, 1e-9)
    return np.where(share >= MIN_OVERLAP, share, 0)


def _closeness(
    a: NDArray[Any], a_set: JointSet, b: NDArray[Any], b_set: JointSet, size: NDArray[Any]
) -> NDArray[np.float64]:
    """(A, B) 2 minus the mean distance of common joints in limits, so that joints count more than boxes.

    0 beyond the limit; NaN where fewer than three joints are common.
    """
    a, b = convert_joints(a, a_set, SPIN49), convert_joints(b, b_set, SPIN49)
    common = (a[:, None, :, 2] > 0) & (b[None, :, :, 2] > 0)
    distance = np.linalg.norm(a[:, None, :, :2] - b[None, :, :, :2], axis=3)
    number = common.sum(axis=2)
    mean = (distance * common).sum(axis=2) / np.maximum(number, 1) / size[None] / MAX_JOINT_DISTANCE
    return np.where(number < MIN_COMMON_JOINTS, np.nan, np.where(mean <= 1, 2 - mean, 0))


def nearest_people(boxes: NDArray[Any], source: PeopleTable, images: ImageMatch) -> NDArray[np.int64]:
    """(N,) row of the source's person of the same image whose box's centre is nearest; NOBODY without an image."""
    rows = np.full(len(boxes), NOBODY, dtype=np.int64)
    theirs_boxes = source.column("box").astype(np.float64)
    centres, known = boxes[:, :2] + boxes[:, 2:] / 2, theirs_boxes[:, :2] + theirs_boxes[:, 2:] / 2
    for mine, theirs in images.pairs:
        distance = np.linalg.norm(centres[mine][:, None] - known[theirs][None], axis=2)
        rows[mine] = np.array(theirs)[distance.argmin(axis=1)]
    return rows
