"""CLIFF [1]: HMR's iterative regression that is told where in the image its crop was taken.

The body's rotation is relative to the full image's camera, which a crop alone does not show: the same crop at the edge
of the image means a person who is turned further. So the head reads the box information (offset from the image's
centre and size, relative to the focal length) beside the features, and the body is projected by the full image's
camera. The published loss, 2D distances on the full image over the size of the box, is the term ``joints_2d`` as it is:
that camera is expressed on the crop, and crop pixels over the crop's side are image pixels over the box's side.

[1] Li et al., CLIFF: Carrying Location Information in Full Frames into Human Pose and Shape Estimation, ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from lightning_modules.heads.regression import IterativeHead
from lightning_modules.mesh_regressor import MeshRegressorModule


class BoxAwareHead(IterativeHead):
    """HMR's head (:class:`lightning_modules.heads.regression.IterativeHead`), with the box beside the features."""

    def __init__(self, in_channels: int, map_size: int, start: Mapping[str, Tensor]) -> None:
        super().__init__(in_channels, map_size, start, box_info=True)


class CLIFFModule(MeshRegressorModule):
    """Box-aware iterative regression through the full image's camera.

    Arguments and errors as :class:`lightning_modules.mesh_regressor.MeshRegressorModule`.
    """

    family: ClassVar[str] = "cliff"
    head_class: ClassVar[type[nn.Module]] = BoxAwareHead
    camera_name: ClassVar[str] = "full_image"
