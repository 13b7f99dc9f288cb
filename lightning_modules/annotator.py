"""The neural annotator [1]: trained on the very people it is to annotate; its test-mode output is the pseudo-GT.

Recipes [2] enter here as data: auxiliary 3D samples in the batch, initial weights, and the pose prior.

[1] Moon et al., NeuralAnnot: Neural Annotator for 3D Human Mesh Training Sets, CVPRW 2022.
[2] Moon et al., Three Recipes for Better 3D Pseudo-GTs of 3D Human Mesh Estimation in the Wild, CVPRW 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from body_models.contracts import Batch, Prediction
from body_models.names import unknown
from body_models.spec import BodySpec
from lightning_modules.heads import ANNOTATING, find_head
from lightning_modules.losses import LossTerm, TermSums, nothing
from lightning_modules.mesh_module import MeshModule
from lightning_modules.networks.decoders import CodeDecoder
from lightning_modules.networks.network import joint_branch, load_joint_branch, make_network
from lightning_modules.optimizers import AdamSettings
from lightning_modules.priors.critics import CRITIC_LR, CRITIC_WEIGHT_DECAY, AdversarialPrior
from lightning_modules.priors.density import PoseDensity
from lightning_modules.priors.l2 import PoseL2, mean_pose
from lightning_modules.priors.pose_mixture import PoseMixture
from lightning_modules.priors.pose_prior import PoseCoder
from lightning_modules.priors.vposer import LAYOUTS, load_vposer
from lightning_modules.weights.checkpoints import MIN_COVERAGE

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
    # Of the head "joints" alone, which has maps; nothing for the others, whose own terms stand at their class.
    "map_joints_2d": 10.0,
}


@dataclass(frozen=True)
class Starts:
    """What an annotator is trained from; a checkpoint of it contains what is needed to predict, so none is saved.

    Attributes:
        backbone_weights: checkpoint to start the backbone from.
        prior_weights: file of the prior, needed to train with one: a VPoser of any layout, or for "gmm" a pose mixture.
        prior_poses: (N, K, 3) recorded poses, axis-angle, which "adversarial" needs to train; their mean is the centre
            of "l2", which is the rest pose without.
        lift_weights: checkpoint of an annotator of joints, whose joint branch this one's begins with.
        min_coverage: least share of the backbone that ``backbone_weights``, and of a VPoser that ``prior_weights``,
            must fill.
    """

    backbone_weights: str | Path | None = None
    prior_weights: str | Path | None = None
    prior_poses: NDArray[Any] | None = None
    lift_weights: str | Path | None = None
    min_coverage: float = MIN_COVERAGE


BRANCH_RATE = 0.1
"""Of the learning rate, for a joint branch that was trained before: it knows what the targets' joints do not tell."""
LIFT_LOSSES = {
    "joints_2d": 5.0,
    "joints_3d": 5.0,
    "smpl_pose": 1.0,
    "smpl_betas": 0.1,
    "latent_l2": 0.001,
    "betas_l2": 0.0,
    "map_joints_2d": 0.0,
}
"""Weights of the annotator of joints on projections, where all is known and nothing is sparse."""


class AnnotatorModule(MeshModule):
    """Regresses a body's pose and shape and a crop camera from a crop.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        input_size: side of the square crops in pixels.
        body_models: reference of the bodies, see :mod:`body_models.bodies`.
        head: one of :data:`lightning_modules.heads.ANNOTATING`.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`; with every one but "virtual", the network is told
            where in the image the crop was taken.
        evidence: one of :data:`lightning_modules.networks.network.EVIDENCE`.
        prior: one of :data:`PRIORS`; "vposer" regresses a 6D root and the prior's code, the others
            all rotations in 6D. All but "none" and "l2" know SMPL's joints alone.
        prior_width: neurons of VPoser's hidden layers; those of ``starts.prior_weights`` where given.
        prior_layout: VPoser's, in :data:`lightning_modules.priors.vposer.LAYOUTS`; likewise that of the weights.
        losses: weights that replace those of :data:`ANNOTATOR_LOSSES` and the head's, by name; 0 leaves a term out of
            the sum.
        loss: one of :data:`lightning_modules.losses.LOSS_SHAPES`.
        tolerance_2d: crop sides within which a joint gets no gradient from the 2D loss; 0 is none.
        optimizer: settings of :class:`lightning_modules.optimizers.AdamSettings` by name.
        critic_lr: Adam's learning rate for the critics of "adversarial".
        starts: what the training starts from.

    Raises:
        ValueError: an unknown name.
        CheckpointError: weights that cannot be read or do not fit.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        input_size: int = 256,
        body_models: str = "free",
        head: str = "regression",
        camera: str = "virtual",
        evidence: str = "image",
        prior: str = "none",
        prior_width: int = 512,
        prior_layout: str = "v2",
        losses: Mapping[str, float] | None = None,
        loss: str = "l1",
        tolerance_2d: float = 0.0,
        optimizer: Mapping[str, Any] | None = None,
        critic_lr: float = CRITIC_LR,
        starts: Starts | None = None,
    ) -> None:
        if prior not in PRIORS:
            raise ValueError(unknown("pose prior", prior, PRIORS))
        if find_head(head).says != "parameters":
            msg = f"head {head!r} predicts a mesh without parameters; those that annotate: {', '.join(ANNOTATING)}"
            raise ValueError(msg)
        starts, body_models, optimizer = starts or Starts(), str(body_models), AdamSettings.of(optimizer).plain()
        coder = _Coder(starts, prior_layout, prior_width) if prior == "vposer" else None
        network = make_network(backbone, head, camera, input_size, body_models, coder.load if coder else None, evidence)
        losses = _weights(prior, {**ANNOTATOR_LOSSES, **find_head(head).losses, **(losses or {})})
        super().__init__(network, losses, loss, tolerance_2d)
        if coder is not None:
            prior_layout, prior_width = coder.layout, coder.width
        self.save_hyperparameters(*_PLAIN)
        self.save_hyperparameters({"family": "annotator"})
        self.prior_is_trained = starts.prior_weights is not None
        self.penalty = _penalty(prior, starts, network.body.spec)
        self.lifted = starts.lift_weights is not None
        if starts.lift_weights is not None:
            load_joint_branch(self.network, starts.lift_weights)
        if starts.backbone_weights is not None:
            self.start_from(starts.backbone_weights, starts.min_coverage)

    @property
    def prior(self) -> PoseCoder | None:
        """The pose prior whose code is regressed, if one is."""
        decoder = self.network.decoder
        return decoder.prior if isinstance(decoder, CodeDecoder) else None

    def loss_terms(self) -> Mapping[str, LossTerm]:
        # The maps' term is nothing for heads without maps; it stands in every annotator's log.
        terms = {"map_joints_2d": _no_maps, **super().loss_terms()}
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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.prior_is_trained = True

    def on_fit_start(self) -> None:
        prior = self.hparams["prior"]
        if prior == "vposer" and not self.prior_is_trained:
            msg = (
                "prior='vposer' needs Starts(prior_weights=...): a random decoder knows no poses. Train one with "
                "PosePriorModule (the prior stage), or give a VPoser checkpoint"
            )
            raise ValueError(msg)
        if prior == "gmm" and self.penalty is None:
            msg = "prior='gmm' needs Starts(prior_weights=...): a mixture of the mixture stage, or SMPLify's gmm_08.pkl"
            raise ValueError(msg)
        if isinstance(self.penalty, AdversarialPrior) and self.penalty.poses is None:
            msg = "prior='adversarial' needs Starts(prior_poses=...): its critics learn from recorded ones"
            raise ValueError(msg)

    def special_groups(self) -> Sequence[Mapping[str, Any]]:
        groups: list[Mapping[str, Any]] = []
        if self.lifted:
            lr = BRANCH_RATE * self.hparams["optimizer"]["lr"]
            groups.append({"params": list(joint_branch(self.network).parameters()), "lr": lr})
        if isinstance(self.penalty, AdversarialPrior):
            critics = list(self.penalty.parameters())
            groups.append({"params": critics, "lr": self.hparams["critic_lr"], "weight_decay": CRITIC_WEIGHT_DECAY})
        return groups


_PLAIN = tuple(name for name in signature(AnnotatorModule.__init__).parameters if name not in ("self", "starts"))
"""What a checkpoint needs to make the module again."""


def _no_maps(prediction: Prediction, batch: Batch) -> TermSums:
    return nothing(prediction)


class _Coder:
    """Loads the prior whose code is regressed, and knows afterwards what it was."""

    def __init__(self, starts: Starts, layout: str, width: int) -> None:
        self.starts, self.layout, self.width = starts, layout, width

    def load(self) -> PoseCoder:
        if self.starts.prior_weights is None:
            return LAYOUTS[self.layout].network(self.width).requires_grad_(False)
        coder, self.layout, self.width = load_vposer(self.starts.prior_weights, self.starts.min_coverage)
        return coder


def _weights(prior: str, losses: Mapping[str, float]) -> dict[str, float]:
    """Without the terms of other priors."""
    others = {name for terms in PRIORS.values() for name in terms} - set(PRIORS[prior])
    kept = {name: weight for name, weight in losses.items() if name not in others}
    # The critics' own loss, whose weight does not matter to Adam.
    return kept | ({"critic": 1.0} if "critic" in PRIORS[prior] else {})


def _penalty(prior: str, starts: Starts, spec: BodySpec) -> nn.Module | None:
    """The loss term of a prior that has one, as far as what it needs is given."""
    if prior not in ("none", "l2") or starts.prior_poses is not None:
        spec.require_smpl(f"the prior {prior}")
    if prior == "l2":
        return PoseL2(None if starts.prior_poses is None else mean_pose(starts.prior_poses), spec)
    if prior == "gmm" and starts.prior_weights is not None:
        return PoseDensity(PoseMixture.load(starts.prior_weights))
    if prior == "adversarial":
        return AdversarialPrior(starts.prior_poses, spec)
    return None
