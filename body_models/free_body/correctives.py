"""Pose correctives of the free body: what counters the faults of linear blend skinning, computed from its geometry.

Between two bones, linear blend skinning averages two rotated copies of a vertex. The average of two points on a circle
lies inside it: skin collapses at bent joints and shrinks to a candy wrapper at twisted ones. SMPL learnt its
correctives from scans [1]; here they follow from what skinning with dual quaternions [2] would do, which keeps vertices
on the circle. Correctives are linear in the entries of R - I of each joint, as SMPL's are, so they are exact at one
angle only: a right angle for bends, for twists the joint's range.

A twist about a bone is spread along the bone besides, as the forearm's skin does when the hand turns.

[1] Loper et al., SMPL: A Skinned Multi-Person Linear Model, SIGGRAPH Asia 2015.
[2] Kavan et al., Skinning with Dual Quaternions, I3D 2007.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import SMPL_JOINTS, SMPL_PARENTS

Array = NDArray[np.float64]

NUM_JOINTS = len(SMPL_JOINTS)

# By joint without its side: the share of the collapse that is undone (less where the skin of the trunk slides), and the
# radius in metres beyond which it fades.
SHARE_UNDONE = {
    "elbow": (0.9, 0.12), "knee": (0.8, 0.16), "wrist": (1.0, 0.08), "ankle": (0.8, 0.12), "shoulder": (0.55, 0.22),
    "hip": (0.45, 0.28), "neck": (0.6, 0.16), "head": (0.6, 0.18), "collar": (0.4, 0.2), "spine1": (0.5, 0.3),
    "spine2": (0.5, 0.3), "spine3": (0.5, 0.3), "foot": (0.8, 0.08), "hand": (0.8, 0.08),
}  # fmt: skip
# How far the far side of a hinge stands out at a right angle, in metres: the tip of the elbow, the kneecap, the heel.
HINGE_REACH = {"elbow": 0.003, "knee": 0.004, "ankle": 0.003}


class Spread(NamedTuple):
    """Along which bone a twist is spread.

    Attributes:
        start: the joint at the bone's beginning, without its side.
        end: the joint at its end.
        first: where the skin begins to turn, as a part of the way.
        last: where it has turned as far as the joint.
        exact: degrees at which it is as it should be: the joint's range.
    """

    start: str
    end: str
    first: float
    last: float
    exact: float


TWISTS = {
    "shoulder": Spread("shoulder", "elbow", 0.0, 0.7, 75.0),
    "elbow": Spread("elbow", "wrist", 0.0, 1.0, 90.0),
    "wrist": Spread("elbow", "wrist", 0.0, 1.0, 90.0),
    "hip": Spread("hip", "knee", -0.1, 0.7, 45.0),
}


def pose_directions(vertices: Array, joints: Array, weights: Array) -> Array:
    """How vertices move, before skinning, per entry of R - I of joints 1 to 23, row by row.

    With S = R - I and the offset p of a vertex from the joint, the corrective is ``-a (S + S^T) / 2 p - r S b``, and
    for twists about the bone b ``(a - m) c q + n s b x p`` besides, where c = cos - 1 and s = sin of the twist, q is
    the part of p across the bone, and m and n put the skin where the spread twist has it.

    Args:
        vertices: (V, 3) metres, the template.
        joints: (24, 3) metres, of the template.
        weights: (V, 24) of the skin.

    Returns:
        (V, 3, 207).
    """
    descendants = np.eye(NUM_JOINTS)
    for joint in range(NUM_JOINTS - 1, 0, -1):
        descendants[SMPL_PARENTS[joint]] += descendants[joint]
    directions = np.zeros((len(vertices), 3, NUM_JOINTS - 1, 3, 3))
    for joint in range(1, NUM_JOINTS):
        beyond = np.clip(weights @ descendants[joint], 0, 1)
        offset = vertices - joints[joint]
        block = directions[:, :, joint - 1]  # (V, 3, 3, 3): output axis, row and column of S
        part = part_of(SMPL_JOINTS[joint])
        share, radius = SHARE_UNDONE[part]
        near = np.exp(-((np.linalg.norm(offset, axis=1) / radius) ** 4))
        undone = share * near * (1 / np.sqrt(1 - 2 * beyond * (1 - beyond)) - 1)
        _push_out(block, undone[:, None] * offset)
        if part in HINGE_REACH:
            bone = _unit(joints[SMPL_PARENTS.index(joint)] - joints[joint])
            seam = 4 * beyond * (1 - beyond) * near
            for axis in range(3):
                block[:, axis, axis, :] -= HINGE_REACH[part] * seam[:, None] * bone
        if part in TWISTS:
            start = SMPL_JOINTS.index(SMPL_JOINTS[joint].replace(part, TWISTS[part].start))
            of_limb = np.clip(2 * weights @ descendants[start], 0, 1)
            _spread_twist(block, vertices, joints, joint, beyond, undone, of_limb)
    return directions.reshape(len(vertices), 3, -1)


def part_of(joint: str) -> str:
    """Name of a joint without its side."""
    return joint.removeprefix("left_").removeprefix("right_")


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def _push_out(block: Array, push: Array) -> None:
    """Add ``-(S + S^T) / 2`` times (V, 3) pushes: outward by 1 - cos of the angle, whatever the axis."""
    for axis in range(3):
        block[:, axis, axis, :] -= push / 2
        block[:, axis, :, axis] -= push / 2


def _spread_twist(
    block: Array, vertices: Array, joints: Array, joint: int, beyond: Array, undone: Array, of_limb: Array
) -> None:
    """Turn skin about the bone by its share of the joint's twist, instead of by what blending makes of it."""
    side, part = SMPL_JOINTS[joint].split("_")
    spread = TWISTS[part]
    start, end = (joints[SMPL_JOINTS.index(f"{side}_{name}")] for name in (spread.start, spread.end))
    bone, length = _unit(end - start), np.linalg.norm(end - start)
    along = np.clip(((vertices - start) @ bone / length - spread.first) / (spread.last - spread.first), 0, 1)
    wanted = of_limb * along**2 * (3 - 2 * along)
    # Turns about the bone as complex numbers: the one that is wanted over the one that blending makes.
    angle = np.radians(spread.exact)
    missing = np.exp(1j * angle * wanted) / (1 - beyond + beyond * np.exp(1j * angle))
    outward = (missing.real - 1) / (1 - np.cos(angle)) - undone
    offset = vertices - joints[joint]
    across = offset - (offset @ bone)[:, None] * bone
    # With Y = (S + S^T) / 2, cos - 1 of the twist is (trace Y - 2 b Y b) / 2; its sine is b's part of (S - S^T) / 2.
    cosine = np.eye(3) / 2 - np.outer(bone, bone)
    sine = np.array([[0, -bone[2], bone[1]], [bone[2], 0, -bone[0]], [-bone[1], bone[0], 0]]) / 2
    block -= np.einsum("vc,ij->vcij", outward[:, None] * across, cosine)
    block += np.einsum("vc,ij->vcij", missing.imag[:, None] / np.sin(angle) * np.cross(bone, offset), sine)
