"""The mirror image of a batch: everything that a batch holds, left for right, so that a network may read any of it."""

from __future__ import annotations

import torch

from body_models.contracts import Batch
from body_models.joint_sets import BODY_JOINTS, mirror_permutation
from body_models.rotations import mirror_pose

_JOINTS = torch.from_numpy(mirror_permutation(BODY_JOINTS))


def mirror_batch(batch: Batch) -> Batch:
    """The batch of the mirrored crops: pixel i becomes pixel W - 1 - i, and all else follows the pixels.

    What belongs to the original image (box, size, camera, ``transl``) stays: ``affine`` says how the crop lies in it.
    The shape stays, too: bodies are close to symmetric.

    Args:
        batch: crops of width W; nothing of it is changed.
    """
    last = batch["image"].shape[-1] - 1
    order = _JOINTS.to(batch["joints_2d"].device)
    affine = batch["affine"] * batch["affine"].new_tensor([[-1.0], [1.0]])
    affine[:, 0, 2] += last
    joints_2d, known = batch["joints_2d"][:, order], batch["joints_2d_conf"][:, order]
    across = (last - joints_2d[..., 0]) * (known > 0)  # unlabelled joints stay at 0
    pose = mirror_pose(torch.cat((batch["global_orient"][:, None], batch["body_pose"]), dim=1))
    return {
        **batch,
        "image": batch["image"].flip(-1),
        "affine": affine,
        "joints_2d": torch.stack((across, joints_2d[..., 1]), dim=-1),
        "joints_2d_conf": known,
        "joints_3d": batch["joints_3d"][:, order] * batch["joints_3d"].new_tensor([-1.0, 1.0, 1.0]),
        "joints_3d_conf": batch["joints_3d_conf"][:, order],
        "global_orient": pose[:, 0],
        "body_pose": pose[:, 1:],
    }
