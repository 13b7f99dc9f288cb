"""COCO person keypoints and COCO-WholeBody: the json and the images beside it.

Everyone annotated is kept, also those without keypoints: a label is wanted for each. Crowds are groups, not people,
and are left out. Files in this layout with other joints, or in another order (CVAT, PoseTrack18, Human3.6M, AI
Challenger, ...), are read by the names of their joints, as the joint set that fits them best.

``person_keypoints_{train,val}2017.json`` gives 17 joints. ``coco_wholebody_{train,val}_v1.0.json`` is the same people
under the same ids with six more joints in ``foot_kpts`` (x, y, confidence each). It is told apart by that key, not by
its name. A foot joint counts where ``foot_valid`` is true and its own confidence is above 0; face and hands are not
read. Coordinates are taken as they are: from 0, the left edge of the leftmost pixel.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from body_models.joint_sets import COCO17, COCO_WHOLEBODY23
from datamodules.columns import Arrays, build_or_open
from datamodules.files import MissingFilesError, find_files, macos_note
from datamodules.joint_names import NAMED_SETS
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.sources.coco_json import People, read_coco_file, read_keypoints

VERSION = 3
_REMEDY = "Get annotations_trainval2017.zip and the images from https://cocodataset.org/#download"
_NUM_FEET = len(COCO_WHOLEBODY23.names) - len(COCO17.names)
_NO_FEET = [[0.0, 0.0, 0.0]] * _NUM_FEET
_PROBES = 50
_SHOWN = 8


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
        "places": [str(place) for place in _image_places(folder, path, split) if place.is_dir()],
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
            files = find_files(folder, pattern)
            for chosen in (
                files if len(files) == 1 else [],
                [file for file in files if file.name == official],
                [file for file in files if split in file.name],
            ):
                if len(chosen) == 1:
                    return chosen[0]
            found += files
    if not found:
        found = [path for folder in (root / "annotations", root) for path in find_files(folder, "*.json")]
    shown = [path.name for path in found[:_SHOWN]] + ["..."] * (len(found) > _SHOWN)
    there = f"There are {', '.join(shown)}: give one of them instead of the folder." if found else _REMEDY
    raise MissingFilesError([f"COCO {split}: looked for {root}/annotations/{named}. {there}"])


def find_images(places: Sequence[Path], names: Iterable[str]) -> Path:
    """The first of some folders that holds one of the images; else the first but for the last that is there."""
    probes = list(itertools.islice(names, _PROBES))
    # os.path.isfile, unlike Path.is_file, has an answer for every name that a file may hold.
    holding = (place for place in places if any(os.path.isfile(place / name) for name in probes))
    return next(holding, next((place for place in places[:-1] if place.is_dir()), places[0]))


def _image_places(folder: Path, path: Path, split: str) -> list[Path]:
    """Where images may lie: COCO's folders, CVAT's images/<subset>/ with the subset that the json is named after."""
    subset = path.stem.removeprefix("person_keypoints_")
    splits = dict.fromkeys((split, "train", "val"))
    below = [folder / parent / f"{name}2017" for name in splits for parent in (".", "images")]
    named = [folder / parent / name for name in dict.fromkeys((subset, split)) for parent in ("images", ".")]
    return [*below, *named, folder / "images", folder]


def _read(path: Path, folder: Path, split: str) -> tuple[Arrays, dict[str, Any]]:
    file = read_coco_file(path)
    has_feet = any(isinstance(annotation, dict) and "foot_kpts" in annotation for annotation in file.annotations)
    persons = People(file, (COCO17,) if has_feet else NAMED_SETS)
    places = _image_places(folder, path, split)
    root = find_images(places, (image["file_name"] for image in file.images.values()))
    people = PeopleBuilder("coco", split, COCO_WHOLEBODY23 if has_feet else persons.joint_set, root, places)
    people.note(macos_note(path.parent, "*.json"))
    for annotation, image, joints in persons.iter(people):
        people.add(
            annotation["id"],
            image=image["file_name"],
            image_size=(image["width"], image["height"]),
            box=annotation["bbox"],
            joints_2d=joints + _feet(path, annotation) if has_feet else joints,
        )
    return people.finish()


def _feet(path: Path, annotation: dict[str, Any]) -> list[list[float]]:
    if not annotation.get("foot_kpts") or not annotation.get("foot_valid"):
        return _NO_FEET
    feet = read_keypoints(path, annotation, _NUM_FEET, "foot_kpts")
    # 0 * NaN is NaN, which the table counts.
    return [[x, y, 1.0] if confidence > 0 else [0.0, 0.0, 0.0 * confidence] for x, y, confidence in feet]
