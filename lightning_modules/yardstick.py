"""The constant answer: what an error means beside a network that has looked at no image."""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from body_models.camera import CROP_MARGIN, DEPTH_BODY_SIZE, crop_focal, depth_scale, project
from body_models.contracts import NUM_BETAS, Prediction
from body_models.smpl import BodyModel
from lightning_modules.mesh_module import crop_camera, upright


def mean_rotations(rotations: Tensor) -> Tensor:
    """(J, 3, 3) chordal mean of rotations (N, J, 3, 3): the rotation nearest to the mean matrix."""
    return roma.special_procrustes(rotations.double().mean(dim=0)).float()


def mean_pose(body: BodyModel, batch_size: int, input_size: int, body_pose: Tensor | None = None) -> Prediction:
    """The same person for every image: upright, facing the camera, mean shape, in the middle of the crop.

    Args:
        body: the neutral body.
        batch_size: B.
        input_size: side of the crop in pixels.
        body_pose: (23, 3, 3) or (21, 3, 3) rotations, e.g. :func:`mean_rotations` of a pose set; None: the rest pose.
    """
    device = body.joint_template.device
    pose = torch.eye(3, device=device).repeat(23, 1, 1)
    if body_pose is not None:
        pose[: len(body_pose)] = body_pose.to(pose)
    global_orient = upright().to(device).expand(batch_size, 3, 3)
    pose = pose.expand(batch_size, 23, 3, 3)
    betas = torch.zeros(batch_size, NUM_BETAS, device=device)
    focal, princpt = crop_camera(batch_size, input_size, device)
    transl = -body.rest_pelvis(betas)
    transl[:, 2] = depth_scale(crop_focal(input_size), input_size) * CROP_MARGIN * 1.7 / DEPTH_BODY_SIZE
    joints = body.joints(global_orient, pose, betas, transl)
    return Prediction(
        global_orient=global_orient,
        body_pose=pose,
        betas=betas,
        transl=transl,
        focal=focal,
        princpt=princpt,
        joints_3d=joints,
        joints_2d=project(joints, focal, princpt),
    )
