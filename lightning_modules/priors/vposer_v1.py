"""The first VPoser [1], with the names and layout of its published checkpoints (``snapshots/*.pt``).

Its layers, their order and their slopes differ from v2's (:class:`lightning_modules.priors.pose_prior.PosePrior`);
the size of the code, the six numbers of a rotation and the joints are the same.

[1] Pavlakos et al., Expressive Body Capture: 3D Hands, Face, and Body from a Single Image, CVPR 2019.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional as F

from lightning_modules.priors.pose_prior import LATENT_SIZE, NUM_PRIOR_JOINTS, PoseCoder, RotationLayer

_SLOPE = 0.2


class PosePriorV1(PoseCoder):
    """VPoser v1.

    Args:
        width: neurons of the hidden layers.
        latent_size: length of the code.
    """

    def __init__(self, width: int = 512, latent_size: int = LATENT_SIZE) -> None:
        super().__init__()
        features = NUM_PRIOR_JOINTS * 3
        self.bodyprior_enc_bn1 = nn.BatchNorm1d(features)
        self.bodyprior_enc_fc1 = nn.Linear(features, width)
        self.bodyprior_enc_bn2 = nn.BatchNorm1d(width)
        self.bodyprior_enc_fc2 = nn.Linear(width, width)
        self.bodyprior_enc_mu = nn.Linear(width, latent_size)
        self.bodyprior_enc_logvar = nn.Linear(width, latent_size)
        self.dropout = nn.Dropout(0.1)
        self.bodyprior_dec_fc1 = nn.Linear(latent_size, width)
        self.bodyprior_dec_fc2 = nn.Linear(width, width)
        self.bodyprior_dec_out = nn.Linear(width, NUM_PRIOR_JOINTS * 6)
        self.rot_decoder = RotationLayer()

    def encode(self, pose: Tensor) -> Normal:
        x = F.leaky_relu(self.bodyprior_enc_fc1(self.bodyprior_enc_bn1(pose.flatten(1))), _SLOPE)
        x = F.leaky_relu(self.bodyprior_enc_fc2(self.dropout(self.bodyprior_enc_bn2(x))), _SLOPE)
        # "logvar" is VPoser's name for what a softplus turns into the standard deviation.
        return Normal(self.bodyprior_enc_mu(x), F.softplus(self.bodyprior_enc_logvar(x)), validate_args=False)

    def rotations(self, latent: Tensor) -> Tensor:
        x = self.dropout(F.leaky_relu(self.bodyprior_dec_fc1(latent), _SLOPE))
        x = F.leaky_relu(self.bodyprior_dec_fc2(x), _SLOPE)
        return self.rot_decoder(self.bodyprior_dec_out(x))
