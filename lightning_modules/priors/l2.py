"""L2 on the body pose: the mean square of the angles by which the joints are turned away from a centre pose.

With the rest pose as the centre it is SMPLify-X's L2 prior [1] (there a sum over axis-angle values, here the mean over
joints, so that weights do not depend on their number). The mean pose of pose sequences is the better centre: SMPL's
rest pose holds the arms out.

[1] Pavlakos et al., Expressive Body Capture: 3D Hands, Face, and Body from a Single Image, CVPR 2019.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from body_models.contracts import NUM_BODY_ROTATIONS, Batch, Prediction
from body_models.rotations import axis_angle_to_matrix, matrix_to_axis_angle, mean_rotations
from lightning_modules.losses import TermSums

_ENOUGH = 20_000


class PoseL2(nn.Module):
    """Mean square angle from a centre pose, radians squared.

    Args:
        center: (J, 3) axis-angle of SMPL's joints 1 to J, radians; further joints, and all if None, are at rest.
    """

    def __init__(self, center: ArrayLike | None = None) -> None:
        super().__init__()
        inverse = torch.eye(3).repeat(NUM_BODY_ROTATIONS, 1, 1)
        if center is not None:
            given = axis_angle_to_matrix(torch.as_tensor(center, dtype=torch.float32))
            inverse[: len(given)] = given.mT
        # Given anew for each training, so not in checkpoints.
        self.register_buffer("inverse_center", inverse, persistent=False)

    inverse_center: Tensor

    def forward(self, prediction: Prediction, batch: Batch) -> TermSums:
        # The logarithm keeps its gradient at 0 and pi, unlike an arccos.
        _, body_pose, _ = prediction.parameters()
        turned = matrix_to_axis_angle(self.inverse_center @ body_pose)
        total = turned.square().sum(dim=-1).mean(dim=1)
        return TermSums(total, torch.ones_like(total))


def mean_pose(poses: NDArray[Any]) -> Tensor:
    """(21, 3) axis-angle, radians: chordal mean of poses (N, 21, 3), of at most 40,000 that are evenly spread."""
    spread = poses[:: max(1, len(poses) // _ENOUGH)]
    return matrix_to_axis_angle(mean_rotations(axis_angle_to_matrix(torch.tensor(spread))))
