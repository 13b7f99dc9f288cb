"""What every floor of the house agrees on: the batch, the prediction, and their frames.

Conventions, fixed once:

* Metres; camera frame x right, y down, z forward.
* Rotations are 3x3 matrices inside the graph (column vectors: ``v' = R @ v``); axis-angle only in files.
* Image coordinates are used as the files have them. A crop maps the box edges ``[x, x + w]`` to ``[0, W]``.
* Below, a body has J body joints, the superset of every joint definition that a data set uses, R rotations besides the
  root's, S numbers of shape and V vertices (:class:`body_models.spec.BodySpec`). A source fills the joints it has; the
  confidences mask the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor

GENDERS = ("neutral", "male", "female")
"""``Batch["gender"]`` is an index into this tuple."""


class Batch(TypedDict):
    """One batch of people. Every key is always there; ``has_*`` and ``*_conf`` say what is known.

    Keys, shapes, types, units and frames are those of the batch in :mod:`body_models.rows`, with B people before each;
    docs/rows.md lists them. Texts are lists of str, all else is a tensor.
    """

    id: list[str]
    source: list[str]
    image: Tensor
    box: Tensor
    image_size: Tensor
    affine: Tensor
    joints_2d: Tensor
    joints_2d_conf: Tensor
    joints_3d: Tensor
    joints_3d_conf: Tensor
    root_index: Tensor
    global_orient: Tensor
    body_pose: Tensor
    betas: Tensor
    transl: Tensor
    has_pose: Tensor
    has_betas: Tensor
    gender: Tensor
    focal: Tensor
    princpt: Tensor
    has_camera: Tensor


@dataclass
class Prediction:
    """What every mesh network returns for a batch of B people.

    Attributes:
        global_orient: (B, 3, 3) root rotation, camera axes of the crop; None for a mesh without parameters, like the
            next two.
        body_pose: (B, R, 3, 3) joint rotations, or None.
        betas: (B, S) shape of the neutral model, or None.
        transl: (B, 3) metres, in the crop camera's frame.
        focal: (B, 2) pixels, crop camera.
        princpt: (B, 2) pixels, crop camera.
        joints_3d: (B, J, 3) metres, crop camera's frame (``transl`` included).
        joints_2d: (B, J, 2) crop pixels.
        latent: (B, L) code of the pose prior, or None where the rotations are regressed directly.
        extra: outputs by name that only the network's own loss terms know, (B, ...) each, or None.
        vertices: (B, V, 3) metres, crop camera's frame (``transl`` included), of a network that predicts them
            directly; None where they follow from the parameters.
    """

    global_orient: Tensor | None
    body_pose: Tensor | None
    betas: Tensor | None
    transl: Tensor
    focal: Tensor
    princpt: Tensor
    joints_3d: Tensor
    joints_2d: Tensor
    latent: Tensor | None = None
    extra: dict[str, Tensor] | None = None
    vertices: Tensor | None = None

    def parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        """``global_orient``, ``body_pose`` and ``betas``, for whoever cannot do without.

        Raises:
            ValueError: the mesh was predicted without parameters.
        """
        if self.global_orient is None or self.body_pose is None or self.betas is None:
            msg = "this network predicts vertices without pose and shape: choose a family that predicts parameters"
            raise ValueError(msg)
        return self.global_orient, self.body_pose, self.betas
