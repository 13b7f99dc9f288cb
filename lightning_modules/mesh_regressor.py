"""The downstream network: HMR's iterative regression [1], trained on pseudo-GTs, to see what they are worth.

[1] Kanazawa et al., End-to-end Recovery of Human Shape and Pose, CVPR 2018; trained without a critic, as SPIN is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from body_models.contracts import GENDERS, Batch
from body_models.joint_sets import BODY_JOINT_INDEX
from lightning_modules.backbones import load_backbone
from lightning_modules.heads.regression import IterativeHead
from lightning_modules.mesh_module import MeshModule, rest_sixd
from lightning_modules.weights.checkpoints import MIN_COVERAGE

REGRESSOR_LOSSES = {
    "joints_2d": 10.0,
    "joints_3d": 10.0,
    "smpl_pose": 1.0,
    "smpl_betas": 0.1,
    "betas_l2": 0.01,
}
_PELVIS = BODY_JOINT_INDEX["pelvis"]


def is_labelled(batch: Batch) -> Tensor:
    """(B,) whose pose and neutral betas are known."""
    neutral = batch["gender"] == GENDERS.index("neutral")
    return (batch["has_pose"] > 0) & (batch["has_betas"] > 0) & neutral


class MeshRegressorModule(MeshModule):
    """Regresses SMPL pose, shape and a crop camera from a crop, in three corrections of an estimate.

    The base of the other families (:mod:`lightning_modules.regressors`), which exchange what stands in the attributes.

    Attributes:
        family: name of this kind of regressor; a checkpoint carries it among its hyperparameters.
        head_class: class of the head.
        camera_name: name in :data:`lightning_modules.cameras.CAMERAS`.
        default_losses: weights by name.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        input_size: side of the square crops in pixels.
        body_models: folder of body models, or "standin".
        backbone_weights: checkpoint to start the backbone from; not a hyperparameter.
        min_coverage: least share of the backbone that ``backbone_weights`` must fill.
        losses: weights that replace those of ``default_losses``, by name.
        lr: Adam's learning rate.
        lr_milestones: fractions of the training after which the rate falls.
        lr_gamma: factor by which it falls.
        weight_decay: L2 penalty on all weights.

    Raises:
        ValueError: an unknown name.
        CheckpointError: weights that cannot be read or do not fit.
    """

    family: ClassVar[str] = "hmr"
    head_class: ClassVar[type[nn.Module]] = IterativeHead
    camera_name: ClassVar[str] = "virtual"
    default_losses: ClassVar[Mapping[str, float]] = REGRESSOR_LOSSES

    def __init__(
        self,
        backbone: str = "resnet50",
        input_size: int = 256,
        body_models: str = "standin",
        backbone_weights: str | Path | None = None,
        min_coverage: float = MIN_COVERAGE,
        losses: Mapping[str, float] | None = None,
        lr: float = 1e-4,
        lr_milestones: Sequence[float] = (0.7, 0.9),
        lr_gamma: float = 0.1,
        weight_decay: float = 0.0,
    ) -> None:
        body_models, lr_milestones = str(body_models), [float(part) for part in lr_milestones]
        losses = {**self.default_losses, **(losses or {})}
        super().__init__(backbone, self.head_class, rest_sixd(), input_size, body_models, losses, self.camera_name)
        self.save_hyperparameters(ignore=["backbone_weights", "min_coverage"])
        self.save_hyperparameters({"family": self.family})
        if backbone_weights is not None:
            load_backbone(self.backbone, backbone_weights, min_coverage)
        self.add_networks()

    def add_networks(self) -> None:
        """For a family with more than backbone and head; the backbone has its initial weights by now."""

    @torch.no_grad()
    def targets(self, batch: Batch) -> Batch:
        """3D joints of the labels' bodies, where pose and neutral betas are known, in place of annotated 3D joints."""
        labelled = is_labelled(batch)
        eye = torch.eye(3, device=labelled.device)
        # Placeholders of unlabelled people may be NaN, which would spread through the skinning's matrix products.
        global_orient = batch["global_orient"].where(labelled[:, None, None], eye)
        body_pose = batch["body_pose"].where(labelled[:, None, None, None], eye)
        betas = batch["betas"].where(labelled[:, None], 0.0)
        joints = self.body.joints(global_orient, body_pose, betas)
        return {
            **batch,
            "joints_3d": joints.where(labelled[:, None, None], batch["joints_3d"].float()),
            "joints_3d_conf": torch.ones_like(batch["joints_3d_conf"]).where(
                labelled[:, None], batch["joints_3d_conf"]
            ),
            "root_index": torch.full_like(batch["root_index"], _PELVIS).where(labelled, batch["root_index"]),
        }
