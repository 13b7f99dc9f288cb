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

from body_models.contracts import Batch, Prediction
from body_models.rotations import axis_angle_to_matrix, complete_pose, matrix_to_axis_angle, mean_rotations
from body_models.spec import SMPL, BodySpec
from lightning_modules.losses import TermSums

_ENOUGH = 20_000


class PoseL2(nn.Module):
    """Mean square angle from a centre pose, radians squared.

    Args:
        center: (K, 3) axis-angle of the first K joints after the root, radians; further joints, and all if None, are
            at rest.
        spec: of the bodies.
    """

    def __init__(self, center: ArrayLike | None = None, spec: BodySpec = SMPL) -> None:
        super().__init__()
        given = torch.zeros(0, 3) if center is None else torch.as_tensor(center, dtype=torch.float32)
        inverse = axis_angle_to_matrix(given).mT
        # Given anew for each training, so not in checkpoints.
        self.register_buffer("inverse_center", complete_pose(inverse[None], spec.num_rotations)[0], persistent=False)

    inverse_center: Tensor

    def forward(self, prediction: Prediction, batch: Batch) -> TermSums:
        # The logarithm keeps its gradient at 0 and pi, unlike an arccos.
        _, body_pose, _ = prediction.parameters()
        turned = matrix_to_axis_angle(self.inverse_center @ body_pose)
        total = turned.square().sum(dim=-1).mean(dim=1)
        return TermSums(total, torch.ones_like(total))


def mean_pose(poses: NDArray[Any]) -> Tensor:
    """(K, 3) axis-angle, radians: chordal mean of poses (N, K, 3), of at most 40,000 that are evenly spread."""
    spread = poses[:: max(1, len(poses) // _ENOUGH)]
    return matrix_to_axis_angle(mean_rotations(axis_angle_to_matrix(torch.tensor(spread))))
