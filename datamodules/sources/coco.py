"""COCO person keypoints and COCO-WholeBody: the json and the images beside it.

Everyone annotated is kept, also those without keypoints: a label is wanted for each. Crowds are groups, not people,
and are left out.

``person_keypoints_{train,val}2017.json`` gives 17 joints. ``coco_wholebody_{train,val}_v1.0.json`` is the same people
under the same ids with six more joints in ``foot_kpts`` (x, y, confidence each). It is told apart by that key, not by
its name. A foot joint counts where ``foot_valid`` is true and its own confidence is above 0; face and hands are not
read. Coordinates are taken as they are: from 0, the left edge of the leftmost pixel.
"""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from body_models.joint_sets import COCO17, COCO_WHOLEBODY23
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, read_json
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.progress import show_progress

VERSION = 2
_PERSON = 1
_REMEDY = "Get annotations_trainval2017.zip and the images from https://cocodataset.org/#download"
_NUM_FEET = len(COCO_WHOLEBODY23.names) - len(COCO17.names)
_NO_FEET = [[0.0, 0.0, 0.0]] * _NUM_FEET
# Several times the size of what is read; thrown away while the file is parsed.
_UNREAD = ("segmentation", "face_kpts", "lefthand_kpts", "righthand_kpts")
_NUMBERS = {int, float}
_MAX_SIZE = 2**31
_PROBES = 50


def open_coco(root: str, split: str = "train", cache_dir: str = "cache") -> PeopleTable:
    """Table of a COCO keypoints or COCO-WholeBody file.

    Args:
        root: the json itself, or a folder with it (in ``annotations/`` or directly) and the images in ``images/``,
            ``{split}2017/`` or directly. A WholeBody file is taken if it is given itself or is the only kind there.
        split: part of the ids, and of the file name where there are several.
        cache_dir: folder for caches.
    """
    path = find_annotations(Path(root), split)
    folder = path.parent.parent if path.parent.name == "annotations" else path.parent
    arguments = {
        "split": split,
        "root": str(folder.absolute()),
        # Images that are moved or unpacked later make a new table.
        "places": [str(place) for place in _image_places(folder, split) if place.is_dir()],
    }
    return PeopleTable(
        build_or_open(cache_dir, f"coco-{split}", [path], arguments, VERSION, lambda: _read(path, folder, split))
    )


def find_annotations(root: Path, split: str) -> Path:
    """The json of a split.

    Raises:
        MissingFilesError: there is none, or none of several is of this split.
    """
    if root.is_file():
        return root
    named = f"person_keypoints_{split}2017.json"
    found: list[Path] = []
    for pattern, official in (
        ("*person_keypoints*.json", named),
        ("*wholebody*.json", f"coco_wholebody_{split}_v1.0.json"),
    ):
        for folder in (root / "annotations", root):
            files = sorted(folder.glob(pattern))
            for chosen in (
                files if len(files) == 1 else [],
                [file for file in files if file.name == official],
                [file for file in files if split in file.name],
            ):
                if len(chosen) == 1:
                    return chosen[0]
            found += files
    several = f" There are {', '.join(path.name for path in found)}: name one of them as PATH." if found else ""
    raise MissingFilesError([f"COCO {split}: looked for {root}/annotations/{named}.{several} {_REMEDY}"])


def find_images(places: Sequence[Path], names: Iterable[str]) -> Path:
    """The first of some folders that holds one of the images; else the first but for the last that is there."""
    probes = list(itertools.islice(names, _PROBES))
    # os.path.isfile, unlike Path.is_file, has an answer for every name that a file may hold.
    holding = (place for place in places if any(os.path.isfile(place / name) for name in probes))
    return next(holding, next((place for place in places[:-1] if place.is_dir()), places[0]))


def _image_places(folder: Path, split: str) -> list[Path]:
    splits = dict.fromkeys((split, "train", "val"))
    below = [folder / parent / f"{name}2017" for name in splits for parent in (".", "images")]
    return [*below, folder / "images", folder]


def read_people(
    path: Path, record: str = "annotations", unread: Sequence[str] = _UNREAD
) -> tuple[dict[Any, dict], list[dict]]:
    """Images by id, and the annotations of a COCO-style json; the images are checked, the annotations are not.

    Args:
        path: the json.
        record: name of the list of annotations.
        unread: keys that are thrown away while the file is parsed, to save memory.

    Raises:
        AnnotationError: the file has another layout.
    """
    content = read_json(path, unread)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in ("images", record)):
        msg = f"{path} is not a COCO-style json: it needs lists named images and {record}"
        raise AnnotationError(msg)
    images: dict[Any, dict] = {}
    for image in content["images"]:
        require_keys(path, "image", image, ("id", "file_name", "width", "height"))
        _check_image(path, image)
        if images.setdefault(image["id"], image) != image:
            msg = f"{path}: two different images have the id {image['id']!r}; get the file again"
            raise AnnotationError(msg)
    return images, content[record]


def _check_image(path: Path, image: dict) -> None:
    _check_key(path, "image", image, "id")
    for key in ("width", "height"):
        if type(image[key]) not in _NUMBERS or not 0 < image[key] < _MAX_SIZE:
            msg = f"{path}: image {image['id']} has {key} {image[key]!r}, which is no number of pixels"
            raise AnnotationError(msg)
    name = image["file_name"]
    if not isinstance(name, str) or not name or not _is_encodable(name):
        msg = f"{path}: image {image['id']} has file_name {name!r}, which is no file name"
        raise AnnotationError(msg)


def _check_key(path: Path, what: str, record: dict, key: str) -> None:
    value = record[key]
    if type(value) is not int and not (isinstance(value, str) and _is_encodable(value)):
        msg = f"{path}: {what} {record['id']!r} has {key} {value!r}, which is neither a whole number nor text"
        raise AnnotationError(msg)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def require_keys(path: Path, what: str, record: Any, keys: tuple[str, ...]) -> None:
    """Raise AnnotationError unless a record of a json has the keys."""
    missing = [key for key in keys if key not in record] if isinstance(record, dict) else list(keys)
    if missing:
        name = record.get("id", "without id") if isinstance(record, dict) else repr(record)[:60]
        msg = f"{path}: {what} {name} has no {', '.join(missing)}; is this the keypoints file?"
        raise AnnotationError(msg)


def require_person(path: Path, annotation: Any, keys: tuple[str, ...] = ("keypoints",)) -> None:
    """Raise AnnotationError unless an annotation has id, image_id, bbox (four numbers) and the keys."""
    require_keys(path, "annotation", annotation, ("id", "image_id", "bbox", *keys))
    _check_key(path, "annotation", annotation, "id")
    _check_key(path, "annotation", annotation, "image_id")
    if not are_numbers(annotation["bbox"], 4):
        msg = f"{path}: annotation {annotation['id']} has bbox {annotation['bbox']!r:.80}, which is not four numbers"
        raise AnnotationError(msg)


def are_numbers(values: Any, count: int) -> bool:
    """Whether this is a list of so many numbers, which may be NaN, but not whole numbers beyond all floats."""
    if not isinstance(values, list) or len(values) != count or not set(map(type, values)) <= _NUMBERS:
        return False
    try:
        array("d", values)
    except OverflowError:
        return False
    return True


def read_keypoints(path: Path, annotation: dict, count: int, key: str = "keypoints") -> list[list[float]]:
    """Joints as [x, y, confidence] lists; unlabelled ones (v = 0) become zeros.

    Raises:
        AnnotationError: not ``count`` joints.
    """
    values = annotation[key]
    if not are_numbers(values, 3 * count):
        found = len(values) if isinstance(values, list) else type(values).__name__
        wrong = " that are not all numbers" if found == 3 * count else ""
        msg = f"{path}: annotation {annotation['id']} has {found} {key[:-1]} values{wrong}, expected {3 * count}"
        raise AnnotationError(msg)
    triples = zip(values[0::3], values[1::3], values[2::3], strict=True)
    # 0 * NaN is NaN, so that a person with such a joint is counted as not finite instead of being kept.
    return [[x, y, 1.0] if visible > 0 else [0.0, 0.0, 0.0 * visible] for x, y, visible in triples]


def _read(path: Path, folder: Path, split: str) -> tuple[Arrays, dict[str, Any]]:
    images, annotations = read_people(path)
    has_feet = any(isinstance(annotation, dict) and "foot_kpts" in annotation for annotation in annotations)
    joint_set, keys = (
        (COCO_WHOLEBODY23, ("keypoints", "foot_kpts", "foot_valid")) if has_feet else (COCO17, ("keypoints",))
    )
    root = find_images(_image_places(folder, split), (image["file_name"] for image in images.values()))
    people = PeopleBuilder("coco", split, joint_set, root)
    for annotation in show_progress(annotations, f"reading {path.name}"):
        require_person(path, annotation, keys)
        if annotation.get("category_id", _PERSON) != _PERSON:
            people.drop("not a person")
            continue
        if annotation.get("iscrowd", 0):
            people.drop("crowd, not one person")
            continue
        image = images.get(annotation["image_id"])
        if image is None:
            people.drop("image is not listed in the file")
            continue
        joints = read_keypoints(path, annotation, len(COCO17.names))
        if has_feet:
            feet = read_keypoints(path, annotation, _NUM_FEET, "foot_kpts")
            joints += feet if annotation["foot_valid"] else _NO_FEET
        people.add(
            annotation["id"],
            image=image["file_name"],
            image_size=(image["width"], image["height"]),
            box=annotation["bbox"],
            joints_2d=joints,
        )
    return people.finish()
