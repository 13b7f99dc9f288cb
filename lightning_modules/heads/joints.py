"""Joint-aligned features [1]: find the joints on upsampled maps, and look at the features where they are.

The upsampling and the maps are those of the 2D pose network, with its names (``deconv_layers``, ``final_layer``), so
that one can start from the other.

[1] Moon et al., Accurate 3D Hand Pose Estimation for Whole-Body 3D Human Mesh Estimation, CVPRW 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from body_models.contracts import Batch, Prediction
from body_models.joint_sets import BODY_JOINT_INDEX
from body_models.smpl import BodyModel
from lightning_modules.backbones.upsampling import upsampled_channels, upsampling
from lightning_modules.evidence import Evidence
from lightning_modules.heads.base import HeadInputs
from lightning_modules.heads.regression import GridHead
from lightning_modules.losses import LossTerm, TermSums, masked_l1, nothing
from lightning_modules.starts.pose2d import POSE2D_JOINTS, soft_argmax
from lightning_modules.weights.checkpoints import Coverage, load_weights

MAP_JOINTS = "map_joints"
"""Output of the head beside those that it is given: (B, K, 2) places of POSE2D_JOINTS on the maps."""

_OUTPUT_STRIDE = 4
_JOINT_CHANNELS = 32
_BODY_INDEX = torch.tensor([BODY_JOINT_INDEX[name] for name in POSE2D_JOINTS])
# Where the parts of 2D pose networks lie in checkpoints: Simple Baselines' and this project's own, mmpose's of either
# version, and behind DataParallel.
_PREFIXES = ("", "module.", "keypoint_head.", "head.")


class JointMaps(nn.Module):
    """Simple Baselines' deconvolutions and joint maps, on a backbone's features.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along its sides.
        input_size: side of the crops in pixels, from which the number of deconvolutions follows: to a stride of 4.
    """

    def __init__(self, in_channels: int, map_size: int, input_size: int) -> None:
        super().__init__()
        doublings = 0
        while math.ceil(input_size / (_OUTPUT_STRIDE * 2**doublings)) > map_size:
            doublings += 1
        self.deconv_layers = upsampling(in_channels, doublings)
        self.channels = upsampled_channels(in_channels, doublings)
        self.final_layer = nn.Conv2d(self.channels, len(POSE2D_JOINTS), 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Upsampled features (B, channels, h, w), and the maps of POSE2D_JOINTS (B, K, h, w) before the softmax."""
        upsampled = self.deconv_layers(features)
        return upsampled, self.final_layer(upsampled)


class JointHead(GridHead):
    """Start plus a two-layer perceptron on grid features, and on each joint's place, certainty and features there.

    Args:
        inputs: what it is built from.
        width: neurons of the hidden layer.
    """

    def __init__(self, inputs: HeadInputs, width: int = 512) -> None:
        super().__init__(inputs, width)
        self.maps = JointMaps(inputs.in_channels, inputs.map_size, inputs.input_size)
        self.reduce = nn.Conv2d(self.maps.channels, _JOINT_CHANNELS, 1)
        # x, y and the peak of the map's probability beside the features.
        joints = len(POSE2D_JOINTS) * (_JOINT_CHANNELS + 3)
        self.hidden = nn.Sequential(nn.Linear(self.seen + joints, width), nn.ReLU(inplace=True))

    def forward(self, features: Tensor, evidence: Evidence) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n); MAP_JOINTS as fractions of the side."""
        upsampled, maps = self.maps(features)
        with torch.autocast(device_type=features.device.type, enabled=False):
            joints = soft_argmax(maps)
            peaks = maps.float().flatten(2).softmax(dim=-1).amax(dim=-1, keepdim=True)
            reduced = self.reduce(upsampled.float())
            # grid_sample has the map's outer edges at -1 and 1, as soft_argmax has them at 0 and 1.
            sampled = F.grid_sample(reduced, 2 * joints.unsqueeze(2) - 1, align_corners=False)[..., 0]
            looked_at = torch.cat((sampled.transpose(1, 2), joints, peaks), dim=2).flatten(1)
            hidden = self.hidden(torch.cat((self.look(features.float(), evidence), looked_at), dim=1))
            return {**self.named(self.start + self.out(hidden)), MAP_JOINTS: joints}

    def loss_terms(self, body: BodyModel) -> Mapping[str, LossTerm]:
        return {"map_joints_2d": map_joints_2d}

    def backbone_started(self, backbone: nn.Module, path: str | Path) -> Coverage:
        """Fill the deconvolutions and maps from a 2D pose network's checkpoint, as far as they agree.

        A network for other joints has other maps, and an ImageNet network has neither: nothing is required.
        """
        return load_weights(self.maps, path, prefix=_PREFIXES, min_coverage=0)


def map_joints_2d(prediction: Prediction, batch: Batch) -> TermSums:
    """L1 of the places of the joints on the maps, in units of the crop's side; nothing for networks without maps."""
    if prediction.extra is None or MAP_JOINTS not in prediction.extra:
        return nothing(prediction)
    side = batch["image"].shape[-1]
    index = _BODY_INDEX.to(prediction.transl.device)
    target, conf = batch["joints_2d"][:, index], batch["joints_2d_conf"][:, index]
    # A joint outside the crop has no place on the map.
    inside = ((target >= 0) & (target <= side)).all(dim=-1)
    return masked_l1(prediction.extra[MAP_JOINTS], target / side, conf * inside)
