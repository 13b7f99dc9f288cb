"""Projections of recorded poses: people without pictures, seen from where people in the wild are seen from.

Bodies are posed once and kept; a sample turns, places and projects one of them. Everything about a sample is a pure
function of its seed, whatever else is drawn with it, so that a mixture is the same on any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch.utils.data import Dataset

from body_models.bodies import Body
from body_models.camera import CROP_MARGIN
from body_models.rotations import axis_angle_to_matrix, complete_pose
from body_models.spec import BodySpec
from datamodules.seeded import GOLDEN, first_state, mixed

_POSED_AT_ONCE = 1000
_NEAREST = 0.3
"""Metres: no joint comes closer to the camera."""


@dataclass(frozen=True)
class Views:
    """Where bodies are seen from, and how large; wider than any one data set.

    Attributes:
        frontal: share of the people who face the camera, by and large; the others are turned anyhow.
        yaw_deg: standard deviation of the turn of those who face it.
        pitch_deg: standard deviation of the camera's pitch, whose mean looks down by half of it.
        roll_deg: standard deviation of its roll.
        tilt_deg: standard deviation of how far people lean as a whole.
        lying: share of the people who lean five times as far.
        nearest: metres to the camera at least.
        farthest: metres at most; nearer is more frequent.
        box_scale: standard deviation of the box's size, relative to that of the joints.
        box_shift: standard deviation of its place, in box sides.
        shape: standard deviation of the shape's numbers.
    """

    frontal: float = 0.5
    yaw_deg: float = 50.0
    pitch_deg: float = 16.0
    roll_deg: float = 8.0
    tilt_deg: float = 10.0
    lying: float = 0.15
    nearest: float = 1.8
    farthest: float = 14.0
    box_scale: float = 0.1
    box_shift: float = 0.03
    shape: float = 1.0


class PosedBodies(NamedTuple):
    """Bodies posed about their root, which is at the origin and not turned.

    Attributes:
        body_pose: (N, R, 3, 3).
        betas: (N, S).
        joints: (N, J, 3) metres, relative to the root joint.
        root: (N, 3) metres from the body's origin to its root joint.
    """

    body_pose: NDArray[np.float32]
    betas: NDArray[np.float32]
    joints: NDArray[np.float32]
    root: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.betas)


def pose_bodies(body: Body, poses: NDArray[Any], count: int, shape: float, seed: int) -> PosedBodies:
    """Bodies in recorded poses, with drawn shapes.

    Args:
        body: the neutral body.
        poses: (P, K, 3) axis-angle of its first K joints besides the root.
        count: how many; poses are drawn with replacement where there are fewer.
        shape: standard deviation of the shape's numbers.
        seed: of both draws.
    """
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.choice(len(poses), count, replace=count > len(poses)))
    betas = (shape * generator.standard_normal((count, body.spec.shape_size))).astype(np.float32)
    parts: list[tuple[NDArray[np.float32], ...]] = []
    for first in range(0, count, _POSED_AT_ONCE):
        some = slice(first, first + _POSED_AT_ONCE)
        recorded = torch.from_numpy(np.asarray(poses[rows[some]], np.float32))
        rotations = complete_pose(axis_angle_to_matrix(recorded), body.spec.num_rotations)
        with torch.no_grad():
            shapes = torch.from_numpy(betas[some])
            joints = body.joints(torch.eye(3).expand(len(shapes), 3, 3), rotations, shapes)
        parts.append((rotations.numpy(), (joints - joints[:, :1]).numpy(), joints[:, 0].numpy()))
    body_pose, joints_of, root = (np.concatenate(part) for part in zip(*parts, strict=True))
    return PosedBodies(body_pose, betas, joints_of, root)


class Projections(Dataset[Any]):
    """Samples with the keys of :class:`body_models.contracts.Batch`, whose pictures are black.

    ``dataset[index, seed]`` is one sample; batches are drawn at once (``__getitems__``).

    Args:
        bodies: posed.
        spec: of the body.
        seen: (M, J) which body joints the joint sets of the targets have; each sample has those of one of them.
        input_size: side of the square crops in pixels.
        views: distributions of cameras.
    """

    source = "projections"

    def __init__(
        self, bodies: PosedBodies, spec: BodySpec, seen: NDArray[np.bool_], input_size: int, views: Views
    ) -> None:
        self.bodies, self.spec, self.seen, self.input_size, self.views = bodies, spec, seen, input_size, views

    def __len__(self) -> int:
        return len(self.bodies)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        batch = self.draw(*(np.array([value]) for value in key))
        return {name: value[0] for name, value in batch.items()}

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """A whole batch, which :func:`as_fetched` hands on."""
        index, seeds = np.array(keys).T
        return {
            name: value if isinstance(value, list) else torch.from_numpy(value)
            for name, value in self.draw(index, seeds).items()
        }

    def draw(self, index: NDArray[Any], seeds: NDArray[Any]) -> dict[str, Any]:
        """Samples of some bodies (B,), each seen as its seed (B,) says."""
        views, count, bodies = self.views, len(index), self.bodies
        uniform, normal = _draws(seeds)
        yaw = np.where(uniform() < views.frontal, normal() * np.deg2rad(views.yaw_deg), uniform() * 2 * np.pi - np.pi)
        pitch = (normal() + 0.5) * np.deg2rad(views.pitch_deg)
        tilt = normal() * np.deg2rad(views.tilt_deg) * np.where(uniform() < views.lying, 5, 1)
        roll = normal() * np.deg2rad(views.roll_deg)
        upright = np.diag([1.0, -1.0, -1.0])
        root = _about(2, roll) @ _about(0, pitch) @ upright @ _about(1, yaw) @ _about(0, tilt)
        joints = np.einsum("bij,bkj->bki", root, bodies.joints[index])
        # The farther, the rarer; aside within what a common lens sees.
        distance = views.nearest + uniform() ** 2 * (views.farthest - views.nearest)
        aside = (np.stack((uniform(), uniform()), axis=1) - 0.5) * 0.5 * distance[:, None]
        pelvis = np.concatenate((aside, distance[:, None]), axis=1) - joints.mean(axis=1)
        placed = joints + pelvis[:, None]
        placed[..., 2] = placed[..., 2].clip(_NEAREST)
        width, height = np.full(count, 640.0), np.full(count, 480.0)
        image_size = np.where(uniform()[:, None] < 0.5, np.stack((width, height), 1), np.stack((height, width), 1))
        focal = np.linalg.norm(image_size, axis=1) * np.exp(0.2 * normal())
        points = placed[..., :2] / placed[..., 2:] * focal[:, None, None] + image_size[:, None] / 2
        seen = self.seen[(uniform() * len(self.seen)).astype(int)]
        low = np.where(seen[..., None], points, np.inf).min(axis=1)
        high = np.where(seen[..., None], points, -np.inf).max(axis=1)
        side = (high - low).max(axis=1) * CROP_MARGIN * (1 + views.box_scale * normal()).clip(0.7, 1.4)
        middle = (low + high) / 2 + side[:, None] * views.box_shift * np.stack((normal(), normal()), axis=1)
        corner, scale = middle - side[:, None] / 2, self.input_size / side
        affine = np.zeros((count, 2, 3))
        affine[:, 0, 0] = affine[:, 1, 1] = scale
        affine[:, :, 2] = -scale[:, None] * corner
        ones = np.ones(count, np.float32)
        zeros = np.zeros((1, 3, 1, 1), np.uint8)
        black = np.broadcast_to(zeros, (count, 3, self.input_size, self.input_size))
        plain = {
            "image": np.ascontiguousarray(black),
            "box": np.concatenate((corner, side[:, None], side[:, None]), axis=1),
            "image_size": image_size,
            "affine": affine,
            "joints_2d": (points - corner[:, None]) * scale[:, None, None] * seen[..., None],
            "joints_2d_conf": seen,
            "joints_3d": joints,
            "joints_3d_conf": np.ones(joints.shape[:2]),
            "global_orient": root,
            "body_pose": bodies.body_pose[index],
            "betas": bodies.betas[index],
            "transl": pelvis - bodies.root[index],
            "has_pose": ones,
            "has_betas": ones,
            "focal": np.repeat(focal[:, None], 2, axis=1),
            "princpt": image_size / 2,
            "has_camera": ones,
        }
        whole = {"root_index": np.zeros(count, np.int64), "gender": np.zeros(count, np.int64)}
        return {
            "id": [f"projections/train/{row}-{seed}" for row, seed in zip(index, seeds, strict=True)],
            "source": [self.source] * count,
            **{name: value if name == "image" else value.astype(np.float32) for name, value in plain.items()},
            **whole,
        }


def _about(axis: int, angle: NDArray[Any]) -> NDArray[np.float64]:
    """(B, 3, 3) rotations about an axis of the camera."""
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    turned = np.zeros((len(angle), 3, 3))
    turned[:, axis, axis] = 1
    turned[:, first, first] = turned[:, second, second] = np.cos(angle)
    turned[:, second, first] = np.sin(angle)
    turned[:, first, second] = -np.sin(angle)
    return turned


def _draws(seeds: NDArray[Any]) -> tuple[Callable[[], NDArray[np.float64]], Callable[[], NDArray[np.float64]]]:
    """Functions that return the next number of each seed (B,): uniform in (0, 1), and standard normal."""
    state = first_state(seeds)

    def uniform() -> NDArray[np.float64]:
        nonlocal state
        state = state + GOLDEN
        return ((mixed(state) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53

    return uniform, lambda: ndtri(uniform())
