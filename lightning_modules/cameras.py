"""The cameras that a mesh network may look through, by name.

Each is a pinhole given on the crop, so that projected joints are crop pixels and losses, labels and metrics need not
know which one it is; :func:`body_models.camera.crop_camera_to_image` leads back to the full image.

=========== ==========================================================================================================
virtual     focal length 5000 px for a 256 px crop, principal point at the crop's centre; needs the crop alone
full_image  the full image's: focal length its diagonal, principal point its centre, as in CLIFF [1]
known       the data set's own where a person has one, else the full image's
=========== ==========================================================================================================

All but the first depend on where in the image a crop was taken, which the crop alone does not show: networks that look
through them read it as :attr:`CropCamera.box_info`.

To add one: a function (batch, input_size) -> :class:`CropCamera`, and a line in :data:`CAMERAS`.

[1] Li et al., CLIFF: Carrying Location Information in Full Frames into Human Pose and Shape Estimation, ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from body_models.camera import crop_focal, depth_scale
from body_models.contracts import Batch
from body_models.names import unknown

BOX_INFO = 3
"""Numbers of :attr:`CropCamera.box_info`."""
# CLIFF's: shares of the focal length, brought to about [-1, 1].
_OFFSET_GAIN, _SIZE_MEAN, _SIZE_DEVIATION = 2.8, 0.24, 0.06


@dataclass(frozen=True)
class CropCamera:
    """A pinhole camera on the crop; what a head is told about it beside the features.

    Attributes:
        focal: (B, 2) crop pixels.
        princpt: (B, 2) crop pixels; may lie far outside the crop.
        input_size: side of the square crop in pixels.
    """

    focal: Tensor
    princpt: Tensor
    input_size: int

    @property
    def box_info(self) -> Tensor:
        """(B, 3) CLIFF's box information: offset (x, y) of the box from the principal point, and its side.

        Both relative to the focal length, shifted and scaled as CLIFF does, so that its published weights fit.
        """
        offset = (self.input_size / 2 - self.princpt) / self.focal * _OFFSET_GAIN
        side = (self.input_size / self.focal.mean(dim=1, keepdim=True) - _SIZE_MEAN) / _SIZE_DEVIATION
        return torch.cat((offset, side), dim=1)

    def translation(self, camera: Tensor) -> Tensor:
        """(B, 3) metres, frame of this camera, of the three numbers (B, 3) that a head says.

        The first two are metres from the crop's centre. The third, through a sigmoid, is the share of the depth at
        which a body of 2.5 m would fill the crop, so it means the same for every camera; in weak perspective it is
        the inverse of CLIFF's scale, up to a constant.
        """
        depth = torch.sigmoid(camera[:, 2:]) * depth_scale(self.focal.mean(dim=1, keepdim=True), self.input_size)
        centre = (self.input_size / 2 - self.princpt) / self.focal * depth
        return torch.cat((camera[:, :2] + centre, depth), dim=1)


def virtual(batch: Batch, input_size: int) -> CropCamera:
    """The same camera for every crop."""
    image = batch["image"]
    focal = torch.full((len(image), 2), crop_focal(input_size), device=image.device)
    return CropCamera(focal, torch.full_like(focal, input_size / 2), input_size)


def full_image(batch: Batch, input_size: int) -> CropCamera:
    """The full image's camera, guessed from its size: a field of view of 53 degrees from corner to corner."""
    return on_crop(*image_camera(batch["image_size"]), batch["affine"], input_size)


def known(batch: Batch, input_size: int) -> CropCamera:
    """The data set's intrinsics, and the guess of :func:`full_image` for people without."""
    focal, princpt = image_camera(batch["image_size"])
    given = batch["has_camera"].unsqueeze(1) > 0
    return on_crop(
        batch["focal"].where(given, focal), batch["princpt"].where(given, princpt), batch["affine"], input_size
    )


CROP_ALONE = "virtual"
"""The camera that is the same for every crop, so that a head need not be told about it."""
CAMERAS: dict[str, Callable[[Batch, int], CropCamera]] = {
    CROP_ALONE: virtual,
    "full_image": full_image,
    "known": known,
}


def find_camera(name: str) -> Callable[[Batch, int], CropCamera]:
    """The camera of that name.

    Raises:
        ValueError: no such camera; names the nearest one.
    """
    if name not in CAMERAS:
        raise ValueError(unknown("camera", name, CAMERAS))
    return CAMERAS[name]


def image_camera(image_size: Tensor) -> tuple[Tensor, Tensor]:
    """Focal (B, 2) and princpt (B, 2) in image pixels, guessed from width, height (B, 2)."""
    return image_size.norm(dim=1, keepdim=True).expand(-1, 2), image_size / 2


def on_crop(focal: Tensor, princpt: Tensor, affine: Tensor, input_size: int) -> CropCamera:
    """A camera of the full image, given on its (augmented) crop.

    A crop that is turned or mirrored shows a body that is turned about the optical axis or mirrored, which is the frame
    that a batch gives 3D labels in. Exact for a crop that is not turned, and for one focal length in x and y; a turned
    crop of a camera with two would need a skew, for which their mean, weighted by the turn, is taken.

    Args:
        focal: (B, 2) image pixels.
        princpt: (B, 2) image pixels.
        affine: (B, 2, 3) image to crop pixels.
        input_size: side of the square crop in pixels.
    """
    linear = affine[:, :, :2]
    stretched = torch.einsum("bij,bj->bi", linear.square(), focal) / linear.norm(dim=2)
    return CropCamera(stretched, torch.einsum("bij,bj->bi", linear, princpt) + affine[:, :, 2], input_size)
