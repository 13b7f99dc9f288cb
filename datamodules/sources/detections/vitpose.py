"""easy_ViTPose: ``inference.py --save-json`` writes ``NAME_result.json`` for an image or a video.

``{"keypoints": [frame: {"id": K x [y, x, score]}], "skeleton": {"0": name, ...}}``: **y before x**, frames from 0, an
image has one; the id is the tracker's, as a text. ``skeleton`` names the joints, whose order is not OpenPose's even
where there are 25. Source: JunkyByte/easy_ViTPose ``inference.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.sources.detections.found import PIXELS, Found, Layout, has_keys, number_of, require, rows
from datamodules.sources.detections.skeletons import AUTO, SKELETONS, joint_names

_SUFFIX = "_result"


def _read(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    frames, named = content["keypoints"], content["skeleton"]
    require(path, isinstance(frames, list), f"keypoints is {frames!r:.60}, not a list of frames")
    names = _names(path, named) if skeleton == AUTO else None
    for frame, people in enumerate(frames):
        require(path, isinstance(people, dict), f"frame {frame} is {people!r:.60}, not people by their id")
        for key, values in people.items():
            joints = rows(path, f"person {key!r:.20} of frame {frame}", values, (3,))[:, [1, 0, 2]]
            known = names or joint_names(path, len(joints), skeleton)
            require(
                path, len(joints) == len(known),
                f"person {key!r:.20} of frame {frame} has {len(joints)} joints, the skeleton has {len(known)}",
            )  # fmt: skip
            number = frame if len(frames) > 1 else None
            track = number_of(key) if len(frames) > 1 else None
            yield Found(path.stem.removesuffix(_SUFFIX), joints, known, track=track, frame=number)


def _names(path: Path, named: Any) -> tuple[str, ...]:
    """Names of the joints in the order of the file."""
    names = [named.get(str(number)) for number in range(len(named))] if isinstance(named, dict) else [None]
    require(
        path, all(isinstance(name, str) for name in names) and bool(names),
        f"skeleton is {named!r:.60}, not names by number; give skeleton={' or '.join(_ORDERS)}",
    )  # fmt: skip
    return tuple(map(str, names))


_ORDERS = [name for name in SKELETONS if name in ("coco_17", "vitpose_25", "wholebody_133")]
VITPOSE = Layout("easy_ViTPose", PIXELS, lambda content: has_keys(content, "keypoints", "skeleton"), _read)
