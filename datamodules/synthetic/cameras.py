"""Cameras of the synthetic world. Worlds have y up and metres; camera frames x right, y down, z forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        rotation: (3, 3) world to camera.
        translation: (3,) metres: ``camera = rotation @ world + translation``.
        focal: (2,) pixels.
        princpt: (2,) pixels.
        size: width, height in pixels.
    """

    rotation: Floats
    translation: Floats
    focal: Floats
    princpt: Floats
    size: tuple[int, int]

    def look(self, points: NDArray[Any]) -> Floats:
        """World points (..., 3) in the camera's frame."""
        return points @ self.rotation.T + self.translation

    def project(self, points: NDArray[Any]) -> Floats:
        """Pixels (..., 2) of points (..., 3) in the camera's frame."""
        return points[..., :2] / points[..., 2:] * self.focal + self.princpt

    def matrix(self) -> Floats:
        """(4, 4) world to camera."""
        result = np.eye(4)
        result[:3, :3], result[:3, 3] = self.rotation, self.translation
        return result

    def intrinsics(self) -> Floats:
        """(3, 3)"""
        return np.array([[self.focal[0], 0, self.princpt[0]], [0, self.focal[1], self.princpt[1]], [0, 0, 1.0]])


def focal_length(rng: np.random.Generator, size: tuple[int, int]) -> float:
    """Focal length in pixels of an everyday camera: 1 to 1.5 image diagonals."""
    return float(np.hypot(*size) * rng.uniform(1.0, 1.5))


def draw_yaw(rng: np.random.Generator, count: int, frontal: float) -> Floats:
    """(count,) radians between where people look and the camera.

    Args:
        rng: source of the random numbers.
        count: people.
        frontal: share that is taken roughly from the front (standard deviation 50 degrees); the others from anywhere.
    """
    front = rng.normal(0, np.deg2rad(50), count)
    return np.where(rng.random(count) < frontal, front, rng.uniform(-np.pi, np.pi, count))


def upright(pitch: float, roll: float) -> Floats:
    """(3, 3) from a world with y up to a camera that looks along -z.

    Args:
        pitch: degrees downwards.
        roll: degrees about the line of sight.
    """
    flip = np.diag([1.0, -1.0, -1.0])
    return Rotation.from_euler("zx", [roll, pitch], degrees=True).as_matrix() @ flip


def look_at(eye: NDArray[Any], target: NDArray[Any], roll: float = 0.0) -> tuple[Floats, Floats]:
    """Rotation (3, 3), translation (3,) of a camera at ``eye`` (3,) that looks at ``target`` (3,); roll in degrees."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    rotation = Rotation.from_euler("z", roll, degrees=True).as_matrix() @ rotation
    return rotation, -rotation @ eye


def frame_person(
    rng: np.random.Generator, points: NDArray[Any], size: tuple[int, int], focal: float, span: float, cut: bool
) -> Floats:
    """(3,) translation in metres that puts a body into a picture.

    Args:
        rng: source of the random numbers.
        points: (V, 3) the body's vertices in metres, turned into the camera's axes.
        size: width, height in pixels.
        focal: pixels; the principal point is the picture's centre.
        span: pixels that the longer side of the body takes up.
        cut: whether the picture's edge may cut the person.
    """
    low, high = points.min(0), points.max(0)
    extent = (high - low)[:2]
    depth = focal * max(extent) / span
    half = extent / depth * focal / 2
    # Cut people keep about two thirds of themselves in the picture.
    room = np.maximum(np.array(size) / 2 - half + (half * 0.7 if cut else -4.0), 0)
    place = rng.uniform(-room, room)
    return np.array([*(place * depth / focal), depth]) - (low + high) / 2


def studio_rig(rng: np.random.Generator, size: tuple[int, int]) -> list[Camera]:
    """The 14 cameras of a studio around its origin: 0, 1, 2, 4 to 8 at chest and knee height, the others above."""
    cameras = []
    for number in range(14):
        low = number in (0, 1, 2, 4, 5, 6, 7, 8)
        angle = 2 * np.pi * (number / 14 + rng.uniform(-0.02, 0.02)) * 3  # neighbours in number stand far apart
        height = rng.uniform(-0.4, 0.5) if low else rng.uniform(1.5, 2.4)
        eye = np.array([np.sin(angle) * 3.5, height, np.cos(angle) * 3.5])
        rotation, translation = look_at(eye, np.array([0, -0.05, 0]), roll=rng.normal(0, 1))
        focal = np.full(2, max(size) * rng.uniform(1.15, 1.3))
        princpt = np.array(size) / 2 + rng.normal(0, 4, 2)
        cameras.append(Camera(rotation, translation, focal, princpt, size))
    return cameras


def walking_camera(
    rng: np.random.Generator, targets: NDArray[Any], size: tuple[int, int], span: float, height: float
) -> list[Camera]:
    """A hand-held camera that follows people.

    Args:
        rng: source of the random numbers.
        targets: (F, 3) what it looks at in each frame, metres.
        size: width, height in pixels.
        span: pixels that ``height`` metres take up at the target.
        height: metres.
    """
    frames = len(targets)
    focal = focal_length(rng, size)
    steps = np.arange(frames) / max(frames, 2)
    angle = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.6) * steps
    distance = focal * height / span * (1 + 0.12 * np.sin(2 * np.pi * (steps + rng.random())))
    level = rng.uniform(-0.5, 0.9)
    smooth = uniform_filter1d(targets, 9, axis=0, mode="nearest")
    result = []
    for frame in range(frames):
        eye = smooth[frame] + distance[frame] * np.array([np.sin(angle[frame]), 0, np.cos(angle[frame])])
        eye[1] += level + 0.03 * np.sin(frame)
        rotation, translation = look_at(eye, smooth[frame] + rng.normal(0, 0.03, 3), roll=rng.normal(0, 2))
        result.append(Camera(rotation, translation, np.full(2, focal), np.array(size) / 2, size))
    return result
