"""What every head is: from features and evidence to named numbers, with loss terms of its own where it says more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from body_models.smpl import BodyModel
from lightning_modules.evidence import Evidence
from lightning_modules.losses import LossTerm
from lightning_modules.weights.checkpoints import Coverage


@dataclass(frozen=True)
class HeadInputs:
    """What a head is built from.

    Attributes:
        in_channels: channels of the feature map.
        map_size: cells along each side of the feature map.
        start: the outputs by name and what they are before training: "global_orient" (6,), "body", "betas", "camera".
        input_size: side of the crops in pixels.
        box_info: whether :attr:`lightning_modules.cameras.CropCamera.box_info` is to be looked at beside the features;
            only of heads with ``reads_box``, the others find it among the features.
        backbone: of the encoder, for heads that go on where it ends.
        body: the neutral body, whose mesh some heads predict.
    """

    in_channels: int
    map_size: int
    start: Mapping[str, Tensor]
    input_size: int
    box_info: bool = False
    backbone: nn.Module | None = None
    body: BodyModel | None = None


class Head(nn.Module):
    """Base of the heads: ``forward(features, evidence)`` returns the outputs by name, (B, n) each, in fp32.

    Attributes:
        encoder: name in :data:`lightning_modules.networks.encoders.ENCODERS` of what it looks at.
        says: "parameters" (global_orient, body, betas, camera) or "vertices".
        reads_box: whether it looks at the box information by itself.
        losses: default weights of its own loss terms.
        loss_stages: share of the training in which one of these counts; the others count in all of it.
    """

    encoder: ClassVar[str] = "image"
    says: ClassVar[str] = "parameters"
    reads_box: ClassVar[bool] = False
    losses: ClassVar[Mapping[str, float]] = {}
    loss_stages: ClassVar[Mapping[str, float]] = {}

    def forward(self, features: Tensor, evidence: Evidence) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n)."""
        raise NotImplementedError

    def loss_terms(self, body: BodyModel) -> Mapping[str, LossTerm]:
        """Loss terms by name about what only this head says; ``body`` is the neutral one."""
        return {}

    def backbone_started(self, backbone: nn.Module, path: str | Path) -> Coverage | None:
        """Told when the backbone was filled from a file; how much of the head could be filled from it, if any."""
        return None


class StartingHead(Head):
    """A head whose outputs are differences from their start, kept in one row.

    Args:
        inputs: what it is built from.
        start: outputs to say, in place of those of ``inputs``.
    """

    def __init__(self, inputs: HeadInputs, start: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        start = inputs.start if start is None else start
        self.sizes = {name: value.numel() for name, value in start.items()}
        self.register_buffer("start", torch.cat([value.flatten().float() for value in start.values()]))

    start: Tensor

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """The outputs by name, of all in a row (B, n)."""
        return dict(zip(self.sizes, values.split(list(self.sizes.values()), dim=1), strict=True))


def small_linear(in_features: int, out_features: int) -> nn.Linear:
    """A last layer of small weights, so that training begins at the start of the outputs."""
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    nn.init.zeros_(layer.bias)
    return layer
