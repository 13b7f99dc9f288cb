"""The backbones by name, and the normalisation of their input.

To add one: a function that returns a module with ``out_channels`` and ``stride`` which maps (B, 3, H, W) to a feature
map (B, out_channels, H / stride, W / stride), and a line in :data:`BACKBONES`. ``timm:<name>`` is a network of timm.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from body_models.names import unknown
from lightning_modules.backbones.resnet import BasicBlock, Bottleneck, ResNet
from lightning_modules.backbones.timm_backbone import PREFIX, BackboneError, TimmBackbone
from lightning_modules.backbones.vit import VisionTransformer
from lightning_modules.weights.checkpoints import Coverage
from lightning_modules.weights.initial_weights import load_initial_weights

BACKBONES: dict[str, Callable[[], ResNet | VisionTransformer]] = {
    "resnet18": lambda: ResNet(BasicBlock, (2, 2, 2, 2)),
    "resnet34": lambda: ResNet(BasicBlock, (3, 4, 6, 3)),
    "resnet50": lambda: ResNet(Bottleneck, (3, 4, 6, 3)),
    "resnet101": lambda: ResNet(Bottleneck, (3, 4, 23, 3)),
    "resnet152": lambda: ResNet(Bottleneck, (3, 8, 36, 3)),
    # For 48 to 64 px crops on a CPU: what the default run and the tests train.
    "slim": lambda: ResNet(BasicBlock, (1, 1, 1, 1), (24, 48, 96, 192), small_input=True),
    "vit_small": lambda: VisionTransformer(384, 12, 6),
    # ViTPose's and MoCo v3's small network: the same weights' shapes, other attention.
    "vit_small_heads12": lambda: VisionTransformer(384, 12, 12),
    "vit_base": lambda: VisionTransformer(768, 12, 12),
    "vit_large": lambda: VisionTransformer(1024, 24, 16),
    "vit_huge": lambda: VisionTransformer(1280, 32, 16),
    "vit_slim": lambda: VisionTransformer(128, 4, 4, patch=8, grid=6),
}


def make_backbone(name: str) -> ResNet | VisionTransformer | TimmBackbone:
    """The backbone of that name, with random weights.

    Raises:
        BackboneError: no such backbone, in which case the nearest one is named; or timm does not import.
    """
    if name.startswith(PREFIX):
        return TimmBackbone(name.removeprefix(PREFIX))
    if name not in BACKBONES:
        raise BackboneError(unknown("backbone", name, BACKBONES))
    # Channels last trains a third faster on CPUs, and suits bf16 on GPUs; the weights' values and names stay the same.
    backbone = BACKBONES[name]()
    return backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def load_backbone(backbone: nn.Module, path: str | Path, min_coverage: float) -> Coverage:
    """Fill a backbone from its own checkpoint, from that of a network which contains one, or from a published file.

    Raises:
        CheckpointError: see :func:`lightning_modules.weights.initial_weights.load_initial_weights`.
    """
    return load_initial_weights(backbone, path, min_coverage=min_coverage).coverage


class ImageNormalization(nn.Module):
    """uint8 RGB (B, 3, H, W) -> float, with ImageNet's mean and deviation, which published weights were trained with.

    It runs on the device: the workers send a quarter of the bytes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", std.view(3, 1, 1) * 255, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image.float() - self.mean) / self.std
