"""HMR's adversarial prior [1]: critics that learn to tell the network's bodies from recorded ones, while it trains.

A critic for each joint but the root, one for the whole pose, one for the shape. They look at rotation
matrices, the joints' through two shared layers. Network and critics are trained in the same step, as in HMR, by least
squares [2]: critics give recorded bodies 1 and the network's 0, the network wants 1.

Both losses are terms of one sum for one optimiser: the network's term sees copies of the critics' weights, the
critics' term copies of the network's bodies, so each gets the gradient of its own term alone, and Adam treats every
weight by itself. Hence checkpoints, precision and several processes work as for every other loss.

Poses come from sequences, which know neither SMPL's two hand joints (at rest) nor shapes: these are drawn from the
standard normal distribution, to which SMPL's shape coefficients are scaled. All draws follow torch's random state.

[1] Kanazawa et al., End-to-end Recovery of Human Shape and Pose, CVPR 2018.
[2] Mao et al., Least Squares Generative Adversarial Networks, ICCV 2017.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from body_models.contracts import Batch, Prediction
from body_models.rotations import axis_angle_to_matrix, complete_pose
from body_models.spec import SMPL, BodySpec
from lightning_modules.losses import TermSums

CRITIC_LR = 1e-4
CRITIC_WEIGHT_DECAY = 1e-4


class Critics(nn.Module):
    """The critics' networks, of HMR's sizes.

    Args:
        spec: of the bodies that they look at.
        joint_width: neurons of the joints' layers.
        pose_width: neurons of the whole pose's.
    """

    def __init__(self, spec: BodySpec = SMPL, joint_width: int = 32, pose_width: int = 1024) -> None:
        super().__init__()
        rotations, shape = spec.num_rotations, spec.shape_size
        # The same for all joints, which is a convolution over them in HMR.
        self.joints = nn.Sequential(
            nn.Linear(9, joint_width), nn.ReLU(), nn.Linear(joint_width, joint_width), nn.ReLU()
        )
        self.each_weight = nn.Parameter(torch.empty(rotations, joint_width))
        self.each_bias = nn.Parameter(torch.zeros(rotations))
        self.pose = nn.Sequential(
            nn.Linear(rotations * joint_width, pose_width),
            nn.ReLU(),
            nn.Linear(pose_width, pose_width),
            nn.ReLU(),
            nn.Linear(pose_width, 1),
        )
        self.shape = nn.Sequential(nn.Linear(shape, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.each_weight)

    def forward(self, body_pose: Tensor, betas: Tensor) -> Tensor:
        """(B, R + 2) opinions on poses (B, R, 3, 3) and shapes (B, S): joints, pose, shape."""
        joints = self.joints(body_pose.flatten(2))
        each = (joints * self.each_weight).sum(dim=-1) + self.each_bias
        return torch.cat((each, self.pose(joints.flatten(1)), self.shape(betas)), dim=1)


class AdversarialPrior(nn.Module):
    """The two least-squares terms.

    Args:
        poses: (N, K, 3) axis-angle of recorded poses, radians, possibly mapped from disk; needed to train.
        spec: of the bodies.
    """

    def __init__(self, poses: NDArray[Any] | None = None, spec: BodySpec = SMPL) -> None:
        super().__init__()
        self.spec, self.critics = spec, Critics(spec)
        # Neither a buffer nor in checkpoints: there may be millions, of which a step looks at a few.
        self.poses = poses

    def forward(self, prediction: Prediction, batch: Batch) -> TermSums:
        """The network's term: squared distance of the critics' opinions from 1, summed over the critics as in HMR."""
        fixed = {name: value.detach() for name, value in self.critics.state_dict(keep_vars=True).items()}
        _, body_pose, betas = prediction.parameters()
        opinions = functional_call(self.critics, fixed, (body_pose, betas))
        return _sums((opinions - 1).square())

    def critic(self, prediction: Prediction, batch: Batch) -> TermSums:
        """The critics' own term: recorded bodies from 1, the network's from 0."""
        _, body_pose, betas = (part.detach() for part in prediction.parameters())
        real_pose, real_betas = self.draw(len(betas))
        real = self.critics(real_pose.to(body_pose), real_betas.to(betas))
        return _sums((real - 1).square() + self.critics(body_pose, betas).square())

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Recorded poses (count, R, 3, 3) and shapes (count, S)."""
        assert self.poses is not None, "AnnotatorModule checks it before it trains"
        rows = torch.randint(len(self.poses), (count,)).numpy()
        recorded = axis_angle_to_matrix(torch.tensor(self.poses[rows], dtype=torch.float32))
        return complete_pose(recorded, self.spec.num_rotations), torch.randn(count, self.spec.shape_size)


def _sums(squares: Tensor) -> TermSums:
    total = squares.sum(dim=1)
    return TermSums(total, torch.ones_like(total))
