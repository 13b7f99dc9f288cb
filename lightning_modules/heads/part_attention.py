"""PARE [1]: each joint's rotation from the features of the part that it moves, found by attention.

Two branches upsample the backbone's features: one gives an attention map for each of SMPL's 24 joints, the other a
feature volume. Each joint sees the volume through its own map, so a hidden part takes nothing from its neighbours'
pixels unless attention learned to look there. The maps are first trained to lie on the joints in 2D, later by the
losses on the body alone. The published code also trains them with rendered part segmentations; its 2D variant is used
here, because a pseudo-GT's joints are nearer to the truth than its surface, and no renderer is needed.

The layers are those of the published code with a ResNet-50 (three deconvolutions of 256 channels, 64 features a joint
for shape and camera), with its options "keypoint attention" and "mean pose"; narrower for the slim backbone.

[1] Kocabas et al., PARE: Part Attention Regressor for 3D Human Body Estimation, ICCV 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from body_models.contracts import NUM_BETAS, NUM_BODY_ROTATIONS, Batch, Prediction
from body_models.smpl import BodyModel
from lightning_modules.evidence import Evidence
from lightning_modules.heads.base import Head, HeadInputs, small_linear
from lightning_modules.losses import LossTerm, TermSums
from lightning_modules.targets import joints_on_crop

PARTS_STAGE = 0.5
"""Share of the training in which the maps are held to the joints."""

_ATTENTION = "attention"
_PARTS = 1 + NUM_BODY_ROTATIONS
_SPREAD = 1 / 32
"""Standard deviation of a joint's place on its map, in crop sides: 2 of 64 cells, as published."""


class PartAttentionHead(Head):
    """Part attention over a feature volume.

    Its own loss term is ``parts``, the divergence of the maps from the joints' places.

    Args:
        inputs: what it is built from.
    """

    losses: ClassVar[Mapping[str, float]] = {"parts": 0.1}
    loss_stages: ClassVar[Mapping[str, float]] = {"parts": PARTS_STAGE}

    def __init__(self, inputs: HeadInputs) -> None:
        super().__init__()
        in_channels, map_size, self.input_size = inputs.in_channels, inputs.map_size, inputs.input_size
        # 7 and 8 cells (224 and 256 px) become 56 and 64, a quarter of the crop's side; so do the slim backbone's.
        width, features, side = (256, 64, 56) if in_channels >= 512 else (64, 16, 12)
        layers = max(0, math.ceil(math.log2(side / map_size)))
        self.part_branch = _upsample(in_channels, width, layers)
        self.feature_branch = _upsample(in_channels, width, layers)
        self.part_maps = nn.Conv2d(width, _PARTS, 1)
        self.shape_features = nn.Conv2d(width, features, 1)
        # A code belongs to no part: it is read from all of them.
        body_size = inputs.start["body"].numel()
        self.code = None if body_size == NUM_BODY_ROTATIONS * 6 else small_linear(_PARTS * width, body_size)
        self.pose = nn.Parameter(torch.empty(_PARTS if self.code is None else 1, width, 6))
        self.betas = nn.Linear(_PARTS * features, NUM_BETAS)
        self.camera = nn.Linear(_PARTS * features, 3)
        for weight in (*self.pose, self.betas.weight, self.camera.weight):
            nn.init.xavier_uniform_(weight, gain=0.01)
        for name, value in inputs.start.items():
            self.register_buffer(f"start_{name}", value.float())

    start_global_orient: Tensor
    start_body: Tensor
    start_betas: Tensor
    start_camera: Tensor

    def forward(self, features: Tensor, evidence: Evidence) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> outputs by name, (B, n), and "attention", logits (B, 24, h, w)."""
        maps = self.part_maps(self.part_branch(features))
        volume = self.feature_branch(features)
        with torch.autocast(device_type=features.device.type, enabled=False):
            maps, volume = maps.float(), volume.float()
            attention = maps.flatten(2).softmax(dim=-1)
            seen = torch.einsum("bpx,bcx->bpc", attention, volume.flatten(2))
            seen_shape = torch.einsum("bpx,bcx->bpc", attention, self.shape_features(volume).flatten(2)).flatten(1)
            pose = torch.einsum("bpc,pcd->bpd", seen[:, : len(self.pose)], self.pose).flatten(1)
            body = pose[:, 6:] if self.code is None else self.code(seen.flatten(1))
            return {
                "global_orient": self.start_global_orient + pose[:, :6],
                "body": self.start_body + body,
                "betas": self.start_betas + self.betas(seen_shape),
                "camera": self.start_camera + self.camera(seen_shape),
                _ATTENTION: maps,
            }

    def loss_terms(self, body: BodyModel) -> Mapping[str, LossTerm]:
        return {"parts": partial(self._parts, body)}

    def _parts(self, body: BodyModel, prediction: Prediction, targets: Batch) -> TermSums:
        """Kullback-Leibler divergence, in nats, of each part's map from a Gaussian about its joint.

        Joints outside the crop have no place on it, and are left out.
        """
        assert prediction.extra is not None
        maps = prediction.extra[_ATTENTION]
        joints, confidence = joints_on_crop(targets, body)
        places, confidence = joints[:, :_PARTS] / self.input_size, confidence[:, :_PARTS]
        confidence = confidence * ((places >= 0) & (places <= 1)).all(dim=-1)
        target = _gaussians(places.where(confidence.unsqueeze(-1) > 0, 0.5), maps.shape[-1])
        divergence = (target.exp() * (target - maps.flatten(2).log_softmax(dim=-1))).sum(dim=-1)
        return TermSums((divergence * confidence).sum(dim=1), confidence.sum(dim=1))


def _upsample(in_channels: int, width: int, layers: int) -> nn.Sequential:
    """Transposed convolutions, each of which doubles the map's side."""
    modules: list[nn.Module] = []
    for _ in range(layers):
        modules += [
            nn.ConvTranspose2d(in_channels, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        in_channels = width
    return nn.Sequential(*modules)


def _gaussians(places: Tensor, side: int) -> Tensor:
    """(B, K, side * side) log probabilities about places (B, K, 2), fractions of the side."""
    cells = (torch.arange(side, device=places.device) + 0.5) / side
    x, y = (places.unsqueeze(-1) - cells).square().unbind(dim=2)
    return (-(y.unsqueeze(-1) + x.unsqueeze(-2)) / (2 * _SPREAD**2)).flatten(2).log_softmax(dim=-1)
