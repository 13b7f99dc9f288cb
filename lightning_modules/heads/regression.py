"""From a feature map to numbers: plain regression, and HMR's iterative regression [1].

Both begin at a given start, keep where things are (a coarse grid of cells is flattened, not averaged away), and run
in fp32: in bf16 the depth of 40 m would be rounded to 0.1 m. Where the camera is not that of the crop alone, they also
read where in the image the crop was taken [2].

[1] Kanazawa et al., End-to-end Recovery of Human Shape and Pose, CVPR 2018.
[2] Li et al., CLIFF: Carrying Location Information in Full Frames into Human Pose and Shape Estimation, ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_modules.cameras import BOX_INFO
from lightning_modules.evidence import Evidence
from lightning_modules.heads.base import HeadInputs, StartingHead, small_linear

MAX_GRID = 4
CELL_CHANNELS = 128


class GridFeatures(nn.Module):
    """Feature map (B, C, h, w) -> (B, out_features): 1x1 convolution, pooled to at most 4x4 cells, flattened.

    Args:
        in_channels: C.
        map_size: h = w.
    """

    def __init__(self, in_channels: int, map_size: int) -> None:
        super().__init__()
        grid = min(MAX_GRID, map_size)
        self.reduce = nn.Sequential(
            nn.Conv2d(in_channels, CELL_CHANNELS, 1, bias=False), nn.BatchNorm2d(CELL_CHANNELS), nn.ReLU(inplace=True)
        )
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.out_features = CELL_CHANNELS * grid * grid

    def forward(self, features: Tensor) -> Tensor:
        return self.pool(self.reduce(features)).flatten(1)


class GridHead(StartingHead):
    """What both share: the grid features, and small last weights so that training begins at the start.

    Args:
        inputs: what it is built from.
        width: neurons of the last hidden layer.
        start: outputs to say, in place of those of ``inputs``.

    Attributes:
        seen: how many numbers :meth:`look` returns.
    """

    reads_box: ClassVar[bool] = True

    def __init__(self, inputs: HeadInputs, width: int, start: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(inputs, start)
        self.grid = GridFeatures(inputs.in_channels, inputs.map_size)
        self.box_info = inputs.box_info
        self.seen = self.grid.out_features + (BOX_INFO if self.box_info else 0)
        self.out = small_linear(width, sum(self.sizes.values()))

    def look(self, features: Tensor, evidence: Evidence) -> Tensor:
        """(B, seen) the grid features (of fp32 maps), and then the box information where the head reads it."""
        flat = self.grid(features)
        return torch.cat((flat, evidence.camera.box_info), dim=1) if self.box_info else flat


class RegressionHead(GridHead):
    """Start plus a two-layer perceptron on the grid features.

    Args:
        inputs: what it is built from.
        width: neurons of the hidden layer.
        start: outputs to say, in place of those of ``inputs``.
    """

    def __init__(self, inputs: HeadInputs, width: int = 512, start: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(inputs, width, start)
        self.hidden = nn.Sequential(nn.Linear(self.seen, width), nn.ReLU(inplace=True))

    def forward(self, features: Tensor, evidence: Evidence) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n)."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            return self.named(self.start + self.out(self.hidden(self.look(features.float(), evidence))))


class IterativeHead(GridHead):
    """HMR: three times, look at features and the current estimate, and add a correction.

    Args:
        inputs: what it is built from; of CLIFF with the box information, at which every correction looks.
        width: neurons of the hidden layers.
        iterations: corrections.
    """

    def __init__(self, inputs: HeadInputs, width: int = 1024, iterations: int = 3) -> None:
        super().__init__(inputs, width)
        self.iterations = iterations
        self.hidden = nn.Sequential(
            nn.Linear(self.seen + sum(self.sizes.values()), width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor, evidence: Evidence) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n)."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            flat = self.look(features.float(), evidence)
            estimate = self.start.expand(len(flat), -1)
            for _ in range(self.iterations):
                estimate = estimate + self.out(self.hidden(torch.cat((flat, estimate), dim=1)))
            return self.named(estimate)
