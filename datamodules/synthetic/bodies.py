"""Bodies of synthetic people in a process: loaded once, posed in batches without gradients."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from body_models.bodies import Body, open_body
from body_models.rotations import matrix_to_axis_angle
from body_models.smpl import SkinnedBody
from body_models.spec import SMPL
from datamodules.synthetic.appearance import Tailor

Floats = NDArray[np.float64]

_BETA_LIMIT = 2.5


@cache
def load_body(body_models: str, gender: str) -> tuple[SkinnedBody, Tailor]:
    """A body and where its parts lie; the data sets' files hold SMPL's parameters, so it must be in SMPL's layout."""
    body = open_body(body_models, gender)
    if body.spec != SMPL or not isinstance(body, SkinnedBody):
        msg = f"{body_models}: people of the synthetic world are SMPL bodies, this is a body {body.spec.kind}"
        raise ValueError(msg)
    return body, Tailor.of(body)


def draw_betas(rng: np.random.Generator) -> Floats:
    """(S,) shape of a new person, less extreme than SMPL's own spread allows."""
    return np.clip(rng.normal(0, 1, SMPL.shape_size), -_BETA_LIMIT, _BETA_LIMIT)


def pose_bodies(
    body: Body, global_orient: torch.Tensor, body_pose: torch.Tensor, betas: Floats
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vertices (N, V, 3) and body joints (N, J, 3) in metres, of bodies without translation."""
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
