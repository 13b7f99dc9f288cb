"""MediaPipe: logits in place of probabilities, both ways of nesting, and each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.sources.detections import open_detections
from datamodules.writing import write_json
from tests.support.detections import IMAGES, SIZE, write_images

LANDMARKS = [{"x": 0.2 + 0.02 * i, "y": 0.5 - 0.01 * i, "z": 0.0, "visibility": 0.8} for i in range(33)]


def table_of(root: Path, content: Any) -> PeopleTable:
    write_images(root)
    write_json(root / f"{IMAGES[0][:-4]}.json", content)
    return open_detections(str(root), cache_dir=str(root / "cache"))


@pytest.mark.parametrize(
    ("content", "people"),
    [(LANDMARKS, 1), ([LANDMARKS, LANDMARKS], 2), ({"pose_landmarks": LANDMARKS}, 1),
     ({"pose_landmarks": [LANDMARKS], "pose_world_landmarks": []}, 1)],
)  # fmt: skip
def test_nesting(tmp_path: Path, content: Any, people: int) -> None:
    table = table_of(tmp_path, content)
    assert len(table) == people
    nose = table.column("joints_2d")[0, 0]
    np.testing.assert_allclose(nose, [0.2 * SIZE[0], 0.5 * SIZE[1], 0.8], rtol=1e-5)


def test_visibility_outside_of_0_to_1_is_a_logit(tmp_path: Path) -> None:
    logits = np.linspace(-3, 3, 33)
    content = [{**landmark, "visibility": value} for landmark, value in zip(LANDMARKS, logits, strict=True)]
    table = table_of(tmp_path, content)
    scores = table.column("joints_2d")[0, :, 2]
    assert scores[0] == pytest.approx(1 / (1 + np.exp(3)), abs=1e-6)
    assert scores[table.joint_set.names.index("right_heel")] == pytest.approx(1 / (1 + np.exp(-2.625)), abs=1e-6)


WRONG: dict[str, tuple[Any, str]] = {
    "fewer": (LANDMARKS[:20], "person 0 has not 33 landmarks"),
    "no visibility": ([LANDMARKS[0], *[{"x": 0, "y": 0}] * 32], "landmark 1 of person 0 has no numbers x, y, visib"),
    "no object": ([LANDMARKS[0], *[7] * 32], "landmark 1 of person 0 has no numbers"),
    "another kind": ({"pose_landmarks": "none"}, "pose_landmarks is 'none', not a list"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_the_file(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(tmp_path, content)
    assert f"{IMAGES[0][:-4]}.json" in str(caught.value)
