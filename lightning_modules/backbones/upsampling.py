"""Simple Baselines' transposed convolutions [1], from a backbone's feature map to maps that joints are found on.

[1] Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018.
"""

from __future__ import annotations

from torch import nn


def upsampling_width(in_channels: int) -> int:
    """Channels of the layers: 256 as in [1], and 64 for backbones of less than 512 channels."""
    return 256 if in_channels >= 512 else 64


def upsampled_channels(in_channels: int, doublings: int, width: int | None = None) -> int:
    """Channels that :func:`upsampling` gives with the same arguments."""
    return (width or upsampling_width(in_channels)) if doublings else in_channels


def upsampling(in_channels: int, doublings: int, width: int | None = None) -> nn.Sequential:
    """(B, in_channels, h, w) -> (B, width, h * 2**doublings, w * 2**doublings); the identity without doublings.

    Args:
        in_channels: channels of the feature map.
        doublings: how many layers.
        width: their channels; None for :func:`upsampling_width`.
    """
    width = width or upsampling_width(in_channels)
    layers: list[nn.Module] = []
    for channels in [in_channels, *[width] * doublings][:doublings]:
        layers += [
            nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
