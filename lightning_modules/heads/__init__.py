"""The heads by name.

To add one: a subclass of :class:`lightning_modules.heads.base.Head` in a file of its own, and a line in :data:`HEADS`.
It then annotates (where it says parameters), and serves a family of regressors by a line in
:data:`lightning_modules.families.FAMILIES`.
"""

from __future__ import annotations

from body_models.names import unknown
from lightning_modules.heads.base import Head
from lightning_modules.heads.joints import JointHead
from lightning_modules.heads.lixel import LixelHead
from lightning_modules.heads.part_attention import PartAttentionHead
from lightning_modules.heads.positional import PositionalHead
from lightning_modules.heads.regression import IterativeHead, RegressionHead
from lightning_modules.heads.transformer import DecoderHead

HEADS: dict[str, type[Head]] = {
    "regression": RegressionHead,
    "iterative": IterativeHead,
    "joints": JointHead,
    "pare": PartAttentionHead,
    "pose2pose": PositionalHead,
    "hmr2": DecoderHead,
    "i2l": LixelHead,
}
ANNOTATING = tuple(name for name, head in HEADS.items() if head.says == "parameters")
"""Heads that predict rotations or a code, which an annotator must."""


def find_head(name: str) -> type[Head]:
    """The head of that name.

    Raises:
        ValueError: no such head; names the nearest one.
    """
    if name not in HEADS:
        raise ValueError(unknown("head", name, HEADS))
    return HEADS[name]
