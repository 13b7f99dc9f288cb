"""What is known of a person before anything is regressed: all that encoders and heads may look at beside features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from body_models.contracts import Batch
from lightning_modules.cameras import CropCamera


@dataclass(frozen=True)
class Evidence:
    """What is known of B people whose crops are ``camera.input_size`` pixels wide, with J body joints.

    Attributes:
        camera: of the crops.
        box: (B, 4) x, y, w, h of the crop in image pixels, before augmentation.
        image_size: (B, 2) width, height in pixels.
        joints_2d: (B, J, 2) crop pixels; 0 where unknown.
        joints_2d_conf: (B, J) confidence; 0 where unknown.
    """

    camera: CropCamera
    box: Tensor
    image_size: Tensor
    joints_2d: Tensor
    joints_2d_conf: Tensor

    @staticmethod
    def of(batch: Batch, camera: CropCamera) -> Evidence:
        """That of a batch; what stands in place of unknown joints is left out, NaN too."""
        confidence = batch["joints_2d_conf"].float()
        joints = batch["joints_2d"].float().where(confidence.unsqueeze(-1) > 0, 0.0)
        return Evidence(camera, batch["box"].float(), batch["image_size"].float(), joints, confidence)

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, a row a person: for ``torch.func``, which maps over tensors alone."""
        return {
            "focal": self.camera.focal,
            "princpt": self.camera.princpt,
            "box": self.box,
            "image_size": self.image_size,
            "joints_2d": self.joints_2d,
            "joints_2d_conf": self.joints_2d_conf,
        }

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], input_size: int) -> Evidence:
        """The inverse of :meth:`tensors`."""
        camera = CropCamera(tensors["focal"], tensors["princpt"], input_size)
        return Evidence(camera, **{name: value for name, value in tensors.items() if name not in ("focal", "princpt")})

    def of_one(self) -> Evidence:
        """Of tensors without their first dimension, as ``torch.func.vmap`` hands them over: with one person in it."""
        one = {name: value.unsqueeze(0) for name, value in self.tensors().items()}
        return Evidence.from_tensors(one, self.camera.input_size)


def center_evidence(input_size: int, people: int = 1, joints: int = 0, device: torch.device | None = None) -> Evidence:
    """Evidence of crops that are whole images, without joints: for counting operations, and for tests."""
    middle = torch.full((people, 2), input_size / 2, device=device)
    side = torch.full((people, 2), float(input_size), device=device)
    return Evidence(
        CropCamera(torch.full_like(middle, 5000.0), middle, input_size),
        torch.cat((torch.zeros_like(side), side), dim=1),
        side,
        torch.zeros(people, joints, 2, device=device),
        torch.zeros(people, joints, device=device),
    )
