"""SMPLify's prior [1] for a network: the negative log density of its poses under a Gaussian mixture.

The mixture is over axis-angle values. They are made from the rotation matrices inside the graph by a logarithm whose
gradient is right at 0 and finite at pi; where it jumps there, so does the mixture's density. A mixture of recorded
poses is over the joints that recordings know: SMPL's two hand joints, which no 2D joint holds either, then follow a
normal distribution around rest.

[1] Bogo et al., Keep it SMPL: Automatic Estimation of 3D Human Pose and Shape from a Single Image, ECCV 2016.
"""

from __future__ import annotations

import torch
from torch import nn

from body_models.contracts import Batch, Prediction
from body_models.rotations import matrix_to_axis_angle
from lightning_modules.losses import TermSums
from lightning_modules.priors.pose_mixture import PoseMixture

HAND_DEVIATION = 0.2
"""Radians, of each value that the mixture is not over."""


class PoseDensity(nn.Module):
    """Negative log density in nats for each value that the mixture is over, so that 63 and 69 values weigh alike.

    Args:
        mixture: this project's own, or SMPLify's.
    """

    def __init__(self, mixture: PoseMixture) -> None:
        super().__init__()
        self.mixture = mixture

    def forward(self, prediction: Prediction, batch: Batch) -> TermSums:
        _, body_pose, _ = prediction.parameters()
        pose = matrix_to_axis_angle(body_pose).flatten(1)
        size = self.mixture.size
        beyond = (pose[:, size:] / HAND_DEVIATION).square().sum(dim=1) / 2
        total = (self.mixture.neg_log_density(pose) + beyond) / size
        return TermSums(total, torch.ones_like(total))
