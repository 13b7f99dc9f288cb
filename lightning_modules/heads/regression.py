"""From a feature map to numbers: plain regression, and HMR's iterative regression [1].

Both begin at a given start, keep where things are (a coarse grid of cells is flattened, not averaged away), and run
in fp32: in bf16 the depth of 40 m would be rounded to 0.1 m. Where the camera is not that of the crop alone, they also
read where in the image the crop was taken [2].

[1] Kanazawa et al., End-to-end Recovery of Human Shape and Pose, CVPR 2018.
[2] Li et al., CLIFF: Carrying Location Information in Full Frames into Human Pose and Shape Estimation, ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lightning_modules.cameras import CropCamera

MAX_GRID = 4
CELL_CHANNELS = 128
_BOX_INFO = 3


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
    """What all heads share: the named outputs, their start, and small last weights so that training begins there.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along each side of the feature map.
        start: the outputs by name and what they are before training.
        width: neurons of the last hidden layer.
        box_info: whether :attr:`lightning_modules.cameras.CropCamera.box_info` is looked at beside the features.

    Attributes:
        seen: how many numbers :meth:`look` returns.
    """

    def __init__(
        self, in_channels: int, map_size: int, start: Mapping[str, Tensor], width: int, box_info: bool = False
    ) -> None:
        super().__init__()
        self.sizes = {name: value.numel() for name, value in start.items()}
        self.register_buffer("start", torch.cat([value.flatten().float() for value in start.values()]))
        self.grid = GridFeatures(in_channels, map_size)
        self.box_info = box_info
        self.seen = self.grid.out_features + (_BOX_INFO if box_info else 0)
        self.out = nn.Linear(width, sum(self.sizes.values()))
        nn.init.xavier_uniform_(self.out.weight, gain=0.01)
        nn.init.zeros_(self.out.bias)

    start: Tensor

    def look(self, features: Tensor, camera: CropCamera) -> Tensor:
        """(B, seen) the grid features (of fp32 maps), and then the box information where the head reads it."""
        flat = self.grid(features)
        return torch.cat((flat, camera.box_info), dim=1) if self.box_info else flat

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """The outputs by name, of all in a row (B, n)."""
        return dict(zip(self.sizes, values.split(list(self.sizes.values()), dim=1), strict=True))


class RegressionHead(Head):
    """Start plus a two-layer perceptron on the grid features.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along each side of the feature map.
        start: the outputs by name and what they are before training.
        width: neurons of the hidden layer.
        box_info: whether the box information is looked at beside the features.
    """

    def __init__(
        self, in_channels: int, map_size: int, start: Mapping[str, Tensor], width: int = 512, box_info: bool = False
    ) -> None:
        super().__init__(in_channels, map_size, start, width, box_info)
        self.hidden = nn.Sequential(nn.Linear(self.seen, width), nn.ReLU(inplace=True))

    def forward(self, features: Tensor, camera: CropCamera) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n)."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            return self.named(self.start + self.out(self.hidden(self.look(features.float(), camera))))


class IterativeHead(Head):
    """HMR: three times, look at features and the current estimate, and add a correction.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along each side of the feature map.
        start: the outputs by name and what they are before the first correction.
        width: neurons of the hidden layers.
        iterations: corrections.
        box_info: whether every correction looks at the box information beside the features.
    """

    def __init__(
        self,
        in_channels: int,
        map_size: int,
        start: Mapping[str, Tensor],
        width: int = 1024,
        iterations: int = 3,
        box_info: bool = False,
    ) -> None:
        super().__init__(in_channels, map_size, start, width, box_info)
        self.iterations = iterations
        self.hidden = nn.Sequential(
            nn.Linear(self.seen + sum(self.sizes.values()), width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor, camera: CropCamera) -> dict[str, Tensor]:
        """(B, in_channels, map_size, map_size) -> each output by name, (B, n)."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            flat = self.look(features.float(), camera)
            estimate = self.start.expand(len(flat), -1)
            for _ in range(self.iterations):
                estimate = estimate + self.out(self.hidden(torch.cat((flat, estimate), dim=1)))
            return self.named(estimate)
