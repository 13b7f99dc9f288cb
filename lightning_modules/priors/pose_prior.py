"""VPoser: a variational autoencoder of body poses [1], with the names and layout of its published v2 checkpoints.

The decoder turns 32 numbers into the joint rotations that people can do. An annotator that regresses these numbers
cannot leave the space of such poses; the decoder is frozen there, but stays in the graph.

[1] Pavlakos et al., Expressive Body Capture: 3D Hands, Face, and Body from a Single Image, CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from body_models.bodies import open_body
from body_models.rotations import axis_angle_to_matrix, complete_pose, geodesic_distance, sixd_to_matrix
from body_models.spec import RECORDED_JOINTS, SMPL
from lightning_modules.losses import TermSums, check_weights, combine
from lightning_modules.optimizers import adam_with_steps

NUM_PRIOR_JOINTS = len(RECORDED_JOINTS)
"""SMPL's joints after the root; the hands are not part of the prior."""
LATENT_SIZE = 32
"""Numbers of a code, L below, of the published VPosers and of this project's."""


class _GaussianLayer(nn.Module):
    # "logvar" is VPoser's name for what a softplus turns into the standard deviation.
    def __init__(self, in_features: int, size: int) -> None:
        super().__init__()
        self.mu = nn.Linear(in_features, size)
        self.logvar = nn.Linear(in_features, size)

    def forward(self, x: Tensor) -> Normal:
        return Normal(self.mu(x), F.softplus(self.logvar(x)) + 1e-6, validate_args=False)


class RotationLayer(nn.Module):
    """(B, 6 K) numbers to rotations (B, K, 3, 3)."""

    # VPoser keeps the two columns interleaved (a 3x2 matrix in row order), unlike the rest of this project.
    def forward(self, x: Tensor) -> Tensor:
        return sixd_to_matrix(x.unflatten(-1, (-1, 3, 2)).transpose(-1, -2).flatten(-2))


class PoseCoder(nn.Module):
    """What VPoser's versions share: poses of K joints to codes of L numbers and back.

    A version brings :meth:`encode` and :meth:`rotations`.
    """

    def encode(self, pose: Tensor) -> Normal:
        """Distribution of the code of poses (B, K, 3), axis-angle in radians."""
        raise NotImplementedError

    def rotations(self, latent: Tensor) -> Tensor:
        """Rotations (B, K, 3, 3) for codes (B, L), in the precision that is given."""
        raise NotImplementedError

    def decode(self, latent: Tensor) -> Tensor:
        """Rotations (B, K, 3, 3) for codes (B, L), in fp32 also under autocast."""
        with torch.autocast(device_type=latent.device.type, enabled=False):
            return self.rotations(latent.float())

    def decode_body_pose(self, latent: Tensor) -> Tensor:
        """SMPL's ``body_pose`` (B, R, 3, 3) for codes (B, L): the hands keep the rest pose."""
        return complete_pose(self.decode(latent), SMPL.num_rotations)


class PosePrior(PoseCoder):
    """VPoser v2.

    Args:
        width: neurons of the hidden layers.
        latent_size: length of the code.
    """

    def __init__(self, width: int = 512, latent_size: int = LATENT_SIZE) -> None:
        super().__init__()
        features = NUM_PRIOR_JOINTS * 3
        self.encoder_net = nn.Sequential(
            nn.Flatten(),
            nn.BatchNorm1d(features),
            nn.Linear(features, width),
            nn.LeakyReLU(),
            nn.BatchNorm1d(width),
            nn.Dropout(0.1),
            nn.Linear(width, width),
            nn.Linear(width, width),
            _GaussianLayer(width, latent_size),
        )
        self.decoder_net = nn.Sequential(
            nn.Linear(latent_size, width),
            nn.LeakyReLU(),
            nn.Dropout(0.1),
            nn.Linear(width, width),
            nn.LeakyReLU(),
            nn.Linear(width, NUM_PRIOR_JOINTS * 6),
            RotationLayer(),
        )

        # Begins at the rest pose. From random rotations some joints end half a turn off, where their neighbours turn
        # back and the losses have a second minimum.
        last = self.decoder_net[-2]
        assert isinstance(last, nn.Linear)
        nn.init.xavier_uniform_(last.weight, gain=0.01)
        with torch.no_grad():
            last.bias.copy_(torch.eye(3)[:, :2].flatten().repeat(NUM_PRIOR_JOINTS))

    def encode(self, pose: Tensor) -> Normal:
        return self.encoder_net(pose)

    def rotations(self, latent: Tensor) -> Tensor:
        return self.decoder_net(latent)


class PosePriorModule(pl.LightningModule):
    """Trains a :class:`PosePrior` on poses (B, K, 3), axis-angle in radians.

    Args:
        width: neurons of the hidden layers.
        body_models: reference of the body (SMPL's layout); its joints weigh a wrong hip more than a wrong wrist.
        losses: weights of the terms rotations (L1 of matrix entries), joints (L1, metres) and kl (nats per code).
        lr: Adam's learning rate.
        lr_milestones: fractions of the training after which the rate falls.
        lr_gamma: factor by which it falls.
    """

    def __init__(
        self,
        width: int = 512,
        body_models: str = "free",
        losses: Mapping[str, float] | None = None,
        lr: float = 1e-3,
        lr_milestones: Sequence[float] = (0.7, 0.9),
        lr_gamma: float = 0.1,
    ) -> None:
        super().__init__()
        defaults = {"rotations": 2.0, "joints": 4.0, "kl": 0.005}
        losses = check_weights({**defaults, **(losses or {})}, defaults)
        body_models, lr_milestones = str(body_models), [float(part) for part in lr_milestones]
        self.save_hyperparameters()
        self.loss_weights = losses
        self.prior = PosePrior(width)
        self.body = open_body(body_models)
        self.body.spec.require_smpl("VPoser")

    def forward(self, latent: Tensor) -> Tensor:
        """Rotations (B, K, 3, 3) for codes (B, L)."""
        return self.prior.decode(latent)

    def training_step(self, pose: Tensor, batch_idx: int) -> Tensor:
        code = self.prior.encode(pose)
        terms = self._terms(pose, code, code.rsample())
        loss, logged = combine(terms, self.loss_weights)
        self.log_dict({f"train/all/{name}": value for name, value in logged.items()}, batch_size=len(pose))
        return loss

    def validation_step(self, pose: Tensor, batch_idx: int) -> None:
        """Held-out reconstruction: means of :meth:`reconstruction`, the code's divergence summed over its numbers."""
        error, angle, divergence = self.reconstruction(pose)
        metrics = {"mpjpe": error.mean(), "angle": angle.mean(), "kl": divergence.sum(dim=1).mean()}
        self.log_dict(
            {f"val/all/{name}": value for name, value in metrics.items()}, batch_size=len(pose), sync_dist=True
        )

    def reconstruction(self, pose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is lost of poses (B, K, 3) by their mean codes.

        Returns:
            (B, K) joint errors in mm, the root in place; (B, K) angles in degrees; and (B, L) Kullback-Leibler
            divergence in nats of each number of the code from the standard normal.
        """
        target, code = axis_angle_to_matrix(pose), self.prior.encode(pose)
        decoded = self.prior.decode(code.mean)
        moved = (self._joints(decoded) - self._joints(target))[:, 1 : NUM_PRIOR_JOINTS + 1]
        angle = torch.rad2deg(geodesic_distance(decoded, target))
        return moved.norm(dim=-1) * 1000, angle, kl_divergence(code, _standard(code))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        names = ("lr", "lr_milestones", "lr_gamma")
        return adam_with_steps(self, **{name: self.hparams[name] for name in names})

    def _terms(self, pose: Tensor, code: Normal, latent: Tensor) -> dict[str, TermSums]:
        target, decoded = axis_angle_to_matrix(pose), self.prior.decode(latent)
        one = torch.ones(len(pose), device=pose.device)
        joint_error = (self._joints(decoded) - self._joints(target)).abs()
        return {
            "rotations": TermSums((decoded - target).abs().mean(dim=(1, 2, 3)), one),
            "joints": TermSums(joint_error.mean(dim=(1, 2)), one),
            "kl": TermSums(kl_divergence(code, _standard(code)).sum(dim=1), one),
        }

    def _joints(self, rotations: Tensor) -> Tensor:
        # The skeleton alone, mean shape, root at rest: skinning would cost ten times as much and tell nothing more.
        root = torch.eye(3, device=rotations.device).expand(len(rotations), 1, 3, 3)
        body_pose = complete_pose(rotations, self.body.spec.num_rotations)
        return self.body.skeleton(torch.cat((root, body_pose), dim=1))


def _standard(code: Normal) -> Normal:
    return Normal(torch.zeros_like(code.mean), torch.ones_like(code.mean), validate_args=False)
