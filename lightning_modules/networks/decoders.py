"""Decoders: from a head's named numbers to a body in front of the crop's camera, in fp32.

=============== ================================================= =====================================
decoder         reads                                             the head's "body" is
=============== ================================================= =====================================
RotationDecoder global_orient, body, betas, camera                a 6D rotation a joint
CodeDecoder     the same                                          the code of a pose prior
MeshDecoder     depth, lixel_vertices, lixel_joints               (there is none: places of vertices)
=============== ================================================= =====================================
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from body_models.camera import project
from body_models.contracts import LATENT_SIZE, NUM_BETAS, NUM_BODY_ROTATIONS, Prediction
from body_models.joint_sets import BODY_JOINT_INDEX
from body_models.rotations import matrix_to_sixd, sixd_to_matrix
from body_models.smpl import BodyModel
from lightning_modules.cameras import CropCamera
from lightning_modules.heads.lixel import DEPTH, LIXEL_JOINT_PLACES, LIXEL_VERTICES
from lightning_modules.priors.pose_prior import PoseCoder

PARAMETERS = ("global_orient", "body", "betas", "camera")
"""What heads say that predict parameters; whatever else they say goes to :attr:`Prediction.extra`."""
_DEPTH_RANGE = 2.0
"""Metres about the pelvis that the heatmaps of depth span."""
_PELVIS = BODY_JOINT_INDEX["pelvis"]


def rest_sixd() -> Tensor:
    """(23 * 6,) 6D rotations of the rest pose."""
    return matrix_to_sixd(torch.eye(3)).repeat(NUM_BODY_ROTATIONS)


class RotationDecoder(nn.Module):
    """The body's rotations as they are.

    Attributes:
        says: "parameters" or "vertices": what its predictions hold.
    """

    says: ClassVar[str] = "parameters"

    @staticmethod
    def start() -> Tensor:
        """What a head's "body" begins with: that of the rest pose, flat."""
        return rest_sixd()

    def pose(self, body: Tensor) -> tuple[Tensor, Tensor | None]:
        """``body_pose`` (B, 23, 3, 3) of the head's "body" (B, n), and the latent code if that is one."""
        return sixd_to_matrix(body.unflatten(1, (NUM_BODY_ROTATIONS, 6))), None

    def forward(self, out: dict[str, Tensor], camera: CropCamera, body: BodyModel) -> Prediction:
        global_orient = sixd_to_matrix(out["global_orient"])
        body_pose, latent = self.pose(out["body"])
        transl = camera.translation(out["camera"])
        joints = body.joints(global_orient, body_pose, out["betas"], transl)
        return Prediction(
            global_orient=global_orient,
            body_pose=body_pose,
            betas=out["betas"],
            transl=transl,
            focal=camera.focal,
            princpt=camera.princpt,
            joints_3d=joints,
            joints_2d=project(joints, camera.focal, camera.princpt),
            latent=latent,
            extra={name: value for name, value in out.items() if name not in PARAMETERS} or None,
        )


class CodeDecoder(RotationDecoder):
    """The body's rotations by a pose prior's decoder, which is frozen.

    Args:
        prior: any pose prior with a code.
    """

    def __init__(self, prior: PoseCoder) -> None:
        super().__init__()
        self.prior = prior

    @staticmethod
    def start() -> Tensor:
        """The mean code."""
        return torch.zeros(LATENT_SIZE)

    def pose(self, body: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.prior.decode_body_pose(body), body

    def train(self, mode: bool = True) -> CodeDecoder:
        super().train(mode)
        # Frozen includes its dropout: the same code must always mean the same pose.
        self.prior.eval()
        return self


class MeshDecoder(nn.Module):
    """Vertices from their places on the crop and their depths about the pelvis; there are no parameters."""

    says: ClassVar[str] = "vertices"

    def forward(self, out: dict[str, Tensor], camera: CropCamera, body: BodyModel) -> Prediction:
        depth = camera.translation(F.pad(out[DEPTH], (2, 0)))[:, 2:]
        vertices, joints = (_in_metres(out[name], depth, camera) for name in (LIXEL_VERTICES, LIXEL_JOINT_PLACES))
        body_joints = body.joints_from_vertices(vertices)
        rest = body.rest_pelvis(depth.new_zeros(1, NUM_BETAS))
        return Prediction(
            global_orient=None,
            body_pose=None,
            betas=None,
            transl=body_joints[:, _PELVIS] - rest,
            focal=camera.focal,
            princpt=camera.princpt,
            joints_3d=body_joints,
            joints_2d=project(body_joints, camera.focal, camera.princpt),
            extra={LIXEL_JOINT_PLACES: joints},
            vertices=vertices,
        )


def _in_metres(places: Tensor, depth: Tensor, camera: CropCamera) -> Tensor:
    """(B, N, 3) metres in the camera's frame of places in [0, 1) of crop and range, about a depth (B, 1)."""
    z = depth + (places[..., 2] - 0.5) * _DEPTH_RANGE
    ray = (places[..., :2] * camera.input_size - camera.princpt.unsqueeze(1)) / camera.focal.unsqueeze(1)
    return torch.cat((ray * z.unsqueeze(-1), z.unsqueeze(-1)), dim=-1)
