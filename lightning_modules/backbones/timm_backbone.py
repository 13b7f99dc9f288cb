"""Any backbone of timm, as ``timm:<name>``; an optional extra, imported when it is asked for.

HRNet's coarsest map is taken as its stages give it. timm would send it through ``incre_modules``, a part of the
classification head that no pose network's checkpoint holds (MSRA, mmpose): they fill more than 90 % of the weights, and
yet every feature would have come from random layers.
"""

from __future__ import annotations

import types
from typing import Any

from torch import Tensor, nn

from body_models.names import guess

PREFIX = "timm:"


class BackboneError(ValueError):
    """There is no such network, or timm is not there, or does not import."""


class TimmBackbone(nn.Module):
    """The last feature map of a network of timm, with random weights; ``net`` has timm's names.

    Args:
        name: as ``timm.create_model`` takes it.

    Attributes:
        out_channels: channels of the feature map.
        stride: input pixels per cell of the feature map.

    Raises:
        BackboneError: timm does not import, or has no such network, in which case the nearest one is named.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        timm = _import_timm()
        if not timm.is_model(name):
            msg = f"timm has no network {name!r}{guess(name, timm.list_models())}"
            raise BackboneError(msg)
        # Transformers are made for one size of images, unless they are asked to resize their positions.
        fixed = bool(getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False))
        options: dict[str, Any] = {"dynamic_img_size": True} if fixed else {}
        is_hrnet = name.startswith("hrnet_")
        if is_hrnet:
            options["feature_location"] = ""  # instead of "incre"
        last = 4 if is_hrnet else -1  # timm's HRNet counts from the front in its older versions
        self.net = timm.create_model(name, pretrained=False, features_only=True, out_indices=(last,), **options)
        if is_hrnet:
            _end_at_coarsest(self.net)
        self.out_channels: int = self.net.feature_info.channels()[-1]
        self.stride: int = self.net.feature_info.reduction()[-1]

    def forward(self, image: Tensor) -> Tensor:
        """Feature map (B, out_channels, H / stride, W / stride) of normalised images (B, 3, H, W)."""
        features = self.net(image)[-1]
        # Swin and its kin give channels last.
        return features if features.shape[1] == self.out_channels else features.permute(0, 3, 1, 2)


def _end_at_coarsest(net: nn.Module) -> None:
    """Let HRNet's coarsest branch begin by itself: what the last fusion adds to it from the others is multiplied by 0.

    Pose networks end with the fusion into their finest branch and have none into the others. Weights that hold it
    (ImageNet's) replace the zeros, and training moves them. The fusions into the other branches lead nowhere: they are
    not trained, so that several processes do not wait for their gradients.
    """
    *others, coarsest = net.stage4[-1].fuse_layers  # type: ignore[index, union-attr]
    for fusion in others:
        fusion.requires_grad_(False)
    for path in coarsest:
        norms = [module for module in path.modules() if isinstance(module, nn.BatchNorm2d)]
        if norms:  # the branch's own path has none
            nn.init.zeros_(norms[-1].weight)


def _import_timm() -> types.ModuleType:
    try:
        import timm
    except ImportError as error:
        msg = f"backbones {PREFIX}<name> need timm ({error}): pip install 'three-recipes[timm]'"
        raise BackboneError(msg) from error
    except RuntimeError as error:
        msg = (
            f"timm is installed, but torchvision, which it needs, does not fit this torch ({error}): install a "
            "torchvision made for it (a CPU build of torch needs a CPU build of torchvision), or take vit_small, "
            "vit_base, vit_large or vit_huge, which need neither"
        )
        raise BackboneError(msg) from error
    return timm
