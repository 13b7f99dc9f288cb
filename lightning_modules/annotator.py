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
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from body_models.contracts import LATENT_SIZE, Batch, Prediction
from lightning_modules.backbones import load_backbone
from lightning_modules.cameras import CROP_ALONE, CropCamera
from lightning_modules.heads.joints import MAP_JOINTS, JointHead, map_joints_2d
from lightning_modules.heads.regression import IterativeHead, RegressionHead
from lightning_modules.losses import LossTerm, TermSums
from lightning_modules.mesh_module import MeshModule, rest_sixd
from lightning_modules.optimizers import adam_with_steps
from lightning_modules.priors.critics import CRITIC_LR, CRITIC_WEIGHT_DECAY, AdversarialPrior
from lightning_modules.priors.density import PoseDensity
from lightning_modules.priors.l2 import PoseL2, mean_pose
from lightning_modules.priors.pose_mixture import PoseMixture
from lightning_modules.priors.pose_prior import PoseCoder
from lightning_modules.priors.vposer import LAYOUTS, load_vposer
from lightning_modules.weights.checkpoints import MIN_COVERAGE

HEADS = ("regression", "iterative", "joints")
PRIORS = {
    "none": (),
    "l2": ("pose_l2",),
    "gmm": ("pose_gmm",),
    "adversarial": ("pose_adversarial", "critic"),
    "vposer": ("latent_l2",),
}
"""The loss terms that each pose prior (:mod:`lightning_modules.priors`) has, and the others have not."""
ANNOTATOR_LOSSES = {
    "joints_2d": 10.0,
    # 3D terms that come to about as much as the 2D term in training. Five times heavier, auxiliary people take so much
    # of the network that joints of the people to annotate are found worse in the image (docs/recipes.md).
    "joints_3d": 2.0,
    "smpl_pose": 0.2,
    "smpl_betas": 0.1,
    "latent_l2": 0.01,
    "pose_l2": 0.1,
    "pose_gmm": 0.1,
    # HMR's ratio to its 2D term, in our unit.
    "pose_adversarial": 0.08,
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
        prior: one of :data:`PRIORS`; "vposer" regresses a 6D root and the prior's code, the others 24 rotations in 6D.
        prior_weights: file of the prior, needed to train with one: a VPoser of any layout, or for "gmm" a pose mixture.
            Not a hyperparameter: a checkpoint of this module contains what is needed to predict.
        prior_poses: (N, 21, 3) recorded poses, axis-angle, which "adversarial" needs to train; their mean is the centre
            of "l2", which is the rest pose without. Not a hyperparameter.
        prior_width: neurons of VPoser's hidden layers; those of ``prior_weights`` where given.
        prior_layout: VPoser's, in :data:`lightning_modules.priors.vposer.LAYOUTS`; likewise that of ``prior_weights``.
        critic_lr: Adam's learning rate for the critics of "adversarial".
        backbone_weights: checkpoint to start the backbone from; not a hyperparameter either.
        min_coverage: least share of the backbone that ``backbone_weights`` must fill.
        losses: weights that replace those of :data:`ANNOTATOR_LOSSES`, by name; 0 leaves a term out of the sum.
        lr: Adam's learning rate.
        lr_milestones: fractions of the training after which the rate falls.
        lr_gamma: factor by which it falls.
        weight_decay: L2 penalty on all weights.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`; with every one but "virtual", the head reads where in
            the image the crop was taken.
        head: one of :data:`HEADS`: plain regression, HMR's iterative regression, or joint-aligned features.
        loss: one of :data:`lightning_modules.losses.LOSS_SHAPES`.
        tolerance_2d: crop sides within which a joint gets no gradient from the 2D loss; 0 is none.

    Attributes:
        map_coverage: share of the joint maps (head "joints") that the start filled, None without a start.

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
        prior_poses: NDArray[Any] | None = None,
        prior_width: int = 512,
        prior_layout: str = "v2",
        backbone_weights: str | Path | None = None,
        min_coverage: float = MIN_COVERAGE,
        losses: Mapping[str, float] | None = None,
        lr: float = 1e-4,
        lr_milestones: Sequence[float] = (0.7, 0.9),
        lr_gamma: float = 0.1,
        weight_decay: float = 0.0,
        critic_lr: float = CRITIC_LR,
        camera: str = "virtual",
        head: str = "regression",
        loss: str = "l1",
        tolerance_2d: float = 0.0,
    ) -> None:
        if prior not in PRIORS:
            msg = f"no pose prior named {prior!r}; there are: {', '.join(PRIORS)}"
            raise ValueError(msg)
        body_models, lr_milestones = str(body_models), [float(part) for part in lr_milestones]
        others = {name for terms in PRIORS.values() for name in terms} - set(PRIORS[prior])
        losses = {**ANNOTATOR_LOSSES, **(losses or {})}
        losses = {name: weight for name, weight in losses.items() if name not in others}
        # The critics' own loss, whose weight does not matter to Adam.
        losses |= {"critic": 1.0} if "critic" in PRIORS[prior] else {}
        body_start = torch.zeros(LATENT_SIZE) if prior == "vposer" else rest_sixd()
        super().__init__(
            backbone,
            _head(head, input_size, box_info=camera != CROP_ALONE),
            body_start,
            input_size,
            body_models,
            losses,
            camera,
            loss,
            tolerance_2d,
        )
        coder: PoseCoder | None = None
        if prior == "vposer":
            if prior_weights is not None:
                coder, prior_layout, prior_width = load_vposer(prior_weights, min_coverage)
            else:
                coder = LAYOUTS[prior_layout].network(prior_width).requires_grad_(False)
        self.save_hyperparameters(
            ignore=["prior_weights", "prior_poses", "backbone_weights", "min_coverage", "coder", "others"]
        )
        # Not by save_hyperparameters, which would compare it with every argument, and arrays do not compare to a truth.
        self.hparams["family"] = "annotator"
        self.prior = coder
        self.prior_is_trained = prior_weights is not None
        self.penalty = _penalty(prior, prior_weights, prior_poses)
        if backbone_weights is not None:
            load_backbone(self.backbone, backbone_weights, min_coverage)
        self.map_coverage: float | None = None
        if backbone_weights is not None:
            self.start_maps(backbone_weights)

    def start_maps(self, path: str | Path) -> None:
        """Fill the joint maps, where the head has them, from the checkpoint that the backbone started from."""
        if isinstance(self.head, JointHead):
            self.map_coverage = self.head.load_maps(path).share

    def loss_terms(self) -> Mapping[str, LossTerm]:
        terms = {**super().loss_terms(), "map_joints_2d": map_joints_2d}
        terms |= dict.fromkeys(("pose_l2", "pose_gmm", "pose_adversarial"), self._penalty_term)
        return {**terms, "critic": self._critic_term}

    def _penalty_term(self, prediction: Prediction, batch: Batch) -> TermSums:
        assert self.penalty is not None
        with torch.autocast(device_type=prediction.transl.device.type, enabled=False):
            return self.penalty(prediction, batch)

    def _critic_term(self, prediction: Prediction, batch: Batch) -> TermSums:
        assert isinstance(self.penalty, AdversarialPrior)
        with torch.autocast(device_type=prediction.transl.device.type, enabled=False):
            return self.penalty.critic(prediction, batch)

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
        prior = self.hparams["prior"]
        if prior == "vposer" and not self.prior_is_trained:
            msg = (
                "prior='vposer' needs prior_weights: a random decoder knows no poses. Train one with PosePriorModule "
                "(the prior stage), or give a VPoser checkpoint"
            )
            raise ValueError(msg)
        if prior == "gmm" and self.penalty is None:
            msg = "prior='gmm' needs prior_weights: a mixture of the mixture stage, or SMPLify's gmm_08.pkl"
            raise ValueError(msg)
        if isinstance(self.penalty, AdversarialPrior) and self.penalty.poses is None:
            msg = "prior='adversarial' needs prior_poses: its critics learn from recorded ones"
            raise ValueError(msg)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings, special = self.hparams, []
        if isinstance(self.penalty, AdversarialPrior):
            special = [
                {
                    "params": list(self.penalty.parameters()),
                    "lr": settings["critic_lr"],
                    "weight_decay": CRITIC_WEIGHT_DECAY,
                }
            ]
        return adam_with_steps(
            self, settings["lr"], settings["lr_milestones"], settings["lr_gamma"], settings["weight_decay"], special
        )


def _penalty(prior: str, weights: str | Path | None, poses: NDArray[Any] | None) -> nn.Module | None:
    """The loss term of a prior that has one, as far as what it needs is given."""
    if prior == "l2":
        return PoseL2(None if poses is None else mean_pose(poses))
    if prior == "gmm" and weights is not None:
        return PoseDensity(PoseMixture.load(weights))
    if prior == "adversarial":
        return AdversarialPrior(poses)
    return None


def _head(name: str, input_size: int, box_info: bool) -> Callable[..., nn.Module]:
    heads: dict[str, Callable[..., nn.Module]] = {
        "regression": RegressionHead,
        "iterative": IterativeHead,
        "joints": partial(JointHead, input_size=input_size),
    }
    if name not in heads:
        msg = f"no head named {name!r}; there are: {', '.join(HEADS)}"
        raise ValueError(msg)
    return partial(heads[name], box_info=box_info)
