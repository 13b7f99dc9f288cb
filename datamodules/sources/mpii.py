"""MPII Human Pose: the official MATLAB file, the COCO-style train.json, or HRNet's json.

A person has the same id, pixels and box whichever file is read. The id is the counter of the COCO-style train.json,
under which pseudo-GTs were published. From the other files it is reproduced by the rules of the script that made that
json: training images in the order of the MATLAB file, people with annopoints whose joint hull is larger than one
pixel each way, and a box 1.2 times the hull. Pixels are 1-based in all three files; one is subtracted here and nowhere
else.

HRNet's files are lists of {image, center, scale, joints 16x2, joints_vis 16}; joints that are not annotated have
joints_vis 0 (and coordinates of -1 or 0, which are not looked at). center and scale describe a box of another rule
and are not used. The released annot/train.json (22,246 people) and annot/valid.json (2,958) are parts of
annot/trainval.json (29,116), in which the counter cannot be known. So their people are looked up, by image and joints,
in a file beside them that has everyone: the MATLAB file, the COCO-style train.json, or trainval.json; without any,
they are refused. Any other list, trainval.json too, is looked up in the first two where one is there, and otherwise
taken to hold all annotated training people in the MATLAB file's order. That the released trainval.json does could not
be verified. Where HRNet's file lacks a joint that the others have, it is missing here, too, and the box is that of the
rest.
"""

from __future__ import annotations

import codecs
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import MPII16
from datamodules.columns import Arrays, build_or_open
from datamodules.files import (
    AnnotationError,
    ImageError,
    MissingFilesError,
    image_size,
    read_json,
    read_matlab,
    require_some_image,
)
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.progress import show_progress
from datamodules.records import are_numbers, require_keys
from datamodules.sources.coco_json import People, read_coco_file

VERSION = 3
_MAT_FILE = "mpii_human_pose_v1_u12_1.mat"
_PLACES = (".", "annotations", "mpii_human_pose_v1_u12_2", "annot")
_BOX_MARGIN = 1.2
_NUM_JOINTS = len(MPII16.names)
_REMEDY = "Get mpii_human_pose_v1_u12_2.zip and mpii_human_pose_v1.tar.gz from http://human-pose.mpi-inf.mpg.de"
# Numbers of people of the released HRNet files that are parts of trainval.json.
_HRNET_PARTS = (22246, 2958)
# The files agree to four decimals, and no two people of an image are annotated this close to each other.
_SAME_PERSON_PX = 1.0
_LAYOUTS = ("mat", "coco", "hrnet")
"""In the order in which they are preferred."""


class _Person(NamedTuple):
    """An annotated person as in the files.

    Attributes:
        image: path below the root.
        joints: (16, 3) x, y in 1-based pixels and 1, or zeros where a joint is not annotated.
        number: the counter of the COCO-style json.
        box: (4,) x, y, w, h in 1-based pixels.
    """

    image: str
    joints: NDArray[np.float64]
    number: int | str = -1
    box: Sequence[float] = ()


def open_mpii(root: str, split: str = "train", cache_dir: str = "cache") -> PeopleTable:
    """Table of MPII's training people.

    Args:
        root: the .mat or .json itself, or a folder with ``images/`` and, in it or in ``annotations/``,
            ``mpii_human_pose_v1_u12_2/`` or ``annot/``, one of (the first there is) ``mpii_human_pose_v1_u12_1.mat``,
            a COCO-style ``train.json``, HRNet's ``trainval.json`` or ``train.json``. Jsons are told apart by content.
        split: ``train``; the official test people have no annotations.
        cache_dir: folder for caches.
    """
    if split != "train":
        msg = f"MPII has no split {split!r} with annotations: use train"
        raise AnnotationError(msg)
    given = Path(root) if Path(root).is_file() else None
    folder = Path(root)
    if given is not None:
        folder = given.parent if (given.parent / "images").is_dir() else given.parent.parent
    candidates = [folder / place / name for name in (_MAT_FILE, "trainval.json", "train.json") for place in _PLACES]
    # Sorting is stable: of one layout, the first candidate.
    files = sorted((path for path in candidates if path.is_file()), key=lambda path: _LAYOUTS.index(_layout(path)))
    if given is not None:
        files = [given, *(path for path in files if not path.samefile(given))]
    if not files:
        raise MissingFilesError([f"MPII annotations: looked for {', '.join(map(str, candidates))}. {_REMEDY}"])
    images = folder / "images"
    arguments = {
        "split": split,
        "root": str(folder.absolute()),
        # People whose image is missing are left out where its size is not in the file: more images make a new table.
        "images": len(os.listdir(images)) if images.is_dir() else 0,
    }

    def build() -> tuple[Arrays, dict[str, Any]]:
        return _read(files[0], files[1:], folder)

    return PeopleTable(build_or_open(cache_dir, "mpii-train", files, arguments, VERSION, build))


def _layout(path: Path) -> str:
    if path.suffix != ".json":
        return "mat"
    with path.open("rb") as file:
        start = file.read(64).removeprefix(codecs.BOM_UTF8)
    return "hrnet" if start.lstrip().startswith(b"[") else "coco"


def _read(path: Path, beside: list[Path], folder: Path) -> tuple[Arrays, dict[str, Any]]:
    people = PeopleBuilder("mpii", "train", MPII16, folder)
    layout = _layout(path)
    if layout == "coco":
        for person, its_size in _coco_style_people(path, people):
            _add(people, person, its_size)
        return people.finish()
    if layout == "mat":
        persons: Iterable[_Person] = _number(_mat_people(path), people.drop)
    else:
        persons = _numbered_hrnet_people(path, beside, people.drop)
    sizes: dict[str, tuple[int, int] | None] = {}
    for person in show_progress(list(persons), f"reading the images of {path.name}"):
        if person.image not in sizes:
            sizes[person.image] = _size_or_none(folder / person.image)
        size = sizes[person.image]
        if size is None:
            people.drop("image missing or unreadable", example=str(folder / person.image))
        else:
            _add(people, person, size)
    require_some_image(folder, list(sizes), path, _REMEDY)
    return people.finish()


def _add(people: PeopleBuilder, person: _Person, size: tuple[int, int]) -> None:
    joints = np.where(person.joints[:, 2:] != 0, person.joints - np.array([1.0, 1.0, 0.0]), 0.0)
    x, y, w, h = person.box
    people.add(person.number, image=person.image, image_size=size, box=(x - 1, y - 1, w, h), joints_2d=joints)


def _size_or_none(path: Path) -> tuple[int, int] | None:
    try:
        return image_size(path)
    except ImageError:
        return None


def _number(persons: Iterable[_Person], drop: Callable[[str], None]) -> Iterator[_Person]:
    """The people that the COCO-style json has, with their box and its counter; the others are counted."""
    counter = 0
    for person in persons:
        box = _hull_box(person.joints, drop)
        if box is not None:
            yield person._replace(number=counter, box=box)
            counter += 1


def _hull_box(joints: NDArray[np.float64], drop: Callable[[str], None]) -> tuple[float, ...] | None:
    """The box of that json's script, or None, counted, where the script left the person out."""
    labelled = joints[joints[:, 2] > 0, :2]
    if len(labelled) == 0:
        drop("no annotated joint")
        return None
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    width, height = high - low - 1
    # Not "<=": a NaN goes on, to be counted as such.
    if width <= 0 or height <= 0:
        drop("joint hull within one pixel")
        return None
    centre_x, centre_y = (high + low) / 2
    width, height = width * _BOX_MARGIN, height * _BOX_MARGIN
    return centre_x - width / 2, centre_y - height / 2, width, height


def _coco_style_people(path: Path, people: PeopleBuilder) -> Iterator[tuple[_Person, tuple[int, int]]]:
    """People of the COCO-style json and the size of their image."""
    file = read_coco_file(path)
    for annotation, image, joints in People(file, (MPII16,)).iter(people):
        name = image["file_name"]
        place = name if "/" in name else f"images/{name}"
        person = _Person(place, np.array(joints, dtype=np.float64), annotation["id"], annotation["bbox"])
        yield person, (image["width"], image["height"])


def _mat_people(path: Path) -> Iterator[_Person]:
    """Everyone with annopoints in the training images of the MATLAB file."""
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
    for record in np.flatnonzero(is_train == 1):
        for person in np.atleast_1d(getattr(images[record], "annorect", ())):
            points = getattr(getattr(person, "annopoints", None), "point", None)
            if points is None or np.size(points) == 0:
                continue
            joints = np.zeros((_NUM_JOINTS, 3))
            for point in np.atleast_1d(points):
                try:
                    joints[range(_NUM_JOINTS).index(point.id)] = float(point.x), float(point.y), 1.0
                except (AttributeError, TypeError, ValueError) as error:
                    msg = (
                        f"{path}: annolist({record + 1}) has a point that is not one of {_NUM_JOINTS} joints ({error})"
                    )
                    raise AnnotationError(msg) from error
            yield _Person(names[record], joints)


def _hrnet_people(path: Path, content: list[Any]) -> Iterator[_Person]:
    for index, record in enumerate(content):
        require_keys(path, f"record {index}", record, ("image", "joints", "joints_vis"))
        name, joints, visible = record["image"], record["joints"], record["joints_vis"]
        if not isinstance(name, str) or not name:
            msg = f"{path}: record {index} has image {name!r}, which is no file name"
            raise AnnotationError(msg)
        is_right = isinstance(joints, list) and len(joints) == _NUM_JOINTS and all(are_numbers(xy, 2) for xy in joints)
        if not is_right or not are_numbers(visible, _NUM_JOINTS):
            msg = f"{path}: record {index} ({name}) has no joints of {_NUM_JOINTS} x 2 and as many joints_vis"
            raise AnnotationError(msg)
        rows = [[x, y, 1.0] if seen > 0 else [0.0, 0.0, 0.0] for (x, y), seen in zip(joints, visible, strict=True)]
        yield _Person(f"images/{name}", np.array(rows, dtype=np.float64))


def _numbered_hrnet_people(path: Path, beside: list[Path], drop: Callable[[str], None]) -> Iterator[_Person]:
    """HRNet's people with ids from a more complete file beside theirs, if need be, or else by their order."""
    content = read_json(path)
    is_part = len(content) in _HRNET_PARTS
    complete = next((other for other in beside if _layout(other) != "hrnet"), None)
    if complete is None and is_part:
        complete = next((other for other in beside if other.name == "trainval.json"), None)
    persons = _hrnet_people(path, content)
    if complete is not None:
        return _look_up(persons, complete, drop)
    if is_part:
        msg = (
            f"{path} holds a part of MPII ({len(content):,} people), whose ids cannot be known from it alone: put "
            f"{_MAT_FILE}, the COCO-style train.json or HRNet's trainval.json beside it. {_REMEDY}"
        )
        raise AnnotationError(msg)
    return _number(persons, drop)


def _look_up(persons: Iterable[_Person], complete: Path, drop: Callable[[str], None]) -> Iterator[_Person]:
    """The people with the ids that they have in another file; those whom it does not have are counted."""
    numbered: dict[str, list[_Person]] = defaultdict(list)
    for other in _numbered(complete):
        numbered[other.image].append(other)
    for person in persons:
        box = _hull_box(person.joints, drop)
        if box is None:
            continue
        distances = [(_distance(person.joints, other.joints), other.number) for other in numbered[person.image]]
        nearest, number = min(distances, key=lambda pair: pair[0], default=(np.inf, -1))
        if nearest <= _SAME_PERSON_PX:
            yield person._replace(number=number, box=box)
        else:
            drop(f"not found in {complete.name}, which gives the ids")


def _numbered(path: Path) -> Iterator[_Person]:
    layout = _layout(path)
    if layout == "coco":
        uncounted = PeopleBuilder("mpii", "train", MPII16, path.parent)
        return (person for person, _ in _coco_style_people(path, uncounted))
    persons = _mat_people(path) if layout == "mat" else _hrnet_people(path, read_json(path))
    return _number(persons, _uncounted)


def _uncounted(reason: str) -> None:
    """Whoever is left out of the other file is counted where it is not found."""


def _distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Largest distance in pixels between joints that both have; infinite if there is none."""
    common = (a[:, 2] > 0) & (b[:, 2] > 0)
    return float(np.abs(a[common, :2] - b[common, :2]).max()) if common.any() else np.inf
