"""Encoders: from crops (and other evidence) to features.

An encoder is a module with ``out_channels`` and ``map_size`` that maps normalised or raw crops and
:class:`~lightning_modules.evidence.Evidence` to a feature map (B, out_channels, map_size, map_size). A head
that needs more than the last map names the encoder that says more.

To add one: a module like these, and a line in :data:`ENCODERS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_modules.backbones import ImageNormalization, make_backbone
from lightning_modules.backbones.resnet import ResNet
from lightning_modules.cameras import BOX_INFO
from lightning_modules.evidence import Evidence

Features = Tensor | tuple[Tensor, Tensor]
"""A feature map (B, C, h, w); of "early_image" the early map and the last one."""


class ImageEncoder(nn.Module):
    """A backbone's feature map.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        input_size: side of the square crops in pixels.
        box_channels: whether the box information (:attr:`lightning_modules.cameras.CropCamera.box_info`) is laid beside
            the features as constant channels, for heads that do not read it themselves.

    Raises:
        BackboneError: no such backbone.
    """

    def __init__(self, backbone: str, input_size: int, box_channels: bool = False) -> None:
        super().__init__()
        self.normalize = ImageNormalization()
        self.backbone = make_backbone(backbone)
        self.input_size, self.box_channels = input_size, box_channels
        self.map_size = math.ceil(input_size / self.backbone.stride)
        self.out_channels: int = self.backbone.out_channels + (BOX_INFO if box_channels else 0)

    def forward(self, image: Tensor, evidence: Evidence) -> Features:
        """uint8 crops (B, 3, H, W) -> (B, out_channels, map_size, map_size).

        Raises:
            ValueError: the crops are not of ``input_size``.
        """
        return self._beside(self.backbone(self.normalized(image)), evidence)

    def normalized(self, image: Tensor) -> Tensor:
        """The crops as the backbone reads them, after a look at their size."""
        if image.shape[-2:] != (self.input_size, self.input_size):
            height, width = image.shape[-2:]
            msg = f"crops are {width}x{height} px but the network was built for input_size={self.input_size}"
            raise ValueError(msg)
        normalized: Tensor = self.normalize(image)
        return normalized

    def _beside(self, features: Tensor, evidence: Evidence) -> Tensor:
        if not self.box_channels:
            return features
        box = evidence.camera.box_info[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return torch.cat((features, box.to(features)), dim=1)


class EarlyImageEncoder(ImageEncoder):
    """A ResNet's early feature map beside its last one.

    Arguments as :class:`ImageEncoder`.

    Raises:
        ValueError: the backbone is no ResNet.
    """

    backbone: ResNet

    def __init__(self, backbone: str, input_size: int, box_channels: bool = False) -> None:
        super().__init__(backbone, input_size, box_channels)
        if not isinstance(self.backbone, ResNet):
            msg = f"i2l needs a ResNet, whose early features it uses twice, not {backbone!r}"
            raise ValueError(msg)

    def forward(self, image: Tensor, evidence: Evidence) -> Features:
        """uint8 crops (B, 3, H, W) -> the map behind the stem, and (B, out_channels, map_size, map_size)."""
        early = self.backbone.stem(self.normalized(image))
        return early, self._beside(self.backbone.stages(early), evidence)


ENCODERS: dict[str, Callable[[str, int, bool], ImageEncoder]] = {
    "image": ImageEncoder,
    "early_image": EarlyImageEncoder,
}
"""By name: (backbone, input_size, box_channels) -> encoder."""
