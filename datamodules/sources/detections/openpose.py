"""OpenPose: ``--write_json FOLDER`` writes a file for each image or frame, ``NAME_keypoints.json``.

``{"version", "people": [{"person_id": [-1], "pose_keypoints_2d": 75, 54 or 45 numbers, ...}]}``; nobody is an empty
list, an absent joint is 0, 0, 0, older files have ``pose_keypoints``. Of a video NAME ends in the frame's number, 12
digits from 0. AlphaPose writes the same by ``--format open``. Pixels, unless ``--keypoint_scale`` was set, which is
refused. ``person_id`` counts only with ``--tracking``; -1 is none. Source: OpenPose's ``doc/02_output.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.sources.detections.found import PIXELS, Found, Layout, has_keys, number_of, require, triples
from datamodules.sources.detections.skeletons import joint_names

_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_SUFFIX = "_keypoints"


def _read(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    people = content["people"]
    require(path, isinstance(people, list), f"people is {people!r:.60}, not a list")
    for number, record in enumerate(people):
        key = next((key for key in _KEYS if has_keys(record, key)), None)
        require(path, key is not None, f"person {number} has no {' or '.join(_KEYS)}")
        joints = triples(path, f"person {number}", record[key])
        track = number_of(record.get("person_id"))
        yield Found(
            path.stem.removesuffix(_SUFFIX), joints, joint_names(path, len(joints), skeleton), track=track
        )  # fmt: skip


OPENPOSE = Layout("OpenPose", PIXELS, lambda content: has_keys(content, "people"), _read)
