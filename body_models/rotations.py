"""Rotations, with the conventions fixed once: matrices act on column vectors, 6D holds the first two columns.

Any number of leading dimensions. Inside the graph rotations stay matrices or 6D: axis-angle has bad gradients at 0
and pi and belongs in files only.
"""

from __future__ import annotations

import math

import roma
import torch
from torch import Tensor

from body_models.joint_sets import SMPL_JOINTS, mirror_permutation

_MIRROR = torch.from_numpy(mirror_permutation(SMPL_JOINTS))


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """(..., 3) radians -> (..., 3, 3)."""
    return roma.rotvec_to_rotmat(axis_angle)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) radians, with angles in [0, pi]."""
    return roma.rotmat_to_rotvec(matrix)


def sixd_to_matrix(sixd: Tensor) -> Tensor:
    """(..., 6), the first column followed by the second, not yet orthonormal -> (..., 3, 3) by Gram-Schmidt [1].

    [1] Zhou et al., On the Continuity of Rotation Representations in Neural Networks, CVPR 2019.
    """
    first, second = sixd.float().unflatten(-1, (2, 3)).unbind(-2)
    x = torch.nn.functional.normalize(first, dim=-1, eps=1e-6)
    y = torch.nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1, eps=1e-6)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


def matrix_to_sixd(matrix: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 6), the first column followed by the second."""
    return matrix[..., :2].transpose(-1, -2).flatten(-2)


def geodesic_distance(a: Tensor, b: Tensor) -> Tensor:
    """Angle in radians between rotations (..., 3, 3) and (..., 3, 3); exact near 0, where an arccos would not be."""
    return roma.rotmat_geodesic_distance(a, b)


def mean_rotations(rotations: Tensor) -> Tensor:
    """(J, 3, 3) chordal mean of rotations (N, J, 3, 3): the rotation nearest to the mean matrix."""
    return roma.special_procrustes(rotations.double().mean(dim=0)).float()


def rotation_about_z(angle: Tensor) -> Tensor:
    """(...,) radians -> (..., 3, 3) that turns x towards y (on an image, with y down: clockwise)."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack((cos, -sin, zero, sin, cos, zero, zero, zero, one), dim=-1).unflatten(-1, (3, 3))


def mirror_pose(rotations: Tensor) -> Tensor:
    """Pose of the mirrored body: left and right exchanged and each rotation reflected in the plane x = 0.

    Args:
        rotations: (..., 24, 3, 3), the root first. Its mirror image is right both for SMPL's own axes and for a camera
            frame, as x points sideways in each.
    """
    reflection = torch.diag(rotations.new_tensor([-1.0, 1.0, 1.0]))
    return reflection @ rotations[..., _MIRROR.to(rotations.device), :, :] @ reflection


def upright() -> Tensor:
    """(3, 3) root rotation of a person who stands facing the camera: SMPL's y points up, the camera's down."""
    return axis_angle_to_matrix(torch.tensor([math.pi, 0.0, 0.0]))
