"""Where the joints of labelled people are on their crops: what maps and heatmaps are trained with."""

from __future__ import annotations

import torch
from torch import Tensor

from body_models.camera import project
from body_models.contracts import Batch
from body_models.smpl import BodyModel
from lightning_modules.cameras import on_crop
from lightning_modules.mesh_regressor import is_labelled


@torch.no_grad()
def joints_on_crop(targets: Batch, body: BodyModel) -> tuple[Tensor, Tensor]:
    """Annotated 2D joints, and where there are none those of the label's body under its own camera.

    Args:
        targets: of :meth:`lightning_modules.mesh_regressor.MeshRegressorModule.targets`.
        body: the neutral body.

    Returns:
        (B, J, 2) crop pixels, and (B, J) confidences: 0 where neither is known.
    """
    annotated, confidence = targets["joints_2d"], targets["joints_2d_conf"]
    seen = is_labelled(targets) & (targets["has_camera"] > 0)
    # The crop shows the scene turned (or mirrored) about the optical axis, and rotations and 3D joints are given so;
    # transl is not. Rotations leave the pelvis where transl puts it.
    linear = targets["affine"][:, :, :2]
    turn = linear / torch.linalg.det(linear).abs().sqrt()[:, None, None]
    pelvis = body.rest_pelvis(targets["betas"])
    place = pelvis + targets["transl"]
    place = torch.cat((torch.einsum("bij,bj->bi", turn, place[:, :2]), place[:, 2:]), dim=1)
    joints = targets["joints_3d"] + (place - pelvis).unsqueeze(1)
    camera = on_crop(targets["focal"], targets["princpt"], targets["affine"], targets["image"].shape[-1])
    projected = project(joints, camera.focal, camera.princpt)
    filled = seen.unsqueeze(1) & (confidence == 0) & (joints[..., 2] > 0)
    return projected.where(filled.unsqueeze(-1), annotated), torch.ones_like(confidence).where(filled, confidence)
