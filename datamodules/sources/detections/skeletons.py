"""The joints of 2D pose tools in the order of their files, under the names that the joint sets know.

Most files hold numbers only, and a tool's number of joints says its order, except for 14 and for what one tool alone
counts otherwise. Orders: OpenPose's ``poseParameters.cpp``, the READMEs of Halpe-FullBody and COCO-WholeBody,
MediaPipe's guide of the Pose Landmarker, easy_ViTPose's ``visualization.py``. Face and hands are not read: their joints
have no names here.
"""

from __future__ import annotations

from pathlib import Path

from body_models.joint_sets import COCO17, CROWDPOSE14, HUMAN36M17, LSP14, MPII16, OPENPOSE25
from datamodules.files import AnnotationError

AUTO = "auto"
"""The skeleton that the file names, or else the usual one of that many joints."""
UNREAD = "unread_"
"""Begins the names of joints of face and hands."""


def _unread(count: int) -> tuple[str, ...]:
    return tuple(f"{UNREAD}{number}" for number in range(count))


_FEET = ("big_toe", "small_toe", "heel")
_WHOLE_BODY_FEET = tuple(f"{side}_{part}" for side in ("left", "right") for part in _FEET)
_HALPE_FEET = tuple(f"{side}_{part}" for part in _FEET for side in ("left", "right"))
_HALPE_26 = (*COCO17.names, "head", "neck", "mid_hip", *_HALPE_FEET)
_FACE, _HANDS = 68, 42
_MEDIAPIPE_33 = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
    "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
_VITPOSE_25 = (
    *COCO17.names[:5], "neck", *COCO17.names[5:13], "mid_hip", *COCO17.names[13:], *_WHOLE_BODY_FEET,
)  # fmt: skip
_OPENPOSE_MPI = ("head_top", "neck", *OPENPOSE25.names[2:8], *OPENPOSE25.names[9:15], "chest")

SKELETONS: dict[str, tuple[str, ...]] = {
    "coco_17": COCO17.names,
    "openpose_25": OPENPOSE25.names,
    "openpose_18": (*OPENPOSE25.names[:8], *OPENPOSE25.names[9:19]),
    "openpose_15": _OPENPOSE_MPI,
    "vitpose_25": _VITPOSE_25,
    "halpe_26": _HALPE_26,
    "halpe_68": (*_HALPE_26, *_unread(_HANDS)),
    "halpe_136": (*_HALPE_26, *_unread(_FACE + _HANDS)),
    "wholebody_133": (*COCO17.names, *_WHOLE_BODY_FEET, *_unread(_FACE + _HANDS)),
    "mediapipe_33": _MEDIAPIPE_33,
    "mpii_16": MPII16.names,
    "human36m_17": HUMAN36M17.names,
    "crowdpose_14": CROWDPOSE14.names,
    "lsp_14": LSP14.names,
}
"""Name of an order -> its joints."""
_USUAL = (
    "coco_17", "openpose_25", "openpose_18", "openpose_15", "halpe_26", "halpe_68", "halpe_136", "wholebody_133",
    "mediapipe_33", "mpii_16",
)  # fmt: skip
_BY_COUNT = {len(SKELETONS[name]): SKELETONS[name] for name in _USUAL}


def joint_names(path: Path, count: int, skeleton: str = AUTO) -> tuple[str, ...]:
    """Names of a person's joints.

    Args:
        path: of the file, for messages.
        count: of the person's joints.
        skeleton: one of :data:`SKELETONS`, or :data:`AUTO` for the usual one of that count.

    Raises:
        AnnotationError: there is none of that name, or none of that many joints.
    """
    if skeleton == AUTO:
        names = _BY_COUNT.get(count)
        known = " or ".join(name for name, joints in SKELETONS.items() if len(joints) == count)
        remedy = f"say which order it is by skeleton={known}" if known else "no tool known writes as many"
        wrong = f"a person has {count} joints; {remedy}"
    else:
        names = SKELETONS.get(skeleton)
        wrong = f"there is no skeleton {skeleton!r:.40}: use one of {AUTO}, {', '.join(SKELETONS)}"
        if names is not None and len(names) != count:
            names, wrong = None, f"a person has {count} joints, the skeleton {skeleton} has {len(SKELETONS[skeleton])}"
    if names is None:
        msg = f"{path}: {wrong}"
        raise AnnotationError(msg)
    return names
