"""YOLO-pose: a text file for each image, ``labels/NAME.txt``, a line for each person.

``class cx cy w h``, then x, y and, unless the model has none, the score of each joint, all as shares of the image's
width and height. ``yolo pose predict save_txt=True`` adds the person's confidence with ``save_conf=True`` and, last,
the track of ``yolo pose track``; data sets to train on have 0, 1 or 2 in place of the score. No file is nobody. Of a
video NAME ends in the frame's number, from 1. Source: ultralytics ``engine/results.py``, ``save_txt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.sources.detections.found import SHARES, Found, Layout, number_of, require
from datamodules.sources.detections.skeletons import AUTO, SKELETONS, joint_names

_HEAD = 5
# Numbers behind the joints: none, confidence or track, both.
_TAILS = (0, 1, 2)


def _read(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    names = SKELETONS["coco_17"] if skeleton == AUTO else joint_names(path, len(SKELETONS.get(skeleton, ())), skeleton)
    shapes = {_HEAD + len(names) * depth + tail: (depth, tail) for depth in (2, 3) for tail in _TAILS}
    for number, line in enumerate(content, start=1):
        words = line.split()
        if not words:
            continue
        require(
            path, len(words) in shapes,
            f"line {number} has {len(words)} numbers; of {len(names)} joints with a score it has "
            f"{_HEAD + 3 * len(names)} and up to 2 more. Is it of a pose model? Other joints need skeleton=",
        )  # fmt: skip
        depth, tail = shapes[len(words)]
        try:
            values = np.array(words, np.float64)
        except ValueError:
            require(path, False, f"line {number} is not all numbers")
            return
        end = len(values) - tail
        joints = values[_HEAD:end].reshape(len(names), depth)
        if depth == 2:
            # Without scores a joint that was not found is 0, 0.
            joints = np.column_stack([joints, (joints != 0).any(axis=1)])
        x, y, w, h = values[1:_HEAD]
        # A single number behind the joints is a track where it is whole: confidences never are.
        track = number_of(float(values[-1])) if tail == 2 or (tail == 1 and values[-1] % 1 == 0) else None
        yield Found(_name(path), joints, names, [x - w / 2, y - h / 2, w, h], track)


def _name(path: Path) -> str:
    """The image's name without its ending, below the folder labels/ if there is one."""
    parts = path.with_suffix("").parts
    return "/".join(parts[len(parts) - parts[::-1].index("labels") :]) if "labels" in parts else path.stem


YOLO = Layout("YOLO-pose", SHARES, lambda content: False, _read, first_frame=1)
