"""Made the label tables in tests/support/labels_v1 and labels_v2, with the code of old commits; it is not run by tests.

The tables hold what the code of those days wrote, and the code of today has to read it. In a checkout of this project's
f6ae707 (version 1) or 595dcd1 (version 2, before other bodies than SMPL):

    PYTHONPATH=. python path/to/old_label_tables.py OUT
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

IDS = ["coco/train/17", "coco/train/42", "coco/train/99"]
PROVENANCE = {"run": "old", "settings": {"paths": {"body_models": "standin"}}}


def columns(version: int) -> dict[str, Any]:
    """Three people, in numbers that are exact in float32."""
    people = len(IDS)

    def rising(size: int, step: float) -> np.ndarray:
        return (np.arange(people * size).reshape(people, size) * step).astype(np.float32)

    first = {
        "id": IDS,
        "image": [f"{number}.jpg" for number in range(people)],
        "box": rising(4, 8) + 1,
        "global_orient": rising(3, 0.125),
        "body_pose": rising(69, 1 / 256),
        "betas": rising(10, 0.0625),
        "transl": rising(3, 0.25) + 4,
        "gender": ["neutral"] * people,
        "focal": rising(2, 16) + 1000,
        "princpt": rising(2, 4),
        "latent": rising(32, 1 / 128),
        "error_2d": np.array([0.25, np.nan, 0.5], np.float32),
        "visible_joints": np.array([12, 0, 17], np.int32),
        "max_abs_beta": np.array([0.5, 1.0, 1.5], np.float32),
    }
    if version == 1:
        return first
    joints = rising(51, 2).reshape(people, 17, 3)
    joints[..., 2] = 1
    more = {
        "image_size": np.full((people, 2), 640, np.int32),
        "person_box": rising(4, 4) + 2,
        "joints_2d": joints,
        "prior_score": np.array([1, 2, np.nan], np.float32),
        "limit_violations": np.array([0, 1, 2], np.int32),
        "limit_excess_deg": np.array([0, 8, 16], np.float32),
        "mirror_disagreement": np.array([10, 20, np.nan], np.float32),
        "refinement": ["none", "accepted", "rejected"],
    }
    return {**first, **more}


def main(folder: Path) -> None:
    """Write the table of whatever version the checkout has."""
    native: Any = import_module("datamodules.pseudo_gt.native")
    if native.VERSION == 1:
        writer = native.ShardWriter(folder, 0)
        writer.write(columns(1))
        writer.close()
        native.merge_shards(folder, IDS, PROVENANCE)
        return
    with native.LabelWriter(folder, joint_set="coco17", image_root="/data/coco", provenance=PROVENANCE) as writer:
        writer.write(columns(2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
