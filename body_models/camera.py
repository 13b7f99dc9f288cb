"""Boxes, crops and cameras: the one place where crop and image coordinates are turned into each other.

A crop maps the edges ``[x, x + w]`` of a box to ``[0, W]`` by one affine. The annotator's camera is a pinhole on the
crop with its principal point at the crop's centre and the virtual focal length that the same group's public code
uses; on the full image the same camera has a focal length scaled by the box and its principal point at the box centre.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

CROP_MARGIN = 1.25
VIRTUAL_FOCAL = 5000.0
VIRTUAL_FOCAL_INPUT = 256.0
DEPTH_BODY_SIZE = 2.5


class BoxError(ValueError):
    """A box that has no area inside the image."""


def process_box(
    box: ArrayLike, image_size: tuple[float, float], aspect: float = 1.0, scale: float = CROP_MARGIN
) -> NDArray[np.float64]:
    """Clean a box, widen it about its centre to an aspect ratio, and scale it.

    Args:
        box: (4,) x, y, w, h in pixels, as annotated.
        image_size: width, height in pixels.
        aspect: width / height of the network's input.
        scale: margin around the person.

    Returns:
        (4,) x, y, w, h in pixels; may reach outside the image.

    Raises:
        BoxError: the box is not finite, or has no area inside the image.
    """
    x, y, w, h = (float(value) for value in np.asarray(box, dtype=np.float64))
    width, height = image_size
    x1, y1 = max(0.0, x), max(0.0, y)
    x2, y2 = min(width - 1.0, x1 + max(0.0, w - 1.0)), min(height - 1.0, y1 + max(0.0, h - 1.0))
    # max() and min() swallow a NaN, so it is looked for by itself.
    if not (np.isfinite([x, y, w, h]).all() and w * h > 0 and x2 > x1 and y2 > y1):
        msg = f"box {[x, y, w, h]} has no area inside the {width:g} x {height:g} image"
        raise BoxError(msg)
    w, h = x2 - x1, y2 - y1
    centre_x, centre_y = x1 + w / 2, y1 + h / 2
    w, h = max(w, h * aspect) * scale, max(h, w / aspect) * scale
    return np.array([centre_x - w / 2, centre_y - h / 2, w, h])


def crop_affine(
    box: ArrayLike,
    input_size: tuple[int, int],
    scale: float = 1.0,
    rotation_deg: float = 0.0,
    flip: bool = False,
) -> NDArray[np.float64]:
    """(2, 3) affine from image pixels to crop pixels.

    Args:
        box: (4,) x, y, w, h in image pixels, as :func:`process_box` returns it.
        input_size: width, height of the crop in pixels.
        scale: above 1 shows more of the surroundings, so the person becomes smaller.
        rotation_deg: turns the picture about its centre; positive is x towards y, clockwise on the screen.
        flip: mirrors the crop left to right, after the rotation.
    """
    x, y, w, h = np.asarray(box, dtype=np.float64)
    width, height = input_size
    angle = math.radians(rotation_deg)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = np.diag([width / (w * scale), height / (h * scale)])
    # Rotate in image pixels, before the scaling, so that a box of another aspect is turned, not sheared.
    linear = linear @ rotation
    offset = np.array([width / 2, height / 2]) - linear @ np.array([x + w / 2, y + h / 2])
    affine = np.concatenate([linear, offset[:, None]], axis=1)
    if flip:
        affine[0] *= -1
        affine[0, 2] += width
    return affine


def apply_affine(affine: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """Map points (..., 2) by an affine (2, 3)."""
    return points @ affine[:, :2].T + affine[:, 2]


def invert_affine(affine: NDArray[Any]) -> NDArray[np.float64]:
    """(2, 3) affine that undoes a (2, 3) affine."""
    linear = np.linalg.inv(affine[:, :2])
    return np.concatenate([linear, -(linear @ affine[:, 2:])], axis=1)


def crop_focal(input_size: int) -> float:
    """Virtual focal length in crop pixels: 5000 px for a 256 px crop, others in proportion, so depths stay alike."""
    return VIRTUAL_FOCAL * input_size / VIRTUAL_FOCAL_INPUT


def depth_scale(focal: Tensor, input_size: int) -> Tensor:
    """Metres k, one a focal length, in t_z = sigmoid(c) * k: the depth at which a body of 2.5 m fills the crop."""
    return focal * DEPTH_BODY_SIZE / input_size


def project(points: Tensor, focal: Tensor, princpt: Tensor) -> Tensor:
    """Pinhole projection in fp32.

    Args:
        points: (..., J, 3) metres, camera frame.
        focal: (..., 2) pixels.
        princpt: (..., 2) pixels.

    Returns:
        (..., J, 2) pixels. Depths below 1 cm are clamped, so that a point behind the camera gives no NaN.
    """
    points = points.float()
    depth = points[..., 2:].clamp(min=1e-2)
    return points[..., :2] / depth * focal.float().unsqueeze(-2) + princpt.float().unsqueeze(-2)


def crop_camera_to_image(focal: Tensor, princpt: Tensor, box: Tensor, input_size: int) -> tuple[Tensor, Tensor]:
    """The crop's camera, expressed on the full image.

    Args:
        focal: (B, 2) crop pixels.
        princpt: (B, 2) crop pixels.
        box: (B, 4) x, y, w, h in image pixels, of the crop without augmentation.
        input_size: side of the square crop in pixels.

    Returns:
        focal (B, 2) and princpt (B, 2) in image pixels. Body and translation stay as they are.
    """
    stretch = box[..., 2:] / input_size
    return focal * stretch, princpt * stretch + box[..., :2]
