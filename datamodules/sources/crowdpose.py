"""CrowdPose: json/crowdpose_{train,val,trainval,test}.json, COCO style with 14 joints, and images/.

In the official order the joints are left then right shoulder, elbow, wrist, hip, knee, ankle, then top of the head and
neck. Boxes are x, y, w, h as in COCO. The annotations say nothing of where pixels are counted from; they are taken as
they are, as in COCO. trainval is train and val together, under the same annotation ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from body_models.joint_sets import CROWDPOSE14
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, first_file
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.sources.coco import find_images
from datamodules.sources.coco_json import People, read_coco_file

VERSION = 2
SPLITS = ("train", "val", "trainval", "test")
_REMEDY = "Get images.zip and the annotations from https://github.com/Jeff-sjtu/CrowdPose"


def open_crowdpose(root: str, split: str = "train", cache_dir: str = "cache") -> PeopleTable:
    """Table of CrowdPose.

    Args:
        root: folder with ``images/`` and, in it or in ``json/`` or ``annotations/``, ``crowdpose_{split}.json`` (also
            with mmpose's prefix ``mmpose_``); or the json itself, with images/ beside it or one above.
        split: train, val, trainval or test.
        cache_dir: folder for caches.
    """
    if split not in SPLITS:
        msg = f"CrowdPose has no split {split!r}: use one of {', '.join(SPLITS)}"
        raise AnnotationError(msg)
    folder = Path(root)
    if folder.is_file():
        path, folder = folder, folder.parent
        folder = folder if (folder / "images").is_dir() else folder.parent
    else:
        places = [folder / place for place in ("json", "annotations", ".")]
        names = [f"{prefix}crowdpose_{split}.json" for prefix in ("", "mmpose_")]
        path = first_file([place / name for name in names for place in places], f"CrowdPose {split}", _REMEDY)
    arguments = {"split": split, "root": str(folder.absolute()), "images": (folder / "images").is_dir()}
    return PeopleTable(
        build_or_open(cache_dir, f"crowdpose-{split}", [path], arguments, VERSION, lambda: _read(path, folder, split))
    )


def _read(path: Path, folder: Path, split: str) -> tuple[Arrays, dict[str, Any]]:
    file = read_coco_file(path)
    places = [folder / "images", folder]
    root = find_images(places, (image["file_name"] for image in file.images.values()))
    people = PeopleBuilder("crowdpose", split, CROWDPOSE14, root, places)
    for annotation, image, joints in People(file, (CROWDPOSE14,)).iter(people):
        people.add(
            annotation["id"],
            image=image["file_name"],
            image_size=(image["width"], image["height"]),
            box=annotation["bbox"],
            joints_2d=joints,
        )
    return people.finish()
