"""From a feature map to numbers: plain regression, and HMR's iterative regression [1].

Both begin at a given start, keep where things are (a coarse grid of cells is flattened, not averaged away), and run
in fp32: in bf16 the depth of 40 m would be rounded to 0.1 m.

[1] Kanazawa et al., End-to-end Recovery of Human Shape and Pose, CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lightning_modules.cameras import CropCamera

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


class Head(nn.Module):
    """What all heads share: the named outputs, their start, and small last weights so that training begins there."""

    def __init__(self, in_channels: int, map_size: int, start: Mapping[str, Tensor], width: int) -> None:
        super().__init__()
        self.sizes = {name: value.numel() for name, value in start.items()}
        self.register_buffer("start", torch.cat([value.flatten().float() for value in start.values()]))
        self.grid = GridFeatures(in_channels, map_size)
        self.out = nn.Linear(width, sum(self.sizes.values()))
        nn.init.xavier_uniform_(self.out.weight, gain=0.01)
        nn.init.zeros_(self.out.bias)

    start: Tensor

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """The outputs by name, of all in a row (B, n)."""
        return dict(zip(self.sizes, values.split(list(self.sizes.values()), dim=1), strict=True))


class RegressionHead(Head):
    """Start plus a two-layer perceptron on the grid features.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along each side of the feature map.
        start: the outputs by name and what they are before training.
    """

    def __init__(self, in_channels: int, map_size: int, start: Mapping[str, Tensor], width: int = 512) -> None:
        super().__init__(in_channels, map_size, start, width)
        self.hidden = nn.Sequential(nn.Linear(self.grid.out_features, width), nn.ReLU(inplace=True))

    def forward(self, features: Tensor, camera: CropCamera) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n)."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            return self.named(self.start + self.out(self.hidden(self.grid(features.float()))))


class IterativeHead(Head):
    """HMR: three times, look at features and the current estimate, and add a correction.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along each side of the feature map.
        start: the outputs by name and what they are before the first correction.
        more_features: how many numbers :meth:`look` returns beside the grid features.
    """

    def __init__(
        self,
        in_channels: int,
        map_size: int,
        start: Mapping[str, Tensor],
        more_features: int = 0,
        width: int = 1024,
        iterations: int = 3,
    ) -> None:
        super().__init__(in_channels, map_size, start, width)
        self.iterations = iterations
        self.hidden = nn.Sequential(
            nn.Linear(self.grid.out_features + more_features + sum(self.sizes.values()), width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )

    def look(self, features: Tensor, camera: CropCamera) -> Tensor:
        """(B, n) what every correction sees beside the estimate."""
        return self.grid(features)

    def forward(self, features: Tensor, camera: CropCamera) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n)."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            flat = self.look(features.float(), camera)
            estimate = self.start.expand(len(flat), -1)
            for _ in range(self.iterations):
                estimate = estimate + self.out(self.hidden(torch.cat((flat, estimate), dim=1)))
            return self.named(estimate)
