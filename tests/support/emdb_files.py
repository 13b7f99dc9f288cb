"""A small EMDB: a woman in EMDB 1, a neutral body in both parts, a man in EMDB 2 alone; posed by the free body."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from body_models.smpl import BodyModel

FRAMES = 5
BAD = 2
SIZE = (320, 240)
SEQUENCES = {
    ("P0", "00_walk"): ("female", True, False), ("P3", "31_sit"): ("neutral", True, True),
    ("P9", "79_run"): ("male", False, True),
}  # fmt: skip
INTRINSICS = np.array([[300.0, 0, 160], [0, 310.0, 120], [0, 0, 1]])


def sequence_content(subject: str, sequence: str, gender: str, emdb1: bool, emdb2: bool) -> dict[str, Any]:
    """What the pickle of a sequence holds; the frame BAD is marked as not good, and has no joints."""
    rng = np.random.default_rng(len(sequence) + ord(subject[1]))
    extrinsics = np.tile(np.eye(4), (FRAMES, 1, 1))
    extrinsics[:, :3, :3] = Rotation.from_euler("xyz", [[170 + f, 2 * f, 5] for f in range(FRAMES)], True).as_matrix()
    extrinsics[:, :3, 3] = [0.1, 0.2, 4.0]
    poses, trans = rng.normal(0, 0.2, (FRAMES, 72)), rng.normal([0.2, 0.3, 0.1], 0.1, (FRAMES, 3))
    betas = rng.normal(size=10)
    world = posed(gender, poses, betas, trans)[:, :24]
    seen = np.einsum("fij,fkj->fki", extrinsics[:, :3, :3], world) + extrinsics[:, None, :3, 3]
    points = seen[..., :2] / seen[..., 2:] * INTRINSICS[[0, 1], [0, 1]] + INTRINSICS[:2, 2]
    good = np.arange(FRAMES) != BAD
    points[BAD] = np.nan
    corners = np.concatenate([points.min(1) - 8, points.max(1) + 8], axis=1)
    return {
        "gender": gender, "name": f"{subject}_{sequence}", "emdb1": emdb1, "emdb2": emdb2, "n_frames": FRAMES,
        "good_frames_mask": good,
        "camera": {"intrinsics": INTRINSICS, "extrinsics": extrinsics, "width": SIZE[0], "height": SIZE[1]},
        "smpl": {"poses_root": poses[:, :3], "poses_body": poses[:, 3:], "trans": trans, "betas": betas},
        "kp2d": points, "bboxes": {"bboxes": corners, "invalid_idxs": np.flatnonzero(~good)},
    }  # fmt: skip


def posed(gender: str, poses: np.ndarray, betas: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """(F, J, 3) joints of a body in the axes of its parameters."""
    rotations = torch.from_numpy(Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix()).view(-1, 24, 3, 3)
    shapes = torch.from_numpy(np.tile(betas, (len(poses), 1)))
    body = BodyModel("free", gender)
    return body.joints(rotations[:, 0], rotations[:, 1:], shapes, torch.from_numpy(trans)).numpy()


def data_file(root: Path, subject: str, sequence: str) -> Path:
    """The pickle of a sequence."""
    return root / subject / sequence / f"{subject}_{sequence}_data.pkl"


def write_emdb(root: Path) -> None:
    """All sequences and their images."""
    rng = np.random.default_rng(0)
    for (subject, sequence), facts in SEQUENCES.items():
        images = root / subject / sequence / "images"
        images.mkdir(parents=True)
        for frame in range(FRAMES):
            picture = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            cv2.imwrite(str(images / f"{frame:05d}.jpg"), picture)
        content = sequence_content(subject, sequence, *facts)
        data_file(root, subject, sequence).write_bytes(pickle.dumps(content, protocol=4))
