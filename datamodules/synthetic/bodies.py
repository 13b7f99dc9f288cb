"""Bodies of synthetic people in a process: loaded once, posed in batches without gradients."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from body_models.contracts import NUM_BETAS
from body_models.rotations import matrix_to_axis_angle
from body_models.smpl import BodyModel
from datamodules.synthetic.appearance import Tailor

Floats = NDArray[np.float64]

_BETA_LIMIT = 2.5


@cache
def load_body(body_models: str, gender: str) -> tuple[BodyModel, Tailor]:
    """A body model and where its parts lie."""
    body = BodyModel(body_models, gender)
    return body, Tailor.of(body)


def draw_betas(rng: np.random.Generator) -> Floats:
    """(10,) shape of a new person, less extreme than SMPL's own spread allows."""
    return np.clip(rng.normal(0, 1, NUM_BETAS), -_BETA_LIMIT, _BETA_LIMIT)


def pose_bodies(
    body: BodyModel, global_orient: torch.Tensor, body_pose: torch.Tensor, betas: Floats
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vertices (N, 6890, 3) and body joints (N, J, 3) in metres, of bodies without translation."""
    with torch.inference_mode():
        output = body(global_orient.float(), body_pose, torch.as_tensor(betas, dtype=torch.float32))
    return output.vertices.numpy(), output.joints.numpy()


def to_axis_angle(matrices: torch.Tensor) -> Floats:
    """(N, K, 3, 3) rotations -> (N, 3 K) axis-angle as files hold it."""
    return matrix_to_axis_angle(matrices.double()).flatten(1).numpy()


def write_image(path: Path, image: NDArray[np.uint8], quality: int) -> None:
    """Write RGB as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]):
        msg = f"{path} could not be written; is the disk full?"
        raise OSError(msg)
