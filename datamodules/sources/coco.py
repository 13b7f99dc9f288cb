"""COCO person keypoints: person_keypoints_{train,val}2017.json and the images beside it.

Everyone annotated is kept, also those without keypoints: a label is wanted for each. Crowds are groups, not people,
and are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from body_models.joint_sets import COCO17
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, read_json
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.progress import show_progress

VERSION = 1
_PERSON = 1
_REMEDY = "Get annotations_trainval2017.zip and the images from https://cocodataset.org/#download"


def open_coco(root: str, split: str = "train", cache_dir: str = "cache") -> PeopleTable:
    """Table of a COCO keypoints file.

    Args:
        root: the json itself, or a folder with it (in ``annotations/`` or directly) and the images in ``images/``,
            ``{split}2017/`` or directly.
        split: part of the ids, and of the file name where there are several.
        cache_dir: folder for caches.
    """
    path = find_annotations(Path(root), split)
    folder = path.parent.parent if path.parent.name == "annotations" else path.parent
    arguments = {"split": split, "root": str(folder.absolute())}
    return PeopleTable(
        build_or_open(cache_dir, f"coco-{split}", [path], arguments, VERSION, lambda: _read(path, folder, split))
    )


def find_annotations(root: Path, split: str) -> Path:
    """The keypoints json of a split.

    Raises:
        MissingFilesError: there is none.
    """
    if root.is_file():
        return root
    named = f"person_keypoints_{split}2017.json"
    for folder in (root / "annotations", root):
        files = sorted(folder.glob("*person_keypoints*.json"))
        chosen = [file for file in files if file.name == named] or (files if len(files) == 1 else [])
        if chosen:
            return chosen[0]
    raise MissingFilesError([f"COCO {split}: looked for {root}/annotations/{named}. {_REMEDY}"])


def find_images(folder: Path, split: str) -> Path:
    """The folder that the images of a split are in; the official one if there is none."""
    places = [folder / f"{split}2017", folder / "images" / f"{split}2017", folder / "images"]
    official = places[0]
    return next((place for place in places if place.is_dir()), folder if any(folder.glob("*.jpg")) else official)


def read_people(path: Path, record: str = "annotations") -> tuple[dict[Any, dict], list[dict]]:
    """Images by id, and the annotations of a COCO-style json.

    Raises:
        AnnotationError: the file has another layout.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in ("images", record)):
        msg = f"{path} is not a COCO-style json: it needs lists named images and {record}"
        raise AnnotationError(msg)
    for image in content["images"]:
        require_keys(path, "image", image, ("id", "file_name", "width", "height"))
    return {image["id"]: image for image in content["images"]}, content[record]


def require_keys(path: Path, what: str, record: Any, keys: tuple[str, ...]) -> None:
    """Raise AnnotationError unless a record of a json has the keys."""
    missing = [key for key in keys if key not in record] if isinstance(record, dict) else list(keys)
    if missing:
        name = record.get("id", "without id") if isinstance(record, dict) else repr(record)[:60]
        msg = f"{path}: {what} {name} has no {', '.join(missing)}; is this the keypoints file?"
        raise AnnotationError(msg)


def read_keypoints(path: Path, annotation: dict, count: int) -> list[list[float]]:
    """Joints as [x, y, confidence] lists; unlabelled ones (v = 0) become zeros.

    Raises:
        AnnotationError: not ``count`` joints.
    """
    values = annotation["keypoints"]
    if not isinstance(values, list) or len(values) != 3 * count:
        found = len(values) if isinstance(values, list) else type(values).__name__
        msg = f"{path}: annotation {annotation['id']} has {found} keypoint values, expected {3 * count}"
        raise AnnotationError(msg)
    triples = zip(values[0::3], values[1::3], values[2::3], strict=True)
    return [[x, y, 1.0] if visible else [0.0, 0.0, 0.0] for x, y, visible in triples]


def _read(path: Path, folder: Path, split: str) -> tuple[Arrays, dict[str, Any]]:
    images, annotations = read_people(path)
    people = PeopleBuilder("coco", split, COCO17, find_images(folder, split))
    for annotation in show_progress(annotations, f"reading {path.name}"):
        require_keys(path, "annotation", annotation, ("id", "image_id", "bbox", "keypoints"))
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
        people.add(
            annotation["id"],
            image=image["file_name"],
            image_size=(image["width"], image["height"]),
            box=annotation["bbox"],
            joints_2d=read_keypoints(path, annotation, len(COCO17.names)),
        )
    return people.finish()
