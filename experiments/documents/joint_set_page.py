"""What docs/joint_sets.md and docs/joint_sets.png hold: every joint set, and what each joint is on the body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from body_models.joint_sets import JOINT_SETS, SAME_BODY_JOINT, JointSet, matching_joints
from body_models.parameters import BodyParameters
from body_models.render import VIEW_METRES, side_view
from body_models.spec import SMPL
from experiments.documents.markdown import table_lines

TEXT, PICTURE = "joint_sets.md", "joint_sets.png"

# Pairs of joints that go by one name, for the table of distances.
_HOMONYMS = (
    ("hip", "left_hip", "lsp_left_hip"), ("hip", "left_hip", "h36m_left_hip"),
    ("hip", "lsp_left_hip", "h36m_left_hip"), ("pelvis", "pelvis", "mpii_pelvis"), ("pelvis", "pelvis", "h36m_pelvis"),
    ("neck", "neck", "lsp_neck"), ("neck", "neck", "h36m_neck"), ("thorax, neck", "lsp_neck", "mpii_thorax"),
    ("spine", "spine2", "h36m_spine"), ("head, head top", "head", "lsp_head_top"),
    ("head top", "lsp_head_top", "h36m_head_top"), ("nose", "nose", "h36m_nose"),
    ("shoulder", "left_shoulder", "h36m_left_shoulder"), ("knee", "left_knee", "h36m_left_knee"),
)  # fmt: skip

_COCO_HIP = "marked on the picture, further out than SMPL's hip: compared with LSP's regressor row"
_SPIN_OPENPOSE = "compared with SMPL's joint, as SPIN does; openpose25 differs"
# (set, joint without its side) -> what to know about it.
_NOTES = {
    ("coco17", "hip"): _COCO_HIP,
    ("coco_wholebody23", "hip"): _COCO_HIP,
    ("crowdpose14", "hip"): _COCO_HIP,
    ("openpose25", "hip"): _COCO_HIP,
    ("lsp14", "hip"): _COCO_HIP,
    ("mpii16", "hip"): _COCO_HIP,
    ("mpii16", "pelvis"): "midpoint of MPII's hips: a regressor row of its own",
    ("mpii16", "thorax"): "at the collar bones, below every neck: a regressor row of its own",
    ("mpii16", "neck"): "upper neck, as LSP's",
    ("mpii16", "head_top"): "top of the skull, higher than SMPL's head joint: LSP's regressor row",
    ("lsp14", "head_top"): "top of the skull, higher than SMPL's head joint: a regressor row of its own",
    ("crowdpose14", "head_top"): "top of the skull, as LSP's",
    ("mpi_inf_3dhp28", "pelvis"): "joint centre of the capture system: the h36m row, as for all its joints",
    ("mpi_inf_3dhp17", "pelvis"): "joint centre of the capture system: the h36m row, as for all its joints",
    ("mpi_inf_3dhp28", "spine"): "no regressor has its place on the spine: left out of the losses",
    ("mpi_inf_3dhp17", "spine"): "no regressor has its place on the spine: left out of the losses",
    ("mpi_inf_3dhp28", "head"): "within the head, where no regressor is: left out of the losses",
    ("mpi_inf_3dhp17", "head"): "within the head, where no regressor is: left out of the losses",
    ("human36m17", "torso"): "middle of the back, not SMPL's spine joints",
    ("openpose25", "neck"): "midpoint of the shoulders: says nothing that they do not, left out",
    ("openpose25", "mid_hip"): "midpoint of the hips: says nothing that they do not, left out",
    ("spin49", "op_neck"): _SPIN_OPENPOSE,
    ("spin49", "op_mid_hip"): _SPIN_OPENPOSE,
    ("spin49", "op_hip"): _SPIN_OPENPOSE,
    ("spin49", "hip"): "LSP's hip, not OpenPose's",
}

_ABOUT = {
    "coco17": "COCO keypoints.",
    "coco_wholebody23": "COCO keypoints and COCO-WholeBody's feet, in the order of `keypoints` and `foot_kpts`.",
    "mpii16": "MPII, in the order of its joint ids.",
    "lsp14": "LSP and LSP extended. The protocol lsp14 has this order, but its joints are rows of the h36m regressor.",
    "crowdpose14": "CrowdPose.",
    "human36m17": "The Human3.6M json layout; also the row order of `J_regressor_h36m`.",
    "mpi_inf_3dhp28": "MPI-INF-3DHP, training set.",
    "mpi_inf_3dhp17": "MPI-INF-3DHP, test set and json layout.",
    "openpose25": "OpenPose BODY_25.",
    "spin49": "SPIN's files and those of its successors: 25 OpenPose joints, then 24 joints of the data sets. "
    "Mapped as in SPIN's `JOINT_MAP`.",
    "smpl24": "SMPL's own joints; 3DPW.",
}

_INTRODUCTION = f"""# Joint sets

Written by `python -m experiments docs` from `body_models/joint_sets.py`; a test keeps them equal.

A joint of a data set is compared with the body joint of the same definition: one of SMPL's joints, a vertex of its
mesh, or a row of a joint regressor. Where no body joint has its definition, the joint is left out of the losses. A
common name is not enough, as the distances below show.

![Every joint set on the free body]({PICTURE})

Orange: the person's left, blue: right, dark: the middle. The numbers are those of the tables. Joints that are left
out have no place on the body, and are listed under each picture.
"""


def describe_joint(body: str | None) -> str:
    """Where a body joint comes from, in words."""
    if body is None:
        return "left out"
    if body in SMPL.joints:
        return f"SMPL joint {SMPL.index[body]}"
    if body in SMPL.landmarks:
        return f"vertex {SMPL.landmarks[body]}"
    return next(f"`{name}` row {rows.index(body)}" for name, rows in SMPL.regressors.items() if body in rows)


def joint_sets_text() -> str:
    """All of docs/joint_sets.md."""
    parts = [_INTRODUCTION, _distances(), _conversions()]
    for joint_set in JOINT_SETS.values():
        rows = [
            (str(number), name, body or "", describe_joint(body), _note(joint_set.name, name))
            for number, (name, body) in enumerate(zip(joint_set.names, joint_set.body, strict=True))
        ]
        left_out = [name for name, body in zip(joint_set.names, joint_set.body, strict=True) if body is None]
        summary = f"Left out: {', '.join(left_out)}." if left_out else "All joints are compared."
        root = f" 3D joints are relative to `{joint_set.root}`." if joint_set.root else ""
        table = _table(("#", "joint", "body joint", "which is", "note"), rows)
        parts.append(f"## {joint_set.name}\n\n{_ABOUT[joint_set.name]}{root} {summary}\n\n{table}")
    return "\n".join(parts)


def joint_sets_picture() -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: the free body with each joint set on it."""
    pose = torch.zeros(1, len(SMPL.joints), 3)
    # Half lowered arms and parted legs: narrow, and nothing hides anything.
    for joint, angle in (("left_shoulder", -0.9), ("right_shoulder", 0.9), ("left_hip", 0.12), ("right_hip", -0.12)):
        pose[0, SMPL.index[joint], 2] = angle
    pose[0, 0, 0] = np.pi
    bodies = BodyModels()
    output = bodies.pose(BodyParameters.of_axis_angle(pose.flatten(1), torch.zeros(1, SMPL.shape_size)))
    vertices, joints = output.vertices[0].numpy(), output.joints[0].numpy()
    drawn = side_view(vertices, bodies.neutral.faces, (_PANEL[0], _HEIGHT), color=(0.95, 0.95, 0.95), angle=0)
    top = (_HEIGHT - _PANEL[1]) // 2
    # Faint, so that the numbers on it can be read.
    mesh = (140 + drawn[top : top + _PANEL[1]].astype(float) * (115 / 255)).astype(np.uint8)
    middle = (vertices.min(0) + vertices.max(0)) / 2
    points = (joints - middle)[:, :2] * (_HEIGHT / VIEW_METRES) + np.array(_PANEL) / 2

    panels = []
    for joint_set in JOINT_SETS.values():
        count = len(joint_set.names)
        # SPIN's two halves lie on each other.
        for first, last in ((0, 25), (25, count)) if joint_set.name == "spin49" else ((0, count),):
            panels.append(_panel(mesh, points, joint_set, first, last))
    panels += [np.full_like(panels[0], 255)] * (-len(panels) % _COLUMNS)
    rows = [np.concatenate(panels[i : i + _COLUMNS], axis=1) for i in range(0, len(panels), _COLUMNS)]
    return np.concatenate(rows)


# The bodies are drawn for a height of VIEW_METRES, of which they fill the middle.
_PANEL, _HEIGHT = (400, 540), 640
_COLUMNS = 4
_TITLE, _FOOT = 30, 66
_COLOURS = {"left": (215, 95, 0), "right": (20, 90, 200), "": (60, 60, 60)}
_LABEL_SIZE = 0.42


def _side(name: str) -> str:
    return next((side for side in ("left", "right") if side in name), "")


def _panel(mesh: NDArray[Any], points: NDArray[Any], joint_set: JointSet, first: int, last: int) -> NDArray[np.uint8]:
    """One body with some joints of a set."""
    picture = mesh.copy()
    numbers = [n for n in range(first, last) if joint_set.body[n] is not None]
    places = {joint_set.names[n]: points[SMPL.index[str(joint_set.body[n])]] for n in numbers}
    for a, b in joint_set.bones:
        if a in places and b in places:
            colour = _COLOURS[_side(a) if _side(a) == _side(b) else ""]
            cv2.line(picture, _pixel(places[a]), _pixel(places[b]), colour, 1, cv2.LINE_AA)
    joints = np.array([places[joint_set.names[n]] for n in numbers])
    labels = _spread_labels(joints)
    for n, joint, label in zip(numbers, joints, labels, strict=True):
        colour = _COLOURS[_side(joint_set.names[n])]
        cv2.line(picture, _pixel(joint), _pixel(label), (170, 170, 170), 1, cv2.LINE_AA)
        cv2.circle(picture, _pixel(joint), 3, colour, -1, cv2.LINE_AA)
    for n, label in zip(numbers, labels, strict=True):
        _write(picture, str(n), label, _COLOURS[_side(joint_set.names[n])])
    whole = np.full((_PANEL[1] + _TITLE + _FOOT, _PANEL[0], 3), 255, np.uint8)
    whole[_TITLE : _TITLE + _PANEL[1]] = picture
    part = "" if last - first == len(joint_set.names) else f" ({first} to {last - 1})"
    _write(whole, joint_set.name + part, np.array([_PANEL[0] / 2, _TITLE / 2 + 2]), (0, 0, 0), 0.55)
    missing = [f"{n} {joint_set.names[n]}" for n in range(first, last) if joint_set.body[n] is None]
    words = (["left out:"] + [f"{name}," for name in missing[:-1]] + missing[-1:]) if missing else []
    for line, text in enumerate(_lines(words, 62)):
        _write(whole, text, np.array([_PANEL[0] / 2, _TITLE + _PANEL[1] + 6 + 15 * line]), (90, 90, 90), 0.38)
    return whole


def _spread_labels(joints: NDArray[Any]) -> NDArray[np.float64]:
    """(K, 2) places for the numbers of joints (K, 2): beside them, off each other and off the joints."""
    sideways = np.where(joints[:, :1] < _PANEL[0] / 2 - 2, -1.0, 1.0)
    home = joints + sideways * [18, 0]
    # Joints on the same place part by their order.
    labels = home + np.arange(len(joints))[:, None] * [0, 0.01]
    wanted = np.concatenate([np.full(len(joints), 15.0), np.full(len(joints), 14.0)])
    for _ in range(400):
        apart = labels[:, None] - np.concatenate([labels, joints])[None]
        # Numbers are wider than high.
        distance = np.linalg.norm(apart / [1.4, 1.0], axis=2)
        push = np.clip(wanted - distance, 0, None) / np.maximum(distance, 1e-6)
        np.fill_diagonal(push, 0)
        labels = labels + 0.2 * (push[..., None] * apart).sum(axis=1) + 0.02 * (home - labels)
    return labels


def _pixel(point: NDArray[Any]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _write(
    picture: NDArray[Any], text: str, centre: NDArray[Any], colour: tuple[int, int, int], size: float = _LABEL_SIZE
) -> None:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    corner = _pixel(centre + np.array([-width / 2, height / 2]))
    paper = corner[0] - 1, corner[1] - height - 1, width + 3, height + 3
    cv2.rectangle(picture, paper, (255, 255, 255), -1)
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def _lines(words: list[str], width: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _note(joint_set: str, name: str) -> str:
    return _NOTES.get((joint_set, name.replace("left_", "").replace("right_", "")), "")


def _distances() -> str:
    """Section on joints of one name."""
    rest = BodyParameters.of_axis_angle(torch.zeros(1, SMPL.pose_size), torch.zeros(1, SMPL.shape_size))
    joints = BodyModels().joints(rest)[0].numpy()
    rows = []
    for name, a, b in _HOMONYMS:
        # Whole centimetres, so that the last bit of a sum cannot change the text.
        distance = np.linalg.norm(joints[SMPL.index[a]] - joints[SMPL.index[b]])
        places = [f"{joint} ({describe_joint(joint)})" for joint in (a, b)]
        rows.append((name, *places, f"{100 * distance:.0f} cm"))
    table = _table(("name", "one", "another", "apart"), rows)
    return (
        "## One name, several joints\n\nDistances on the free body at rest; those of the licensed model and its "
        f"regressors differ somewhat.\n\n{table}"
    )


def _conversions() -> str:
    """Section on what is left of a set in another one."""
    names = list(JOINT_SETS)
    rows = []
    for source in JOINT_SETS.values():
        counts = [sum(map(bool, matching_joints(source, target))) for target in JOINT_SETS.values()]
        rows.append((f"**{source.name}**", *map(str, counts)))
    same = ", ".join(f"`{a}` and `{b}`" for a, b in SAME_BODY_JOINT.items())
    return (
        "## From one set to another\n\n`convert_joints` fills these many joints of the set in the column from the set "
        "in the row; the others get zero confidence. Joints are the same if they are mapped to the same body joint; "
        f"besides, {same} count as one, both being Human3.6M's, and SPIN's OpenPose joints are OpenPose's.\n\n"
        + _table(("from", *names), rows)
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"{line}\n" for line in table_lines(header, rows))
