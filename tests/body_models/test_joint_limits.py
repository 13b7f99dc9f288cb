"""Joint limits: the decomposition against SciPy, and ranges that mean on the body what their comments say."""

import pytest
import torch
from scipy.spatial.transform import Rotation

from body_models.joint_limits import (
    BODY_JOINT_NAMES,
    HIGH,
    LOW,
    TWIST_AXIS,
    angles_outside,
    degrees_outside,
    matrix_to_swing_twist,
    sample_inside,
    swing_twist_to_matrix,
    violations,
)
from body_models.joint_sets import SMPL_JOINTS
from body_models.mirror import mirror_pose
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from body_models.spec import SMPL


def one_joint(name: str, x: float = 0, y: float = 0, z: float = 0) -> torch.Tensor:
    """(1, 23, 3) degrees: all joints at rest but one."""
    angles = torch.zeros(1, 23, 3)
    angles[0, BODY_JOINT_NAMES.index(name)] = torch.tensor([x, y, z])
    return angles


def test_angles_survive_the_round_trip() -> None:
    angles = sample_inside((500,), torch.Generator().manual_seed(0))
    torch.testing.assert_close(matrix_to_swing_twist(swing_twist_to_matrix(angles)), angles, atol=2e-2, rtol=0)


def test_matrices_are_swing_after_twist() -> None:
    angles = sample_inside((20,), torch.Generator().manual_seed(1))
    matrices = swing_twist_to_matrix(angles)
    for joint, axis in enumerate(TWIST_AXIS.tolist()):
        twist, swing = torch.zeros(20, 3), angles[:, joint].clone()
        twist[:, axis] = swing[:, axis]
        swing[:, axis] = 0
        expected = Rotation.from_rotvec(swing.numpy(), degrees=True) * Rotation.from_rotvec(twist.numpy(), degrees=True)
        torch.testing.assert_close(matrices[:, joint], torch.tensor(expected.as_matrix()).float(), atol=1e-5, rtol=0)


def test_inside_has_no_violation_and_outside_is_measured_in_degrees() -> None:
    inside = swing_twist_to_matrix(sample_inside((200,), torch.Generator().manual_seed(2)))
    assert not violations(inside).any()
    assert degrees_outside(inside).max() == 0
    bent_back = swing_twist_to_matrix(one_joint("left_knee", x=-40))
    outside = degrees_outside(bent_back)[0]
    assert outside[BODY_JOINT_NAMES.index("left_knee")].item() == pytest.approx(30, abs=0.01)
    assert violations(bent_back).sum() == 1


def test_the_way_back_inside_is_the_gradient() -> None:
    """Against finite differences in float64; and finite at rest, where several quotients are 0 / 0."""

    def penalty(pose: torch.Tensor) -> torch.Tensor:
        return torch.deg2rad(angles_outside(axis_angle_to_matrix(pose))).square().sum(dim=(-2, -1))

    pose = torch.randn(4, 23, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    pose.requires_grad_()
    assert penalty(pose).min() > 0.1
    assert torch.autograd.gradcheck(penalty, pose, eps=1e-6, atol=1e-5)
    rest = torch.zeros(1, 23, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(penalty(rest).sum(), rest)
    assert gradient.isfinite().all()


def test_the_unposed_body_is_inside_and_sides_are_mirror_images() -> None:
    assert (LOW < 0).all()
    assert (HIGH > 0).all()
    rotations = torch.eye(3).repeat(50, 24, 1, 1)
    wild = sample_inside((50,), torch.Generator().manual_seed(3)) * 1.3
    rotations[:, 1:] = swing_twist_to_matrix(wild)
    here, there = degrees_outside(rotations[:, 1:]), degrees_outside(mirror_pose(rotations, SMPL)[:, 1:])
    names = [name.replace("left", "?").replace("right", "left").replace("?", "right") for name in BODY_JOINT_NAMES]
    torch.testing.assert_close(here, there[:, [BODY_JOINT_NAMES.index(name) for name in names]], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("joint", "angles", "moved", "axis", "sign"),
    [
        ("left_knee", {"x": 90}, "left_ankle", 2, -1),  # the heel goes back
        ("left_hip", {"x": -80}, "left_knee", 2, 1),  # the thigh is raised to the front
        ("right_hip", {"z": -40}, "right_knee", 0, -1),  # the leg goes out to the side
        ("left_elbow", {"y": -90}, "left_wrist", 2, 1),  # the forearm comes forward
        ("right_elbow", {"y": 90}, "right_wrist", 2, 1),
        ("left_shoulder", {"z": -80}, "left_elbow", 1, -1),  # the arm hangs down
        ("spine1", {"x": 30}, "head", 2, 1),  # bends forward
    ],
)
def test_ranges_turn_the_body_the_way_their_comments_say(
    joint: str, angles: dict, moved: str, axis: int, sign: int
) -> None:
    body = BodyModel()
    pose = swing_twist_to_matrix(one_joint(joint, **angles))
    assert not violations(pose).any()
    eye, rest = torch.eye(3)[None], torch.eye(3).expand(1, 23, 3, 3)
    index = SMPL_JOINTS.index(moved)
    shift = body.joints(eye, pose, torch.zeros(1, 10)) - body.joints(eye, rest, torch.zeros(1, 10))
    assert sign * shift[0, index, axis] > 0.1
