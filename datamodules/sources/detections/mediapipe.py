"""MediaPipe's Pose Landmarker: 33 landmarks of each person, written as json, a file for each image.

MediaPipe writes no files; what its Python objects hold is read: a list of ``{"x", "y"[, "z"], "visibility"[,
"presence"]}`` for one person, a list of such lists for several, or ``{"pose_landmarks": ...}`` with either; the file is
named after the image. x and y are shares of the image's width and height and may leave 0 to 1. Visibility is a
probability; where a file has values outside of 0 to 1, they are logits, as older models gave them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.records import are_numbers
from datamodules.sources.detections.found import SHARES, Found, Layout, has_keys, is_list_of, require
from datamodules.sources.detections.skeletons import SKELETONS

_NAMES = SKELETONS["mediapipe_33"]
_KEYS = ("x", "y", "visibility")


def _people(content: Any) -> Any:
    """The list of people, whichever way it is given."""
    people = content["pose_landmarks"] if has_keys(content, "pose_landmarks") else content
    return [people] if is_list_of(people, *_KEYS) else people


def _read(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    people = _people(content)
    require(path, isinstance(people, list), f"pose_landmarks is {people!r:.60}, not a list")
    joints = [_landmarks(path, number, person) for number, person in enumerate(people)]
    scores = [person[:, 2] for person in joints]
    if any((values < 0).any() or (values > 1).any() for values in scores):
        joints = [np.column_stack([person[:, :2], _probability(person[:, 2])]) for person in joints]
    for person in joints:
        yield Found(path.stem, person, _NAMES)


def _landmarks(path: Path, number: int, person: Any) -> NDArray[np.float64]:
    """(33, 3) x, y and visibility."""
    require(
        path, isinstance(person, list) and len(person) == len(_NAMES),
        f"person {number} has not {len(_NAMES)} landmarks",
    )  # fmt: skip
    values = [[landmark.get(key) for key in _KEYS] if isinstance(landmark, dict) else [] for landmark in person]
    wrong = next((i for i, value in enumerate(values) if not are_numbers(value, len(_KEYS))), None)
    require(path, wrong is None, f"landmark {wrong} of person {number} has no numbers {', '.join(_KEYS)}")
    return np.array(values, np.float64)


def _probability(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(logits, -50, 50)))


def _is_landmarks(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else None
    return has_keys(content, "pose_landmarks") or has_keys(first, *_KEYS) or is_list_of(first, *_KEYS)


MEDIAPIPE = Layout("MediaPipe", SHARES, _is_landmarks, _read)
