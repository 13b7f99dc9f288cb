"""Initial weights of backbones from published files: where they lie in them, and under which names.

A file is recognised by what fills most of the backbone, and the user's word for it (``recipe.init``) is held against
that: a run said to start from MoCo does not start from a pose network by mistake.

[1] He et al., Momentum Contrast, CVPR 2020; Chen et al., MoCo v3, ICCV 2021.
[2] Caron et al., Emerging Properties in Self-Supervised Vision Transformers (DINO), ICCV 2021.
[3] Grill et al., Bootstrap Your Own Latent, NeurIPS 2020; Henaff et al., DetCon, ICCV 2021. Both are published for JAX;
    the names are those of the conversions to PyTorch in use, and of re-implementations.
[4] Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018.
[5] Xu et al., ViTPose, NeurIPS 2022.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.weights.checkpoints import (
    MIN_COVERAGE,
    CheckpointError,
    Coverage,
    Match,
    fill,
    match,
    read_state_dict,
)

Renames = Sequence[tuple[str, str]]

NUMBERED: Renames = (
    (r"^0\.", "conv1."),
    (r"^1\.", "bn1."),
    (r"^4\.", "layer1."),
    (r"^5\.", "layer2."),
    (r"^6\.", "layer3."),
    (r"^7\.", "layer4."),
)
"""``nn.Sequential(*resnet.children())``: modules by number; 2 and 3 are the activation and the pooling.

Names that do not begin with a number stay, so rows with these renames read torchvision's names as well.
"""
VITPOSE: Renames = ((r"^last_norm\.", "norm."),)
MMPRETRAIN_VIT: Renames = (
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^layers\.(\d+)\.ln([12])\.", r"blocks.\1.norm\2."),
    (r"^layers\.(\d+)\.ffn\.layers\.0\.0\.", r"blocks.\1.mlp.fc1."),
    (r"^layers\.(\d+)\.ffn\.layers\.1\.", r"blocks.\1.mlp.fc2."),
    (r"^layers\.", "blocks."),
    (r"^ln1\.", "norm."),
)

FLATTENED: Renames = ((r"^(stem|stages|layers)\.(\d+)\.", r"\1_\2."),)
"""timm's feature extractors with flattened stages (ConvNeXt, Swin)."""

OWN_NAMES: tuple[tuple[str, Renames], ...] = (
    ("", ()),
    # backbones/timm_backbone.py: timm's network behind "net", or its feature extractor's "model" in there.
    ("net.", ()),
    ("net.", FLATTENED),
    ("net.model.", ()),
)
"""What stands before the published names in this project's backbones, and how the rest is changed."""


class Layout(NamedTuple):
    """How a kind of file names the tensors of its backbone.

    Attributes:
        origin: what it is called, in messages and in :data:`ORIGINS`.
        prefix: what stands before the backbone's own names.
        sign: part of a name without which a file is not of this kind.
        renames: patterns to be exchanged in what follows the prefix; the first that is found.
    """

    origin: str
    prefix: str
    sign: str = ""
    renames: Renames = ()


LAYOUTS = (
    # Where two rows fill as much, the first counts: online networks before their averages, signs before none.
    Layout("MoCo v1, v2", "module.encoder_q."),
    Layout("MoCo v1, v2", "encoder_q."),
    Layout("MoCo v3", "module.base_encoder."),
    Layout("MoCo v3", "base_encoder."),
    Layout("DINO", "teacher.module.backbone."),
    Layout("DINO", "teacher.backbone."),
    Layout("DINO", "student.module.backbone."),
    Layout("DINO", "student.backbone."),
    # resnet50_byol_imagenet2012.pth.tar of github.com/yaox12/BYOL-PyTorch (readme.md; target_backbone is the average).
    # Code bases that read it take "module." off and find torchvision's names there, without the classifier.
    Layout("BYOL", "online_backbone.module.", renames=NUMBERED),
    # What that code writes in training (trainer/byol_trainer.py, model/basic_modules.py), on several GPUs and on one.
    # github.com/KKallidromitis/detcon-pytorch is made from it, with the same names (utils/convert_fcn.py).
    Layout("BYOL, DetCon", "module.online_network.encoder.", renames=NUMBERED),
    Layout("BYOL, DetCon", "online_network.encoder.", renames=NUMBERED),
    Layout("BYOL", "online_encoder.net.", renames=NUMBERED),
    Layout("BYOL", "learner.online_encoder.net.", renames=NUMBERED),
    Layout("BYOL", "online_encoder.encoder.", renames=NUMBERED),
    Layout("BYOL", "online_net.0.", renames=NUMBERED),
    Layout("DetCon", "network.encoder.", renames=NUMBERED),
    Layout("DetCon", "online_network.backbone.", renames=NUMBERED),
    Layout("Simple Baselines, HRNet", "", "final_layer."),
    Layout("Simple Baselines, HRNet", "module.", "final_layer."),
    Layout("SPIN", "", "decpose."),
    Layout("PARE", "model.backbone."),
    Layout("CLIFF", "module.encoder.", "decpose."),
    Layout("CLIFF", "encoder.", "decpose."),
    Layout("HMR2", "backbone.", "smpl_head.", VITPOSE),
    Layout("ViTPose", "backbone.", "last_norm.", VITPOSE),
    Layout("ViTPose", "backbone.", "patch_embed.projection.", MMPRETRAIN_VIT),
    Layout("mmpose", "backbone.", "head.final_layer."),
    Layout("a larger network", "backbone.", renames=NUMBERED),
    Layout("a larger network", "module.backbone."),
    Layout("a larger network", "network.encoder.backbone.", renames=NUMBERED),
    Layout("torchvision, timm", ""),
    Layout("torchvision, timm", "module."),
)  # fmt: skip
"""Every known layout; to add one, add a row."""

_CONVERTED = ("a larger network", "torchvision, timm")
_POSE = ("Simple Baselines, HRNet", "ViTPose", "mmpose", "a larger network")
ORIGINS: dict[str, tuple[str, ...]] = {
    "imagenet": ("torchvision, timm",),
    "moco": ("MoCo v1, v2", "MoCo v3", *_CONVERTED),
    "byol": ("BYOL", "BYOL, DetCon", *_CONVERTED),
    "detcon": ("DetCon", "BYOL, DetCon", *_CONVERTED),
    "dino": ("DINO", *_CONVERTED),
    "pose2d_coco": _POSE,
    "pose2d_mpii": _POSE,
    "file": tuple(dict.fromkeys(layout.origin for layout in LAYOUTS)),
}
"""``recipe.init`` -> the kinds of files that it may be read from; ``file``: any."""


class Start(NamedTuple):
    """What a backbone started from.

    Attributes:
        origin: kind of the file.
        coverage: how much of the backbone it filled.
    """

    origin: str
    coverage: Coverage

    def text(self, path: str | Path) -> str:
        """One line for the user."""
        missing = f"; not in the file: {_some(self.coverage.missing)}" if self.coverage.missing else ""
        return f"{self.coverage.share:.1%} of the backbone's elements from {path} ({self.origin}){missing}"


def load_initial_weights(
    backbone: nn.Module, path: str | Path, init: str = "file", min_coverage: float = MIN_COVERAGE
) -> Start:
    """Fill a backbone from a published file.

    Args:
        backbone: changed in place.
        path: the file, as downloaded.
        init: what the user says it is: a key of :data:`ORIGINS`.
        min_coverage: least share of the backbone's elements that it must fill.

    Raises:
        CheckpointError: unreadable, fills too little, or is of another kind than ``init`` says.
    """
    tensors = read_state_dict(path)
    attempts = [
        (layout, _match(backbone, tensors, layout, *own))
        for layout in LAYOUTS
        if _has_sign(tensors, layout)
        for own in OWN_NAMES
    ]
    layout, found = max(attempts, key=lambda attempt: attempt[1].coverage.share)
    if found.coverage.share >= min_coverage and layout.origin not in ORIGINS[init]:
        fits = next((name for name, origins in ORIGINS.items() if layout.origin in origins), "file")
        msg = (
            f"weight file {path} is not of the kind that recipe.init={init} says: its names are those of "
            f"{layout.origin}. For it take recipe.init={fits}, or recipe.init=file for any"
        )
        raise CheckpointError(msg)
    return Start(layout.origin, fill(backbone, path, found, min_coverage))


def resize_positions(positions: Tensor, tokens: int, add_extra: bool) -> Tensor:
    """Position embeddings of a ViT for another number of patches, by bicubic interpolation of their grid.

    Args:
        positions: (1, S, C), of a square or a 4:3 (256x192) grid, row by row, behind a class token's or not.
        tokens: length that is wanted, alike.
        add_extra: the first position is not a class token's but belongs to every patch (ViTPose).

    Returns:
        (1, tokens, C). A class token keeps its position; one that has none gets zeros.

    Raises:
        CheckpointError: a length that is no such grid.
    """
    (had_extra, old), (has_extra, new) = _grid(positions.shape[1]), _grid(tokens)
    extra, patches = positions[:, :had_extra], positions[:, had_extra:]
    if had_extra and not has_extra and add_extra:
        patches = patches + extra
    if old != new:
        maps = patches.unflatten(1, old).permute(0, 3, 1, 2)
        maps = F.interpolate(maps.float(), new, mode="bicubic", align_corners=False)
        patches = maps.flatten(2).transpose(1, 2).to(positions.dtype)
    resized = positions.new_zeros(1, tokens, positions.shape[2])
    resized[:, has_extra:] = patches
    if had_extra and has_extra:
        resized[:, :1] = extra
    return resized


def _grid(tokens: int) -> tuple[int, tuple[int, int]]:
    """Class tokens (0 or 1) and (rows, columns) of patches."""
    for extra in (0, 1):
        patches = tokens - extra
        side, part = math.isqrt(patches), math.isqrt(patches // 12)
        if side * side == patches:
            return extra, (side, side)
        if 12 * part * part == patches:
            return extra, (4 * part, 3 * part)
    msg = f"a position embedding of {tokens} tokens is neither a square nor a 4:3 grid, with or without a class token"
    raise CheckpointError(msg)


def _has_sign(tensors: Mapping[str, Tensor], layout: Layout) -> bool:
    return not layout.sign or any(layout.sign in name for name in tensors)


def _match(
    backbone: nn.Module, tensors: Mapping[str, Tensor], layout: Layout, own_prefix: str, own_renames: Renames
) -> Match:
    own = backbone.state_dict()
    renamed = {
        own_prefix + _rename(_rename(name.removeprefix(layout.prefix), layout.renames), own_renames): value
        for name, value in tensors.items()
        if name.startswith(layout.prefix)
    }
    for name, value in renamed.items():
        if name.endswith("pos_embed") and name in own and value.shape != own[name].shape:
            wanted = own[name].shape
            if value.ndim == len(wanted) == 3 and value.shape[2] == wanted[2]:
                renamed[name] = resize_positions(value, wanted[1], add_extra=layout.origin in ("ViTPose", "HMR2"))
    return match(backbone, renamed)


def _rename(name: str, renames: Renames) -> str:
    for pattern, replacement in renames:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
