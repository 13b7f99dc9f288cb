"""The families of downstream regressors: a row each, of parts that exist.

All read the same Batch, return the same Prediction and are trained by the same module, so that a comparison of labels
can be repeated on another network by changing one word.

To add one: a row in :data:`FAMILIES`; a head of its own is a file in :mod:`lightning_modules.heads`, targets of its own
a function like those of :mod:`lightning_modules.targets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from body_models.names import unknown
from lightning_modules.cameras import CROP_ALONE
from lightning_modules.heads import find_head
from lightning_modules.targets import TargetMaker, label_bodies, label_meshes

REGRESSOR_LOSSES = {
    "joints_2d": 10.0,
    "joints_3d": 10.0,
    "smpl_pose": 1.0,
    "smpl_betas": 0.1,
    "betas_l2": 0.01,
}
"""Weights of the terms that all networks with parameters have."""


@dataclass(frozen=True)
class Family:
    """What makes a regressor the one that it is named after.

    Attributes:
        head: name in :data:`lightning_modules.heads.HEADS`, which also says what it encodes and which decoder reads it.
        source: where it was published.
        camera: name in :data:`lightning_modules.cameras.CAMERAS`.
        losses: weights by name, beside those of the head's own terms.
        targets: what the losses compare with, from a batch and what the network said of it.
    """

    head: str
    source: str
    camera: str = CROP_ALONE
    losses: Mapping[str, float] = field(default_factory=lambda: REGRESSOR_LOSSES)
    targets: TargetMaker = label_bodies

    def default_losses(self) -> dict[str, float]:
        """All weights by name."""
        return {**self.losses, **find_head(self.head).losses}


FAMILIES: dict[str, Family] = {
    "hmr": Family("iterative", "Kanazawa et al., End-to-end Recovery of Human Shape and Pose, CVPR 2018; no critic"),
    "pare": Family("pare", "Kocabas et al., PARE: Part Attention Regressor for 3D Human Body Estimation, ICCV 2021"),
    # The body's rotation is relative to the full image's camera, which a crop alone does not show: the same crop at
    # the edge of the image means a person who is turned further. So the head reads the box information. The published
    # loss, 2D distances on the full image over the size of the box, is joints_2d as it is: that camera is expressed on
    # the crop, and crop pixels over the crop's side are image pixels over the box's side.
    "cliff": Family(
        "iterative",
        "Li et al., CLIFF: Carrying Location Information in Full Frames into Human Pose and Shape Estimation, "
        "ECCV 2022",
        camera="full_image",
    ),
    "pose2pose": Family(
        "pose2pose",
        "Moon et al., Accurate 3D Hand Pose Estimation for Whole-Body 3D Human Mesh Estimation, CVPRW 2022",
    ),
    "i2l": Family(
        "i2l",
        "Moon and Lee, I2L-MeshNet: Image-to-Lixel Prediction Network for Accurate 3D Human Pose and Mesh Estimation "
        "from a Single RGB Image, ECCV 2020",
        losses={"joints_2d": 10.0, "joints_3d": 10.0},
        targets=label_meshes,
    ),
    "hmr2": Family(
        "hmr2",
        "Goel et al., Humans in 4D: Reconstructing and Tracking Humans with Transformers, ICCV 2023",
    ),
}


def find_family(name: str) -> Family:
    """The family of that name.

    Raises:
        ValueError: no such family; names the nearest one.
    """
    if name not in FAMILIES:
        raise ValueError(unknown("family", name, FAMILIES))
    return FAMILIES[name]
