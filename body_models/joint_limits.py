"""Anatomical ranges of SMPL's joints: the synthetic world samples strictly inside, metrics count outside.

**Decomposition.** A joint rotation is split as ``R = swing @ twist``: first a twist about the rest-pose direction of
the bone (the coordinate axis nearest to it: x for the arms, y for spine, head and legs, z for the feet), then a swing
about an axis at right angles to it. Three angles describe it, one per axis of SMPL's rest pose (x to the body's left,
y up, z forward): the twist angle in the slot of the twist axis, and the swing's rotation vector in the two other
slots. Each angle has a range in degrees; the ranges form a box, so any blend of two poses inside is inside as well.
The decomposition is unique while the swing is below 180 degrees, which the ranges ensure.

**Source.** Ranges of motion of adults from the AAOS handbook [1], widened by what [2] measured where it is more, and
carried over to SMPL's rest pose: a T-pose, so shoulder abduction of 0 is a swing of -90. What anatomy gives for a chain
is shared between its joints: the trunk's range by spine1 to spine3, the head's by neck and head, raising the arm by
collar and shoulder (one third to two thirds), turning the hand by elbow and wrist. Minor axes, for which [1] has no
range (side play of knee and elbow, the joint of the toes), get about 10 degrees, as SMPL's joint centres are not exact.
SMPL's two hand joints stand for all fingers at once.

The ranges go by the joints' names: another body's joint of the same name has them too, a joint without a range here may
be turned as one likes.

[1] American Academy of Orthopaedic Surgeons, Joint Motion: Method of Measuring and Recording, 1965.
[2] Boone and Azen, Normal range of motion of joints in male subjects, J. Bone Joint Surg. 61-A, 1979.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import roma
import torch
from torch import Tensor

from body_models.rotations import axis_angle_to_matrix
from body_models.spec import SMPL, BodySpec

BODY_JOINT_NAMES = SMPL.joints[1:]

# joint of the left side or the midline -> twist axis, and (low, high) degrees about x, y, z.
Range = tuple[float, float]
_RANGES: dict[str, tuple[str, Range, Range, Range]] = {
    # x: flexion is negative (120), extension 30; y: external rotation is positive (45); z: abduction is positive (45).
    "left_hip": ("y", (-125, 30), (-45, 45), (-30, 50)),
    # x: flexion (142), hyperextension 10; y: rotation of the bent knee.
    "left_knee": ("y", (-10, 145), (-30, 40), (-10, 10)),
    # x: plantar flexion (56), dorsal 20; z: eversion is positive (20), inversion 37.
    "left_ankle": ("z", (-25, 56), (-25, 25), (-37, 22)),
    # x: toes down 35, up 70.
    "left_foot": ("z", (-70, 35), (-10, 10), (-10, 10)),
    # A third each of the trunk: flexion 80, extension 30, bending 35, rotation 45, with some slack.
    "spine1": ("y", (-11, 32), (-18, 18), (-14, 14)),
    "spine2": ("y", (-11, 32), (-18, 18), (-14, 14)),
    "spine3": ("y", (-11, 32), (-18, 18), (-14, 14)),
    # Half each of the head: flexion and extension 60, rotation 80, bending 45.
    "neck": ("y", (-32, 32), (-42, 42), (-25, 25)),
    "head": ("y", (-32, 32), (-42, 42), (-25, 25)),
    # y: forward is negative (25), back 25; z: raising (45), lowering 12; x: rotation with the arm.
    "left_collar": ("x", (-30, 30), (-28, 25), (-15, 45)),
    # x: external rotation is negative (100), internal 80; y: across the front is negative (135), behind 60;
    # z: -90 hangs down, -110 across the body, +90 is straight up together with the collar.
    "left_shoulder": ("x", (-100, 80), (-135, 60), (-110, 90)),
    # y: flexion is negative (150), hyperextension 8; x: supination is negative.
    "left_elbow": ("x", (-95, 45), (-150, 8), (-12, 12)),
    # z: flexion is negative (80), extension 75; y: ulnar is positive (38), radial 25; x: supination is negative.
    "left_wrist": ("x", (-80, 45), (-25, 38), (-80, 75)),
    "left_hand": ("x", (-20, 20), (-20, 20), (-90, 30)),
}
# Of a joint that has no range here; a twist about y is as good as any.
_ANY: Range = (-math.inf, math.inf)
_UNLIMITED = ("y", _ANY, _ANY, _ANY)


class _Limits(NamedTuple):
    """Of R joints: (R, 3) bool slots of the twist angle, (R, 3) lows and (R, 3) highs in degrees."""

    twist_slot: Tensor
    low: Tensor
    high: Tensor


@cache
def _limits(joints: tuple[str, ...]) -> _Limits:
    axes, lows, highs = [], [], []
    for name in joints:
        axis, *ranges = _RANGES.get(name.replace("right", "left"), _UNLIMITED)
        if name.startswith("right"):
            ranges = [ranges[0], *((-high, -low) for low, high in ranges[1:])]
        axes.append("xyz".index(axis))
        lows.append([float(low) for low, _ in ranges])
        highs.append([float(high) for _, high in ranges])
    twist_slot = torch.nn.functional.one_hot(torch.tensor(axes), 3).bool()
    return _Limits(twist_slot, torch.tensor(lows), torch.tensor(highs))


_TWISTS, LOW, HIGH = _limits(BODY_JOINT_NAMES)
TWIST_AXIS = _TWISTS.int().argmax(-1)


def swing_twist_to_matrix(angles: Tensor, spec: BodySpec = SMPL) -> Tensor:
    """Joint rotations of given swing-twist angles.

    Args:
        angles: (..., R, 3) degrees about x, y, z of the rest pose; see the module's head.
        spec: of the body.

    Returns:
        (..., R, 3, 3).
    """
    radians = torch.deg2rad(angles)
    twist_slot = _limits(spec.joints[1:]).twist_slot.to(angles.device)
    swing = axis_angle_to_matrix(radians.masked_fill(twist_slot, 0))
    twist = axis_angle_to_matrix(radians.masked_fill(~twist_slot, 0))
    return swing @ twist


def matrix_to_swing_twist(body_pose: Tensor, spec: BodySpec = SMPL) -> Tensor:
    """Inverse of :func:`swing_twist_to_matrix`: (..., R, 3, 3) -> (..., R, 3) degrees, each in [-180, 180]."""
    quaternion = roma.rotmat_to_unitquat(body_pose)  # x, y, z, w
    vector, real = quaternion[..., :3], quaternion[..., 3]
    twist_slot = _limits(spec.joints[1:]).twist_slot.to(body_pose.device)
    along = (vector * twist_slot).sum(-1)
    half_twist = torch.atan2(along, real)
    twist_vector = twist_slot * half_twist.sin().unsqueeze(-1)
    twist_inverse = torch.cat((-twist_vector, half_twist.cos().unsqueeze(-1)), dim=-1)
    swing = roma.quat_product(quaternion, twist_inverse)
    swing_vector, swing_real = swing[..., :3], swing[..., 3]
    sine = swing_vector.norm(dim=-1)
    angle = 2 * torch.atan2(sine, swing_real)
    swing_angles = swing_vector * torch.where(sine > 1e-8, angle / sine.clamp(min=1e-8), 2.0).unsqueeze(-1)
    # The half angle is known up to pi, so the twist up to a full turn.
    twist = torch.remainder(2 * half_twist + torch.pi, 2 * torch.pi) - torch.pi
    return torch.rad2deg(torch.where(twist_slot, twist.unsqueeze(-1), swing_angles))


def angles_outside(body_pose: Tensor, spec: BodySpec = SMPL) -> Tensor:
    """How far each of a joint's three angles is beyond its range, to be counted or, as it is differentiable, avoided.

    Args:
        body_pose: (..., R, 3, 3) joint rotations without the root.
        spec: of the body.

    Returns:
        (..., R, 3) degrees, 0 inside.
    """
    limits, angles = _limits(spec.joints[1:]), matrix_to_swing_twist(body_pose, spec)
    return torch.maximum(limits.low.to(angles) - angles, angles - limits.high.to(angles)).clamp(min=0)


def degrees_outside(body_pose: Tensor, spec: BodySpec = SMPL) -> Tensor:
    """How far each joint is beyond its range.

    Args:
        body_pose: (..., R, 3, 3) joint rotations without the root.
        spec: of the body.

    Returns:
        (..., R) degrees: the largest excess over the joint's three angles, 0 inside.
    """
    return angles_outside(body_pose, spec).amax(-1)


def violations(body_pose: Tensor, tolerance_deg: float = 0.1) -> Tensor:
    """(..., R) bool: SMPL joints of body_pose (..., R, 3, 3) that are beyond their range by more than the tolerance."""
    return degrees_outside(body_pose) > tolerance_deg


def sample_inside(shape: tuple[int, ...], generator: torch.Generator, margin_deg: float = 1.0) -> Tensor:
    """Swing-twist angles of SMPL's joints drawn evenly from their ranges: (*shape, R, 3) degrees.

    Args:
        shape: leading dimensions.
        generator: source of the random numbers.
        margin_deg: distance kept from every limit.
    """
    low, high = LOW + margin_deg, HIGH - margin_deg
    return low + (high - low) * torch.rand(*shape, *LOW.shape, generator=generator)
