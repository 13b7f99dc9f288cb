"""What linear blend skinning does wrong, and that the correctives counter it: volumes, girths and lengths of edges."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from body_models.free_body.arrays import free_body_arrays
from body_models.joint_sets import SMPL_JOINTS
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from body_models.spec import SMPL

Pose = dict[str, tuple[float, float, float]]
FACES = free_body_arrays()["f"].astype(np.int64)


@cache
def body(corrected: bool) -> BodyModel:
    model = BodyModel("free")
    if not corrected:
        model.get_buffer("mesh_posedirs").zero_()
    return model


def posed(pose: Pose, corrected: bool = True) -> np.ndarray:
    """(6890, 3) of a body with some joints of both sides turned, in degrees axis-angle of the left one."""
    axis_angle = torch.zeros(1, 24, 3)
    for name, degrees in pose.items():
        turn = torch.tensor(degrees) * torch.pi / 180
        sides = {name: 1.0} if name in SMPL_JOINTS else {f"left_{name}": 1.0, f"right_{name}": -1.0}
        for joint, sign in sides.items():
            axis_angle[0, SMPL_JOINTS.index(joint)] = turn * torch.tensor([1.0, sign, sign])
    rotations = axis_angle_to_matrix(axis_angle)
    return body(corrected)(rotations[:, 0], rotations[:, 1:], torch.zeros(1, 10)).vertices[0].double().numpy()


def litres(vertices: np.ndarray) -> float:
    a, b, c = (vertices[FACES[:, i]] for i in range(3))
    return 1000 * float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6


def edge_ratios(vertices: np.ndarray) -> np.ndarray:
    """(E,) lengths of the edges as parts of those at rest."""
    edges = np.unique(np.sort(np.concatenate([FACES[:, [0, 1]], FACES[:, [1, 2]], FACES[:, [2, 0]]])), axis=0)
    length = [np.linalg.norm(mesh[edges[:, 0]] - mesh[edges[:, 1]], axis=1) for mesh in (vertices, posed({}))]
    return length[0] / length[1]


BENDS: dict[str, Pose] = {
    "elbow": {"elbow": (0, -110, 0)},
    "knee": {"knee": (110, 0, 0)},
    "hip": {"hip": (-90, 0, 0)},
    "armpit": {"shoulder": (0, 0, -75)},
    "arms forward": {"shoulder": (0, -80, 0)},
}
# Of what blending alone loses, the most that may still be lost; skin of the trunk folds where it bends.
LOST = {"elbow": 0.75, "knee": 0.45, "hip": 0.8, "armpit": 0.9, "arms forward": 0.65}


@pytest.mark.parametrize("bend", BENDS)
def test_bent_joints_keep_their_flesh(bend: str) -> None:
    rest = litres(posed({}))
    lost, alone = (rest - litres(posed(BENDS[bend], corrected)) for corrected in (True, False))
    assert alone > 0.2, "nothing to correct: the test tests nothing"
    assert abs(lost) < LOST[bend] * alone


@pytest.mark.parametrize("joint", ["elbow", "wrist"])
@pytest.mark.parametrize("degrees", [90, -90])
def test_no_candy_wrapper_in_a_twisted_forearm(joint: str, degrees: float) -> None:
    """The girth along the arm stays, and the turn is spread along the forearm."""
    arrays = free_body_arrays()
    joints = dict(zip(SMPL_JOINTS, arrays["J_regressor"] @ arrays["v_template"], strict=True))
    elbow, length = joints["left_elbow"], np.linalg.norm(joints["left_wrist"] - joints["left_elbow"])
    bone = (joints["left_wrist"] - elbow) / length
    turn = bone * degrees

    def girths(corrected: bool) -> np.ndarray:
        rest, twisted = posed({}), posed({f"left_{joint}": tuple(turn)}, corrected)
        along = (rest - elbow) @ bone / length
        parts = []
        for start in np.arange(-0.3, 1.1, 0.1):
            ring = (rest[:, 0] > 0.2) & (along >= start) & (along < start + 0.1)
            radius = [np.linalg.norm(np.cross(mesh[ring] - elbow, bone), axis=1).mean() for mesh in (twisted, rest)]
            parts.append(radius[0] / radius[1])
        return np.array(parts)

    assert girths(corrected=False).min() < 0.85, "nothing to correct: the test tests nothing"
    np.testing.assert_allclose(girths(corrected=True), 1, atol=0.05)
    ratios = edge_ratios(posed({f"left_{joint}": tuple(turn)}))
    assert 0.8 < ratios.min() and ratios.max() < 1.6


@pytest.mark.parametrize("pose", [{"hip": (0, 45, 0)}, {"shoulder": (75, 0, 0)}, {"shoulder": (-75, 0, 0)}])
def test_twisted_limbs_keep_their_flesh(pose: Pose) -> None:
    rest = litres(posed({}))
    lost, alone = (rest - litres(posed(pose, corrected)) for corrected in (True, False))
    assert alone > 0.5
    assert abs(lost) < 0.35 * alone


@pytest.mark.parametrize("pose", BENDS.values())
def test_skin_neither_tears_nor_bunches(pose: Pose) -> None:
    ratios = edge_ratios(posed(pose))
    assert np.quantile(ratios, 0.01) > 0.8 and np.quantile(ratios, 0.99) < 1.4
    assert ratios.max() < 3.5


@pytest.mark.parametrize(("joint", "degrees"), [("left_elbow", (0, -90, 0)), ("right_knee", (90, 0, 0))])
def test_correctives_are_local(joint: str, degrees: tuple[float, float, float]) -> None:
    moved = 1000 * np.linalg.norm(posed({joint: degrees}) - posed({joint: degrees}, corrected=False), axis=1)
    rest = posed({})
    eye = torch.eye(3)[None]
    joints = body(True).joints(eye, eye.expand(1, 23, 3, 3), torch.zeros(1, 10))[0].numpy()
    away = np.linalg.norm(rest - joints[SMPL.index[joint]], axis=1)
    assert moved[away < 0.06].mean() > 3
    assert moved.max() < 50
    assert moved[away > 0.3].max() < 0.5
    np.testing.assert_allclose(posed({}), posed({}, corrected=False), atol=1e-6)
