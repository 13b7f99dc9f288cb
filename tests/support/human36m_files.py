"""Human3.6M in its json layout, a picture of noise and a body's joints a frame, for tests of stages and commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_human36m(
    root: Path, joints: np.ndarray, subjects: Sequence[int] = (9, 11), frame_step: int = 64, fits: bool = False
) -> None:
    """A frame a row of joints (F, 17, 3), millimetres; subjects take turns, camera 4 looks along z.

    Args:
        root: folder to write to.
        joints: of Human3.6M, in the world, which is the camera's frame.
        subjects: those of the test split by default.
        frame_step: distance of the frames' numbers; the reader takes each 64th to test and each 5th to train.
        fits: whether there are SMPL fits, too: bodies at rest.
    """
    write_pictures(root / "images", [f"{i}.jpg" for i in range(len(joints))])
    (root / "annotations").mkdir()
    for place, subject in enumerate(subjects):
        numbers = range(place, len(joints), len(subjects))
        images = [
            {"id": i, "file_name": f"{i}.jpg", "width": 320, "height": 240, "subject": subject, "action_idx": 2,
             "subaction_idx": 1, "cam_idx": 4, "frame_idx": frame_step * i} for i in numbers
        ]  # fmt: skip
        people = [{"id": i, "image_id": i, "bbox": [60.0, 20.0, 150.0, 190.0]} for i in numbers]
        camera = {"R": np.eye(3).tolist(), "t": [0.0, 0.0, 0.0], "f": [300.0, 300.0], "c": [160.0, 120.0]}
        world = {"2": {"1": {str(frame_step * i): joints[i].tolist() for i in numbers}}}
        contents = {"data": {"images": images, "annotations": people}, "camera": {"4": camera}, "joint_3d": world}
        if fits:
            rest = {"pose": [0.0] * 72, "shape": [0.0] * 10, "trans": [0.0, 0.0, 4.0]}
            contents["SMPL_NeuralAnnot"] = {"2": {"1": {str(frame_step * i): rest for i in numbers}}}
        for kind, content in contents.items():
            (root / f"annotations/Human36M_subject{subject}_{kind}.json").write_text(json.dumps(content))


def write_pictures(folder: Path, names: list[str]) -> None:
    """Pictures of noise, 320 x 240."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        picture = np.random.default_rng(number).integers(0, 255, (240, 320, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / name), picture)
