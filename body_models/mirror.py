"""The mirror image of poses, points and whole batches: left for right, in the plane x = 0, which points sideways.

It is right both for a body's own axes and for a camera frame, as x points sideways in each.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.contracts import Batch
from body_models.spec import BodySpec

Values = TypeVar("Values", NDArray[np.floating], Tensor)

# diag(-1, 1, 1) R diag(-1, 1, 1), element by element.
_ROTATION_SIGNS = np.outer([-1, 1, 1], [-1, 1, 1])
_POINT_SIGNS = np.array([-1, 1, 1])


def mirror_pose(rotations: Values, spec: BodySpec) -> Values:
    """Pose (..., 1 + R, 3, 3) of the mirrored body, the root first: sides exchanged, each rotation reflected."""
    order = list(spec.mirror)
    if isinstance(rotations, Tensor):
        return rotations[..., order, :, :] * rotations.new_tensor(_ROTATION_SIGNS)
    return rotations[..., order, :, :] * _ROTATION_SIGNS


def mirror_points(points: Values, order: NDArray[np.int64]) -> Values:
    """Points (..., J, 3) of the mirrored body, for the row of each point's mirror image (J,)."""
    if isinstance(points, Tensor):
        return points[..., torch.from_numpy(order).to(points.device), :] * points.new_tensor(_POINT_SIGNS)
    return points[..., order, :] * _POINT_SIGNS.astype(points.dtype)


def mirror_batch(batch: Batch, spec: BodySpec) -> Batch:
    """The batch of the mirrored crops: pixel i becomes pixel W - 1 - i, and all else follows the pixels.

    What belongs to the original image (box, size, camera, ``transl``) stays: ``affine`` says how the crop lies in it.
    The shape stays, too: bodies are close to symmetric.

    Args:
        batch: crops of width W; nothing of it is changed.
        spec: of its bodies.
    """
    last = batch["image"].shape[-1] - 1
    order = torch.from_numpy(spec.mirror_body_joints).to(batch["joints_2d"].device)
    affine = batch["affine"] * batch["affine"].new_tensor([[-1.0], [1.0]])
    affine[:, 0, 2] += last
    joints_2d, known = batch["joints_2d"][:, order], batch["joints_2d_conf"][:, order]
    across = (last - joints_2d[..., 0]) * (known > 0)  # unlabelled joints stay at 0
    pose = mirror_pose(torch.cat((batch["global_orient"][:, None], batch["body_pose"]), dim=1), spec)
    return {
        **batch,
        "image": batch["image"].flip(-1),
        "affine": affine,
        "joints_2d": torch.stack((across, joints_2d[..., 1]), dim=-1),
        "joints_2d_conf": known,
        "joints_3d": mirror_points(batch["joints_3d"], spec.mirror_body_joints),
        "joints_3d_conf": batch["joints_3d_conf"][:, order],
        "global_orient": pose[:, 0],
        "body_pose": pose[:, 1:],
    }
