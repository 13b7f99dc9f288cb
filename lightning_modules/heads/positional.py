"""Pose2Pose [1]: find the joints in 3D, then regress rotations from where they are and what is seen there.

PositionNet turns the backbone's features into a 3D heatmap for each of 25 body joints, read by soft-argmax. RotationNet
samples 512 features at each joint's place, puts the place beside them, and regresses all rotations of SMPL in one
linear layer; shape and camera come from pooled features. Places are constants to RotationNet, as published: they learn
from the joints alone.

The layers are those of the published code's body network at a ResNet-50, for a square crop of 256 px; without its hand
and face branches, so without the finger joints that these hand to RotationNet, and with SMPL's 24 rotations.

[1] Moon et al., Accurate 3D Hand Pose Estimation for Whole-Body 3D Human Mesh Estimation, CVPRW 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from body_models.contracts import NUM_BETAS, NUM_BODY_ROTATIONS, Batch, Prediction
from body_models.joint_sets import BODY_JOINT_INDEX
from body_models.smpl import BodyModel
from lightning_modules.evidence import Evidence
from lightning_modules.heads.base import Head, HeadInputs
from lightning_modules.losses import LossTerm, TermSums, masked_l1
from lightning_modules.targets import joints_on_crop

POSITION_JOINTS = (
    "pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "neck",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
    "left_ear", "right_ear", "left_eye", "right_eye", "nose",
)  # fmt: skip
"""Body joints that PositionNet finds, in the order of its output."""

_DEPTH = 2.0
"""Metres from the front to the back of the heatmaps, the pelvis in the middle."""
_POSITIONS = "positions"
_INDEX = [BODY_JOINT_INDEX[name] for name in POSITION_JOINTS]


class PositionNet(nn.Module):
    """Features -> places of :data:`POSITION_JOINTS`, by 3D heatmaps as deep as they are wide.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along each side of the feature map.
    """

    def __init__(self, in_channels: int, map_size: int) -> None:
        super().__init__()
        self.depth = map_size
        self.conv = nn.Conv2d(in_channels, len(POSITION_JOINTS) * map_size, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 25, 3) x, y, z as fractions of the heatmaps' sides."""
        maps = self.conv(features).float().unflatten(1, (-1, self.depth))
        weights = maps.flatten(2).softmax(dim=-1).view_as(maps)
        places = []
        for axis in (4, 3, 2):
            size = maps.shape[axis]
            centres = (torch.arange(size, device=maps.device) + 0.5) / size
            others = [other for other in (2, 3, 4) if other != axis]
            places.append((weights.sum(dim=others) * centres).sum(dim=-1))
        return torch.stack(places, dim=-1)


class RotationNet(nn.Module):
    """Features and places -> rotations, shape and camera, as differences from their start.

    Args:
        in_channels: channels of the feature map.
        body_size: numbers that say the body's pose: rotations in 6D, or a code.
    """

    def __init__(self, in_channels: int, body_size: int = NUM_BODY_ROTATIONS * 6) -> None:
        super().__init__()
        width = 512 if in_channels >= 512 else 64
        self.conv = nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        joint_features = len(POSITION_JOINTS) * (width + 3)
        self.global_orient = nn.Linear(joint_features, 6)
        self.body = nn.Linear(joint_features, body_size)
        self.betas = nn.Linear(in_channels, NUM_BETAS)
        self.camera = nn.Linear(in_channels, 3)
        for layer in (self.global_orient, self.body, self.betas, self.camera):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, places: Tensor) -> dict[str, Tensor]:
        """(B, in_channels, h, w) and (B, 25, 3) fractions -> outputs by name, (B, n)."""
        centred = 2 * places - 1  # as grid_sample has the map's edges
        sampled = F.grid_sample(self.conv(features), centred[:, :, None, :2], align_corners=False)[..., 0]
        joints = torch.cat((sampled.transpose(1, 2), centred), dim=2).flatten(1)
        pooled = features.mean(dim=(2, 3))
        return {
            "global_orient": self.global_orient(joints),
            "body": self.body(joints),
            "betas": self.betas(pooled),
            "camera": self.camera(pooled),
        }


class PositionalHead(Head):
    """PositionNet, then RotationNet; its own loss term is ``positions``, L1 of PositionNet's joints.

    Args:
        inputs: what it is built from.
    """

    losses: ClassVar[Mapping[str, float]] = {"positions": 10.0}

    def __init__(self, inputs: HeadInputs) -> None:
        super().__init__()
        in_channels, map_size, self.input_size = inputs.in_channels, inputs.map_size, inputs.input_size
        self.position_net = PositionNet(in_channels, map_size)
        self.rotation_net = RotationNet(in_channels, inputs.start["body"].numel())
        for name, value in inputs.start.items():
            self.register_buffer(f"start_{name}", value.float())

    def forward(self, features: Tensor, evidence: Evidence) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> outputs by name, (B, n), and "positions", (B, 25, 3) fractions."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            features = features.float()
            places = self.position_net(features)
            changes = self.rotation_net(features, places.detach())
            out = {name: getattr(self, f"start_{name}") + change for name, change in changes.items()}
            return {**out, _POSITIONS: places}

    def loss_terms(self, body: BodyModel) -> Mapping[str, LossTerm]:
        return {"positions": partial(self._positions, body)}

    def _positions(self, body: BodyModel, prediction: Prediction, targets: Batch) -> TermSums:
        """L1 of the joints' places, in crop sides, and of their depths from the root, in sides of the heatmap.

        Places and depths are known or unknown on their own; what lies outside the heatmaps is left out.
        """
        assert prediction.extra is not None
        sample = torch.arange(len(targets["root_index"]), device=targets["root_index"].device)
        on_crop, confidence_2d = joints_on_crop(targets, body)
        depths, confidence_3d = targets["joints_3d"][..., 2], targets["joints_3d_conf"]
        root, root_confidence = depths[sample, targets["root_index"]], confidence_3d[sample, targets["root_index"]]
        target = torch.cat((on_crop / self.input_size, ((depths - root[:, None]) / _DEPTH + 0.5).unsqueeze(-1)), dim=2)
        depth_confidence = confidence_3d * (root_confidence > 0).unsqueeze(1)
        confidence = torch.stack((confidence_2d, confidence_2d, depth_confidence), dim=2)
        confidence = confidence * ((target >= 0) & (target <= 1))
        # Each coordinate has its own confidence, so each is an element of its own.
        return masked_l1(
            prediction.extra[_POSITIONS].unsqueeze(-1), target[:, _INDEX].unsqueeze(-1), confidence[:, _INDEX]
        )
