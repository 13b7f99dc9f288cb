"""The gallery draws every annotator's mesh where its camera puts it, on people that nobody picked."""

import cv2
import numpy as np
import pytest

from body_models.bodies import BodyModels
from experiments.pictures.gallery import choose_people, draw_people


def labels(depth, count=3):
    return {
        "id": np.array([f"coco/train/{i}" for i in range(count)], dtype=object),
        "image": np.array(["one.png"] * count, dtype=object),
        "box": np.tile(np.float32([20, 10, 160, 160]), (count, 1)),
        "global_orient": np.tile(np.float32([np.pi, 0, 0]), (count, 1)),
        "body_pose": np.zeros((count, 69), np.float32),
        "betas": np.zeros((count, 10), np.float32),
        "transl": np.tile(np.float32([0, 0, depth]), (count, 1)),
        "focal": np.full((count, 2), 3000.0, np.float32),
        "princpt": np.tile(np.float32([100, 90]), (count, 1)),
    }


def test_meshes_are_where_their_cameras_put_them(tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), np.full((180, 200, 3), 255, np.uint8))
    bodies, body = {"near": labels(40.0), "far": labels(80.0)}, BodyModels("free")
    errors = {"near": {"coco/train/1": 50.0}}
    colors = {"near": "#0072b2", "far": "#d55e00"}
    (person,) = draw_people(["coco/train/1"], bodies, tmp_path, body, colors, errors, size=80)
    assert person.photo.shape == (80, 80, 3) and person.errors == {"near": 50.0}
    heights = {}
    for label, views in person.views.items():
        # Away from the rim, where the picture ends.
        rows = np.flatnonzero((views.front[2:-2, 2:-2] < 240).any(axis=(1, 2)))
        heights[label] = np.ptp(rows)
    assert heights["near"] == pytest.approx(2 * heights["far"], abs=3)


def test_choice_is_spread_and_blind_to_errors():
    columns = {"id": np.array([str(i) for i in range(100)]), "visible_joints": np.full(100, 12)}
    columns["visible_joints"][:50] = 3
    chosen = [int(name) for name in choose_people(columns, 5)]
    assert len(set(chosen)) == 5 and min(chosen) >= 50 and max(chosen) - min(chosen) > 25
    assert len(choose_people({"id": columns["id"][:2], "visible_joints": np.zeros(2)}, 5)) == 2
