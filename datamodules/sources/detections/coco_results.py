"""COCO results, which detectors write to be scored (MMPose, ViTPose, Detectron2, ...), and AlphaPose's json.

A list of ``{image_id, category_id, keypoints: 3 K[, bbox or box: x, y, w, h][, score][, idx]}``. The third value of a
joint is a score, not COCO's 0, 1 or 2. In COCO results ``image_id`` is a number; in AlphaPose's, and in Ultralytics'
for images whose names are no numbers, it is the image's name. ``idx`` is AlphaPose's track: a number, ``[0.0]`` or
``[[0.0]]`` (MVIG-SJTU/AlphaPose issue 761). AlphaPose's score of a person lies above 1 and is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.records import require_keys
from datamodules.sources.detections.found import (
    PIXELS,
    Found,
    Layout,
    box_from,
    is_list_of,
    number_of,
    require,
    triples,
)
from datamodules.sources.detections.skeletons import joint_names


def _read(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    for number, record in enumerate(content):
        person = f"person {number}"
        require_keys(path, person, record, ("image_id", "keypoints"))
        image = record["image_id"]
        require(path, type(image) in (int, str), f"{person} has image_id {image!r:.60}: neither a number nor a name")
        joints = triples(path, person, record["keypoints"])
        box = box_from(path, person, record.get("bbox", record.get("box")))
        yield Found(image, joints, joint_names(path, len(joints), skeleton), box, number_of(record.get("idx")))


RESULTS = Layout("COCO results, AlphaPose", PIXELS, lambda content: is_list_of(content, "image_id", "keypoints"), _read)
