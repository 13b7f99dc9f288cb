"""A label table as the dump writes it, of random people, for the tests of the formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from body_models.camera import process_box
from body_models.joint_sets import JOINT_SETS
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import LabelWriter, read_labels
from datamodules.sources import open_source


def random_labels(dataset: str, count: int, joint_set: str) -> dict[str, Any]:
    """Columns of people with the annotator's camera: principal point at the box's centre, virtual focal length."""
    rng = np.random.default_rng(3)
    size = rng.uniform(80, 400, count)
    box = np.concatenate([rng.uniform(0, 200, (count, 2)), np.stack([size, size], 1)], 1).astype(np.float32)
    joints = rng.uniform(0, 400, (count, len(JOINT_SETS[joint_set].names), 3))
    joints[..., 2] = rng.uniform(size=joints.shape[:2]) < 0.7
    joints[..., :2] *= joints[..., 2:]
    focal = np.repeat(size[:, None] * 5000 / 256, 2, axis=1)
    return {
        "id": [f"{dataset}/train/{key}" for key in 900100581904 - 7 * np.arange(count)],
        "image": [f"train2017/{number:012d}.jpg" for number in np.arange(count) % 3],
        "image_size": np.tile(np.array([640, 480], dtype=np.int32), (count, 1)),
        "person_box": box + np.float32([1, 2, -3, -4]),
        "box": box,
        "joints_2d": joints.astype(np.float32),
        "global_orient": (np.array([np.pi, 0, 0]) + rng.normal(0, 0.3, (count, 3))).astype(np.float32),
        "body_pose": rng.normal(0, 0.3, (count, 69)).astype(np.float32),
        "betas": rng.normal(0, 0.8, (count, 10)).astype(np.float32),
        "transl": (np.array([0.1, 0.2, 48.0]) + rng.normal(0, 0.1, (count, 3))).astype(np.float32),
        "gender": ["neutral", "male", "female", "neutral"] * (count // 4) + ["neutral"] * (count % 4),
        "focal": focal.astype(np.float32),
        "princpt": box[:, :2] + box[:, 2:] / 2,
    }


@pytest.fixture
def make_labels(tmp_path: Path) -> Callable[..., Path]:
    """Writes a label table and its images; returns its folder. Keywords replace columns; None leaves one out."""

    def make(dataset: str = "coco", count: int = 6, joint_set: str = "coco17", **replaced: Any) -> Path:
        columns = {**random_labels(dataset, count, joint_set), **replaced}
        columns = {name: values for name, values in columns.items() if values is not None}
        folder, images = tmp_path / f"{dataset}-train", tmp_path / "images"
        for name in set(columns.get("image", ())):
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(images / name), np.full((480, 640, 3), 90, np.uint8))
        with LabelWriter(folder, joint_set=joint_set, image_root=str(images), provenance={}) as writer:
            for start in range(0, count, 4):
                writer.write({name: values[start : start + 4] for name, values in columns.items()})
        return folder

    return make


@pytest.fixture
def labels(make_labels: Callable[..., Path]) -> tuple[Path, dict[str, np.ndarray]]:
    """Folder and columns of a table of six people of COCO."""
    folder = make_labels()
    return folder, read_labels(folder).columns


@pytest.fixture
def coco(coco_root: Path, tmp_path: Path) -> PeopleTable:
    """The people of a small COCO."""
    return open_source("coco", cache_dir=str(tmp_path / "cache"), root=str(coco_root), split="train")


@pytest.fixture
def ours(coco: PeopleTable, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Labels of everybody in the source, in another order than the source's, and their columns."""
    rng, count = np.random.default_rng(8), len(coco)
    order = rng.permutation(count)
    boxes = [
        process_box(box, tuple(size)) for box, size in zip(coco.column("box"), coco.column("image_size"), strict=True)
    ]
    box = np.array(boxes, dtype=np.float32)[order]
    focal = np.repeat(box[:, 2:3] * 5000 / 256, 2, axis=1)
    columns = {
        "id": np.array(coco.ids(), dtype=object)[order],
        "image": np.array([name.decode() for name in coco.column("image").tolist()], dtype=object)[order],
        "image_size": coco.column("image_size")[order],
        "person_box": coco.column("box")[order],
        "box": box,
        "joints_2d": coco.column("joints_2d")[order],
        "global_orient": (np.array([np.pi, 0, 0]) + rng.normal(0, 0.2, (count, 3))).astype(np.float32),
        "body_pose": rng.normal(0, 0.2, (count, 69)).astype(np.float32),
        "betas": rng.normal(0, 0.5, (count, 10)).astype(np.float32),
        "transl": np.tile(np.array([0.1, 0.2, 48.0], np.float32), (count, 1)),
        "gender": ["neutral"] * count,
        "focal": focal.astype(np.float32),
        "princpt": box[:, :2] + box[:, 2:] / 2,
    }
    with LabelWriter(tmp_path / "ours", joint_set="coco17", image_root=coco.image_root, provenance={}) as writer:
        writer.write(columns)
    return tmp_path / "ours", columns
