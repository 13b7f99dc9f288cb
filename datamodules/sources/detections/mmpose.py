"""MMPose's predictions, and what RTMLib returns, written as json.

* The inferencer (``pred_out_dir``) writes ``predictions/NAME.json``: for an image a list of people ``{keypoints: K x 2,
  keypoint_scores: K[, bbox: [[x1, y1, x2, y2]], bbox_score]}``, for a video a list of ``{frame_id, instances}``, frames
  from 0.
* The demo (``--save-predictions``) writes ``results_NAME.json``: ``{meta_info, instance_info}``, where
  ``instance_info`` is one of those two lists, but frames count from 1; ``meta_info`` names the joints
  (``keypoint_id2name``).
* RTMLib returns arrays; ``{"keypoints": P x K x 2, "scores": P x K}`` in ``NAME.json`` is read, too.

Scores may lie a little above 1. Where its detector finds nobody, RTMLib takes the whole image for a person; such people
have low scores, and are left out by them. Sources: open-mmlab/mmpose ``base_mmpose_inferencer.py``,
``topdown_demo_with_mmdet.py``; Tau-J/rtmlib.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.records import are_numbers
from datamodules.sources.detections.found import (
    PIXELS,
    Found,
    Layout,
    box_from,
    corners_to_box,
    has_keys,
    is_list_of,
    number_of,
    require,
    rows,
)
from datamodules.sources.detections.skeletons import AUTO, joint_names


def _read(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    names, first, image = None, 0, path.stem
    if isinstance(content, dict):
        names = _names(path, content["meta_info"]) if skeleton == AUTO else None
        content, first, image = content["instance_info"], 1, path.stem.removeprefix("results_")
        require(path, isinstance(content, list), f"instance_info is {content!r:.60}, not a list")
    for number, record in enumerate(content):
        if not has_keys(record, "instances"):
            yield _person(path, image, f"person {number}", record, skeleton, names, None)
            continue
        frame = record.get("frame_id")
        require(path, type(frame) is int and frame >= first, f"record {number} has frame_id {frame!r:.40}")
        instances = record["instances"]
        require(path, isinstance(instances, list), f"frame {frame} has instances {instances!r:.60}, not a list")
        for place, person in enumerate(instances):
            yield _person(path, image, f"person {place} of frame {frame}", person, skeleton, names, frame - first)


def _person(
    path: Path, image: str, person: str, record: Any, skeleton: str, names: tuple[str, ...] | None, frame: int | None
) -> Found:
    require(path, has_keys(record, "keypoints", "keypoint_scores"), f"{person} has no keypoints and keypoint_scores")
    points = rows(path, person, record["keypoints"], (2, 3))[:, :2]
    scores = record["keypoint_scores"]
    require(path, are_numbers(scores, len(points)), f"{person} has not a score for each of {len(points)} joints")
    box = record.get("bbox")
    # Nested once by the inferencer.
    box = box[0] if isinstance(box, list) and len(box) == 1 else box
    if names is not None:
        require(path, len(names) == len(points), f"{person} has {len(points)} joints, meta_info names {len(names)}")
    return Found(
        image,
        np.column_stack([points, np.array(scores, np.float64)]),
        names or joint_names(path, len(points), skeleton),
        corners_to_box(box_from(path, person, box)),
        number_of(record.get("track_id")),
        frame,
    )


def _names(path: Path, meta: Any) -> tuple[str, ...] | None:
    """Names of the joints; None where the file has none."""
    by_number = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not by_number:
        return None
    names = [by_number.get(str(number)) for number in range(len(by_number))] if isinstance(by_number, dict) else [None]
    good = all(isinstance(name, str) for name in names)
    require(path, good, f"keypoint_id2name is {by_number!r:.60}, not names by number")
    return tuple(map(str, names))


def _read_rtmlib(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    people, scores = content["keypoints"], content["scores"]
    require(
        path, isinstance(people, list) and isinstance(scores, list) and len(people) == len(scores),
        "keypoints and scores are not lists of the same people",
    )  # fmt: skip
    for number, (points, values) in enumerate(zip(people, scores, strict=True)):
        record = {"keypoints": points, "keypoint_scores": values}
        yield _person(path, path.stem, f"person {number}", record, skeleton, None, None)


def _is_prediction(content: Any) -> bool:
    lists = content.get("instance_info") if has_keys(content, "meta_info", "instance_info") else content
    return (isinstance(content, dict) and lists == []) or any(
        is_list_of(lists, *keys) for keys in (("keypoints", "keypoint_scores"), ("frame_id", "instances"))
    )


MMPOSE = Layout("MMPose", PIXELS, _is_prediction, _read)
RTMLIB = Layout("RTMLib", PIXELS, lambda content: has_keys(content, "keypoints", "scores"), _read_rtmlib)
