"""What the losses of downstream regressors compare with: made from a batch, and from what the network said of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from body_models.camera import project
from body_models.contracts import GENDERS, Batch, Prediction
from body_models.joint_sets import BODY_JOINT_INDEX
from body_models.smpl import BodyModel
from lightning_modules.cameras import on_crop

TargetMaker = Callable[[Batch, Prediction, BodyModel], Batch]
"""(batch, prediction, neutral body) -> the batch that the losses see, with whatever its family's own terms need."""
_PELVIS = BODY_JOINT_INDEX["pelvis"]


class MeshBatch(Batch):
    """A batch with the meshes of its labels: vertices (B, 6890, 3), metres, without translation."""

    vertices: Tensor


def is_labelled(batch: Batch) -> Tensor:
    """(B,) whose pose and neutral betas are known."""
    neutral = batch["gender"] == GENDERS.index("neutral")
    return (batch["has_pose"] > 0) & (batch["has_betas"] > 0) & neutral


def _known_bodies(batch: Batch, labelled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations and shapes of the labels; of the unlabelled the rest pose."""
    eye = torch.eye(3, device=labelled.device)
    # Placeholders of unlabelled people may be NaN, which would spread through the skinning's matrix products.
    return (
        batch["global_orient"].where(labelled[:, None, None], eye),
        batch["body_pose"].where(labelled[:, None, None, None], eye),
        batch["betas"].where(labelled[:, None], 0.0),
    )


@torch.no_grad()
def label_bodies(batch: Batch, prediction: Prediction, body: BodyModel) -> Batch:
    """3D joints of the labels' bodies, where pose and neutral betas are known, in place of annotated 3D joints."""
    labelled = is_labelled(batch)
    joints = body.joints(*_known_bodies(batch, labelled))
    return {
        **batch,
        "joints_3d": joints.where(labelled[:, None, None], batch["joints_3d"].float()),
        "joints_3d_conf": torch.ones_like(batch["joints_3d_conf"]).where(labelled[:, None], batch["joints_3d_conf"]),
        "root_index": torch.full_like(batch["root_index"], _PELVIS).where(labelled, batch["root_index"]),
    }


@torch.no_grad()
def label_meshes(batch: Batch, prediction: Prediction, body: BodyModel) -> MeshBatch:
    """With the labels' meshes; their joints are taken from these, as a predicted mesh's are."""
    targets, labelled = label_bodies(batch, prediction, body), is_labelled(batch)
    vertices = body(*_known_bodies(batch, labelled)).vertices
    joints = body.joints_from_vertices(vertices)
    joints = joints.where(labelled[:, None, None], targets["joints_3d"])
    return cast(MeshBatch, {**targets, "joints_3d": joints, "vertices": vertices})


@torch.no_grad()
def joints_on_crop(targets: Batch, body: BodyModel) -> tuple[Tensor, Tensor]:
    """Annotated 2D joints, and where there are none those of the label's body under its own camera.

    Args:
        targets: of :func:`label_bodies`, or a batch: then 3D joints of people with a label are filled in where their
            root is the pelvis, which ``transl`` places.
        body: the neutral body.

    Returns:
        (B, J, 2) crop pixels, and (B, J) confidences: 0 where neither is known.
    """
    annotated, confidence = targets["joints_2d"], targets["joints_2d_conf"]
    known = targets["joints_3d_conf"]
    seen = is_labelled(targets) & (targets["has_camera"] > 0) & (targets["root_index"] == _PELVIS)
    seen = seen & (known[:, _PELVIS] > 0)
    # The crop shows the scene turned (or mirrored) about the optical axis, and rotations and 3D joints are given so;
    # transl is not. Rotations leave the pelvis where transl puts it.
    linear = targets["affine"][:, :, :2]
    turn = linear / torch.linalg.det(linear).abs().sqrt()[:, None, None]
    place = body.rest_pelvis(targets["betas"]) + targets["transl"]
    place = torch.cat((torch.einsum("bij,bj->bi", turn, place[:, :2]), place[:, 2:]), dim=1)
    joints = targets["joints_3d"] + (place - targets["joints_3d"][:, _PELVIS]).unsqueeze(1)
    camera = on_crop(targets["focal"], targets["princpt"], targets["affine"], targets["image"].shape[-1])
    projected = project(joints, camera.focal, camera.princpt)
    filled = seen.unsqueeze(1) & (confidence == 0) & (known > 0) & (joints[..., 2] > 0)
    return projected.where(filled.unsqueeze(-1), annotated), torch.ones_like(confidence).where(filled, confidence)
