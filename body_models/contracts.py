"""What every floor of the house agrees on: the batch, the prediction, and their shapes, units and frames.

Conventions, fixed once:

* Metres; camera frame x right, y down, z forward.
* Rotations are 3x3 matrices inside the graph (column vectors: ``v' = R @ v``); axis-angle only in files.
* Image coordinates are used as the files have them. A crop maps the box edges ``[x, x + w]`` to ``[0, W]``.
* ``J`` below is the number of *body joints*, the superset of every joint definition that a data set uses
  (:data:`body_models.joint_sets.BODY_JOINTS`). A source fills the ones it has; the confidences mask the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor

NUM_BETAS = 10
NUM_BODY_ROTATIONS = 23
LATENT_SIZE = 32
GENDERS = ("neutral", "male", "female")
"""``Batch["gender"]`` is an index into this tuple."""


class Batch(TypedDict):
    """One batch of people. Every key is always there; ``has_*`` and ``*_conf`` say what is known.

    With B people and J body joints:

    ============== =============== ================================================================
    key            shape           content
    ============== =============== ================================================================
    id             list of str     ``dataset/split/key``, stable over runs
    source         list of str     name of the source, e.g. ``coco`` (one per person)
    image          (B, 3, H, W)    uint8, RGB
    box            (B, 4)          x, y, w, h of the crop in image pixels, before augmentation
    image_size     (B, 2)          width, height in pixels
    affine         (B, 2, 3)       image pixels to crop pixels, augmentation included
    joints_2d      (B, J, 2)       crop pixels
    joints_2d_conf (B, J)          0 where unknown
    joints_3d      (B, J, 3)       metres, camera axes turned with the crop's rotation, any origin
    joints_3d_conf (B, J)          0 where unknown
    root_index     (B,)            body joint that 3D joints are compared relative to
    global_orient  (B, 3, 3)       SMPL root rotation, camera axes turned with the crop's rotation
    body_pose      (B, 23, 3, 3)   SMPL joint rotations
    betas          (B, 10)         shape of the model of ``gender``
    transl         (B, 3)          metres, camera frame of the original image (not augmented)
    has_pose       (B,)            1 where global_orient and body_pose are known
    has_betas      (B,)            1 where betas are known
    gender         (B,)            index into GENDERS, of the body that betas belong to
    focal          (B, 2)          pixels, camera of the original image
    princpt        (B, 2)          pixels, camera of the original image
    has_camera     (B,)            1 where focal, princpt (and transl, if has_pose) are known
    ============== =============== ================================================================
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
        body_pose: (B, 23, 3, 3) joint rotations, or None.
        betas: (B, 10) shape of the neutral model, or None.
        transl: (B, 3) metres, in the crop camera's frame.
        focal: (B, 2) pixels, crop camera.
        princpt: (B, 2) pixels, crop camera.
        joints_3d: (B, J, 3) metres, crop camera's frame (``transl`` included).
        joints_2d: (B, J, 2) crop pixels.
        latent: (B, 32) code of the pose prior, or None where the rotations are regressed directly.
        extra: outputs by name that only the network's own loss terms know, (B, ...) each, or None.
        vertices: (B, 6890, 3) metres, crop camera's frame (``transl`` included), of a network that predicts them
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
