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


class _Block(nn.Module):
    """A perceptron beside a shortcut, behind a LayerNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.inner, self.outer = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        return values + self.outer(torch.relu(self.inner(self.norm(values))))


class JointEncoder(nn.Module):
    """2D joints as features: where each lies in the crop and how certain that is; missing ones are marked.

    Args:
        joints: J, body joints.
        box_info: whether the box information is read beside them.
        width: neurons of its layers.
        blocks: perceptrons of two layers each.
    """

    map_size = 1

    def __init__(self, joints: int, box_info: bool = False, width: int = 512, blocks: int = 3) -> None:
        super().__init__()
        self.box_info, self.out_channels = box_info, width
        self.inward = nn.Linear(3 * joints + (BOX_INFO if box_info else 0), width)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(blocks)))

    def forward(self, image: Tensor, evidence: Evidence) -> Tensor:
        """(B, width, 1, 1), in fp32; looks at no image."""
        with torch.autocast(device_type=evidence.joints_2d.device.type, enabled=False):
            known = (evidence.joints_2d_conf > 0).unsqueeze(-1)
            places = (2 * evidence.joints_2d / evidence.camera.input_size - 1).where(known, 0.0)
            # Crops are made about the joints: what lies far outside is a slip that should not blow up all else.
            seen = torch.cat((places.clamp(-3, 3), evidence.joints_2d_conf.clamp(0, 1).unsqueeze(-1)), dim=2).flatten(1)
            if self.box_info:
                seen = torch.cat((seen, evidence.camera.box_info), dim=1)
            features: Tensor = self.blocks(self.inward(seen))
            return features[:, :, None, None]


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


class BothEncoder(nn.Module):
    """A feature map with what was made of the joints beside it, as channels that are the same everywhere.

    Args:
        image: encoder of the crop, with one map.
        joints: number of features of the joints.
        width: channels that these become.
    """

    def __init__(self, image: ImageEncoder, joints: int, width: int = 64) -> None:
        super().__init__()
        self.image = image
        self.reduce = nn.Linear(joints, width)
        self.map_size, self.out_channels = image.map_size, image.out_channels + width

    @property
    def backbone(self) -> nn.Module:
        """What a start fills."""
        return self.image.backbone

    def forward(self, image: Tensor, evidence: Evidence, joints: Tensor) -> Tensor:
        """Crops, evidence and the features of the joints (B, N, 1, 1) -> (B, out_channels, map_size, map_size)."""
        features = self.image(image, evidence)
        assert isinstance(features, Tensor)  # of several maps only heads of vertices know
        beside = self.reduce(joints.flatten(1))[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return torch.cat((features, beside.to(features)), dim=1)


ENCODERS: dict[str, Callable[[str, int, bool], ImageEncoder]] = {
    "image": ImageEncoder,
    "early_image": EarlyImageEncoder,
}
"""By name: (backbone, input_size, box_channels) -> encoder."""
