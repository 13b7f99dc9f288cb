"""The data that benches run on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.columns import write_folder
from datamodules.synthetic.world import WORLD_SIZES, make_world

_PHOTO_SIZE = (640, 480)
_PEOPLE_PER_PHOTO = 2


def bench_world(folder: Path) -> Path:
    """The tiny synthetic world, made on first use."""
    return make_world(folder / "world", WORLD_SIZES["tiny"], num_workers=0)


def bench_photos(folder: Path, count: int) -> Path:
    """Pictures of COCO's usual size in COCO's layout, made on first use: noise with boxes and 17 joints a person.

    Args:
        folder: of the benches' data.
        count: pictures; each has two people.

    Returns:
        The root, as :func:`datamodules.sources.coco.open_coco` takes it.
    """
    place = folder / f"photos-{count}"
    return place if place.is_dir() else write_folder(place, lambda root: _write_photos(root, count))


def _write_photos(root: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    (root / "annotations").mkdir()
    (root / "train2017").mkdir()
    width, height = _PHOTO_SIZE
    # Shifted copies of one picture: they cost as much to decode as different ones, and less to make.
    picture = detailed_picture(_PHOTO_SIZE)
    images, people = [], []
    for number in range(count):
        name = f"{number:012d}.jpg"
        shifted = np.roll(picture, rng.integers(0, (height, width)), axis=(0, 1))
        cv2.imwrite(str(root / "train2017" / name), shifted, [cv2.IMWRITE_JPEG_QUALITY, 92])
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        people += [_person(rng, _PEOPLE_PER_PHOTO * number + i, number) for i in range(_PEOPLE_PER_PHOTO)]
    content = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    path = root / "annotations/person_keypoints_train2017.json"
    path.write_text(json.dumps(content), encoding="utf-8")


def _person(rng: np.random.Generator, number: int, image: int) -> dict[str, Any]:
    """An annotation of somebody between a third of the picture's height and all of it."""
    width, height = _PHOTO_SIZE
    tall = rng.uniform(height / 3, height)
    box = np.array([rng.uniform(0, width - tall / 2), rng.uniform(0, height - tall), tall / 2, tall])
    joints = np.column_stack((rng.uniform(box[:2], box[:2] + box[2:], (17, 2)), np.full(17, 2)))
    return {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box.round(2).tolist(),
        "area": float(box[2] * box[3]), "num_keypoints": 17, "keypoints": joints.round(2).flatten().tolist(),
        "segmentation": [],
    }  # fmt: skip


def detailed_picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) noise with as much detail at each scale as photographs have, of a size (W, H)."""
    rng = np.random.default_rng(0)
    picture = np.full((size[1], size[0], 3), 128.0)
    for cells in (4, 16, 64, 256, size[0] // 2):
        picture += 22 * cv2.resize(rng.normal(size=(cells, cells, 3)), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)
