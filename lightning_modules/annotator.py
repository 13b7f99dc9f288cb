"""The neural annotator [1]: trained on the very people it is to annotate; its test-mode output is the pseudo-GT.

Recipes [2] enter here as data: auxiliary 3D samples in the batch, initial weights, and the pose prior.

[1] Moon et al., NeuralAnnot: Neural Annotator for 3D Human Mesh Training Sets, CVPRW 2022.
[2] Moon et al., Three Recipes for Better 3D Pseudo-GTs of 3D Human Mesh Estimation in the Wild, CVPRW 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from body_models.contracts import LATENT_SIZE, Prediction
from lightning_modules.backbones import load_backbone
from lightning_modules.cameras import CropCamera
from lightning_modules.checkpoints import MIN_COVERAGE
from lightning_modules.heads import IterativeHead, RegressionHead
from lightning_modules.joint_head import MAP_JOINTS, JointHead, map_joints_2d
from lightning_modules.losses import LossTerm
from lightning_modules.mesh_module import MeshModule, rest_sixd
from lightning_modules.pose_prior import PosePrior, load_prior

HEADS = ("regression", "iterative", "joints")
PRIORS = ("none", "vposer")
ANNOTATOR_LOSSES = {
    "joints_2d": 10.0,
    "joints_3d": 10.0,
    "smpl_pose": 1.0,
    "smpl_betas": 0.1,
    "latent_l2": 0.001,
    # Without it the shape grows to explain what pose and depth do not: mean square 2.8 after 25,000 samples, else 0.08.
    "betas_l2": 0.1,
    # Of the head "joints" alone, which has maps.
    "map_joints_2d": 10.0,
}


class AnnotatorModule(MeshModule):
    """Regresses SMPL pose, shape and a crop camera from a crop.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        input_size: side of the square crops in pixels.
        body_models: folder of body models, or "standin".
        prior: "none" regresses 24 rotations in 6D; "vposer" a 6D root and the prior's code, decoded by frozen weights.
        prior_weights: checkpoint of the prior; needed to train with one. Not a hyperparameter: a checkpoint of this
            module contains the prior.
        prior_width: neurons of the prior's hidden layers, as trained.
        backbone_weights: checkpoint to start the backbone from; not a hyperparameter either.
        min_coverage: least share of the backbone that ``backbone_weights`` must fill.
        losses: weights that replace those of :data:`ANNOTATOR_LOSSES`, by name; 0 leaves a term out of the sum.
        lr: Adam's learning rate.
        lr_milestones: fractions of the training after which the rate falls.
        lr_gamma: factor by which it falls.
        weight_decay: L2 penalty on all weights.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`.
        head: one of :data:`HEADS`: plain regression, HMR's iterative regression, or joint-aligned features.
        loss: one of :data:`lightning_modules.losses.LOSS_SHAPES`.
        tolerance_2d: crop sides within which a joint gets no gradient from the 2D loss; 0 is none.

    Attributes:
        map_coverage: share of the joint maps (head "joints") that ``backbone_weights`` filled, None without.

    Raises:
        ValueError: an unknown name.
        CheckpointError: weights that cannot be read or do not fit.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        input_size: int = 256,
        body_models: str = "standin",
        prior: str = "none",
        prior_weights: str | Path | None = None,
        prior_width: int = 512,
        backbone_weights: str | Path | None = None,
        min_coverage: float = MIN_COVERAGE,
        losses: Mapping[str, float] | None = None,
        lr: float = 1e-4,
        lr_milestones: Sequence[float] = (0.7, 0.9),
        lr_gamma: float = 0.1,
        weight_decay: float = 0.0,
        camera: str = "virtual",
        head: str = "regression",
        loss: str = "l1",
        tolerance_2d: float = 0.0,
    ) -> None:
        if prior not in PRIORS:
            msg = f"no pose prior named {prior!r}; there are: {', '.join(PRIORS)}"
            raise ValueError(msg)
        body_models, lr_milestones = str(body_models), [float(part) for part in lr_milestones]
        losses = {**ANNOTATOR_LOSSES, **(losses or {})}
        body_start = rest_sixd() if prior == "none" else torch.zeros(LATENT_SIZE)
        super().__init__(
            backbone, _head(head, input_size), body_start, input_size, body_models, losses, camera, loss, tolerance_2d
        )
        self.save_hyperparameters(ignore=["prior_weights", "backbone_weights", "min_coverage"])
        self.prior: PosePrior | None = None
        self.prior_is_trained = prior_weights is not None
        if prior == "vposer":
            self.prior = PosePrior(prior_width).requires_grad_(False)
            if prior_weights is not None:
                load_prior(self.prior, prior_weights, min_coverage)
        if backbone_weights is not None:
            load_backbone(self.backbone, backbone_weights, min_coverage)
        self.map_coverage: float | None = None
        if isinstance(self.head, JointHead) and backbone_weights is not None:
            self.map_coverage = self.head.load_maps(backbone_weights).share

    def loss_terms(self) -> Mapping[str, LossTerm]:
        return {**super().loss_terms(), "map_joints_2d": map_joints_2d}

    def bodies(self, out: dict[str, Tensor], camera: CropCamera) -> Prediction:
        prediction = super().bodies(out, camera)
        if MAP_JOINTS in out:
            prediction.extra = {MAP_JOINTS: out[MAP_JOINTS]}
        return prediction

    def decode_body(self, body: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.prior is None:
            return super().decode_body(body)
        return self.prior.decode_body_pose(body), body

    def train(self, mode: bool = True) -> AnnotatorModule:
        super().train(mode)
        if self.prior is not None:
            # Frozen includes its dropout: the same code must always mean the same pose.
            self.prior.eval()
        return self

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.prior_is_trained = True

    def on_fit_start(self) -> None:
        if self.prior is not None and not self.prior_is_trained:
            msg = (
                "prior='vposer' needs prior_weights: a random decoder knows no poses. Train one with PosePriorModule "
                "(the prior stage), or give a VPoser v2 checkpoint"
            )
            raise ValueError(msg)


def _head(name: str, input_size: int) -> Callable[..., nn.Module]:
    heads: dict[str, Callable[..., nn.Module]] = {
        "regression": RegressionHead,
        "iterative": IterativeHead,
        "joints": partial(JointHead, input_size=input_size),
    }
    if name not in heads:
        msg = f"no head named {name!r}; there are: {', '.join(HEADS)}"
        raise ValueError(msg)
    return heads[name]
