"""MPII Human Pose: the official MATLAB file, or the COCO-style train.json that pseudo-GTs were published for.

A person's id is the counter of that json. From the MATLAB file the counter is reproduced by the rules of the script
that made it: training images in order, people with annopoints whose joint hull is larger than one pixel each way, and
a box 1.2 times the hull. Pixels are 1-based in both files; one is subtracted here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import MPII16
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, ImageError, first_file, image_size, read_matlab
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.progress import show_progress
from datamodules.sources.coco import read_keypoints, read_people, require_keys

VERSION = 1
_MAT_FILE = "mpii_human_pose_v1_u12_1.mat"
_BOX_MARGIN = 1.2
_NUM_JOINTS = len(MPII16.names)
_REMEDY = "Get mpii_human_pose_v1_u12_2.zip and mpii_human_pose_v1.tar.gz from http://human-pose.mpi-inf.mpg.de"


def open_mpii(root: str, split: str = "train", cache_dir: str = "cache") -> PeopleTable:
    """Table of MPII's training people.

    Args:
        root: the .mat or .json itself, or a folder with ``mpii_human_pose_v1_u12_1.mat`` or ``train.json`` (directly,
            in ``annotations/`` or in ``mpii_human_pose_v1_u12_2/``), and ``images/``.
        split: ``train``; the official test people have no annotations.
        cache_dir: folder for caches.
    """
    if split != "train":
        msg = f"MPII has no split {split!r} with annotations: use train"
        raise AnnotationError(msg)
    folder = Path(root)
    if folder.is_file():
        path = folder
        folder = folder.parent if (folder.parent / "images").is_dir() else folder.parent.parent
    else:
        places = [folder, folder / "annotations", folder / "mpii_human_pose_v1_u12_2"]
        candidates = [place / name for name in (_MAT_FILE, "train.json") for place in places]
        path = first_file(candidates, "MPII annotations", _REMEDY)
    read = _read_json if path.suffix == ".json" else _read_mat
    arguments = {"split": split, "root": str(folder.absolute())}
    return PeopleTable(build_or_open(cache_dir, "mpii-train", [path], arguments, VERSION, lambda: read(path, folder)))


def _read_json(path: Path, folder: Path) -> tuple[Arrays, dict[str, Any]]:
    images, annotations = read_people(path)
    people = PeopleBuilder("mpii", "train", MPII16, folder)
    for annotation in annotations:
        require_keys(path, "annotation", annotation, ("id", "image_id", "bbox", "keypoints"))
        image = images.get(annotation["image_id"])
        if image is None:
            people.drop("image is not listed in the file")
            continue
        joints = np.array(read_keypoints(path, annotation, _NUM_JOINTS), dtype=np.float64)
        x, y, w, h = annotation["bbox"]
        _add(people, annotation["id"], image["file_name"], (image["width"], image["height"]), (x, y, w, h), joints)
    return people.finish()


def _read_mat(path: Path, folder: Path) -> tuple[Arrays, dict[str, Any]]:
    release = read_matlab(path, ["RELEASE"], _REMEDY, struct_as_record=False, squeeze_me=True)["RELEASE"]
    try:
        images, is_train = np.atleast_1d(release.annolist), np.atleast_1d(release.img_train)
        names = [f"images/{image.image.name}" for image in images]
    except AttributeError as error:
        msg = f"{path} is not laid out as MPII's annotations ({error}). {_REMEDY}"
        raise AnnotationError(msg) from error
    if len(is_train) != len(images):
        msg = f"{path} has {len(images)} images but {len(is_train)} values of img_train. {_REMEDY}"
        raise AnnotationError(msg)
    people = PeopleBuilder("mpii", "train", MPII16, folder)
    counter = 0
    for record, image in enumerate(show_progress(images, f"reading {path.name}")):
        if is_train[record] != 1:
            continue
        name, size = names[record], None
        for joints in _annotated_people(image, path, record):
            labelled = joints[joints[:, 2] > 0, :2]
            width, height = labelled.max(axis=0) - labelled.min(axis=0) - 1
            if width <= 0 or height <= 0:
                people.drop("joint hull within one pixel")
                continue
            if size is None:
                size = _size_or_none(folder / name)
            if size is None:
                people.drop("image missing or unreadable")
            else:
                centre_x, centre_y = (labelled.max(axis=0) + labelled.min(axis=0)) / 2
                width, height = width * _BOX_MARGIN, height * _BOX_MARGIN
                box = (centre_x - width / 2, centre_y - height / 2, width, height)
                _add(people, counter, name, size, box, joints)
            # The counter goes on whatever becomes of the person, so that the ids of the others stay what they are.
            counter += 1
    return people.finish()


def _annotated_people(image: Any, path: Path, record: int) -> Iterator[NDArray[np.float64]]:
    """(16, 3) joints of each person of an image that has any, as in the file."""
    for person in np.atleast_1d(getattr(image, "annorect", ())):
        points = getattr(getattr(person, "annopoints", None), "point", None)
        if points is None or np.size(points) == 0:
            continue
        joints = np.zeros((_NUM_JOINTS, 3))
        for point in np.atleast_1d(points):
            try:
                joints[int(point.id)] = float(point.x), float(point.y), 1.0
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                msg = f"{path}: annolist({record + 1}) has a point that is not one of {_NUM_JOINTS} joints ({error})"
                raise AnnotationError(msg) from error
        yield joints


def _size_or_none(path: Path) -> tuple[int, int] | None:
    try:
        return image_size(path)
    except ImageError:
        return None


def _add(
    people: PeopleBuilder, key: int, image: str, size: tuple[int, int], box: tuple[float, ...], joints: NDArray
) -> None:
    shifted = np.where(joints[:, 2:] > 0, joints - np.array([1.0, 1.0, 0.0]), 0.0)
    people.add(key, image=image, image_size=size, box=(box[0] - 1, box[1] - 1, box[2], box[3]), joints_2d=shifted)
