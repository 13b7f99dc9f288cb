"""OpenPose: its sets of joints, older keys, and each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.sources.detections import open_detections
from datamodules.sources.detections.skeletons import SKELETONS
from datamodules.writing import write_json
from tests.support.detections import IMAGES, joint_of, joints_of, write_images, write_openpose


def table_of(root: Path) -> PeopleTable:
    return open_detections(str(root / "json"), cache_dir=str(root / "cache"))


@pytest.mark.parametrize("skeleton", ["openpose_25", "openpose_18", "openpose_15"])
def test_sets_of_joints(tmp_path: Path, skeleton: str) -> None:
    write_images(tmp_path)
    write_openpose(tmp_path, SKELETONS[skeleton])
    table = table_of(tmp_path)
    for name in ("right_wrist", "left_wrist", "right_knee", "left_hip"):
        joints = table.column("joints_2d")[:, table.joint_set.names.index(name)]
        np.testing.assert_allclose(joints, [joint_of(name, person) for person in range(3)], atol=1e-3)


def test_a_joint_that_was_not_found_is_none(tmp_path: Path) -> None:
    write_images(tmp_path)
    write_openpose(tmp_path)
    table = table_of(tmp_path)
    heel = table.joint_set.names.index("right_heel")
    assert (table.column("joints_2d")[:, heel] == 0).all()


def test_older_key(tmp_path: Path) -> None:
    write_images(tmp_path)
    joints = joints_of(SKELETONS["openpose_18"], 0).ravel().tolist()
    write_json(tmp_path / "json" / f"{IMAGES[0][:-4]}_keypoints.json", {"people": [{"pose_keypoints": joints}]})
    assert len(table_of(tmp_path)) == 1


WRONG: dict[str, tuple[Any, str]] = {
    "people of another kind": ({"people": {}}, "people is {}, not a list"),
    "no pose": ({"people": [{"face_keypoints_2d": []}]}, "person 0 has no pose_keypoints_2d or pose_keypoints"),
    "without scores": ({"people": [{"pose_keypoints_2d": [1.0] * 50}]}, "which are not x, y and score of each joint"),
    "empty": ({"people": [{"pose_keypoints_2d": []}]}, "which are not x, y and score of each joint"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_the_file(tmp_path: Path, content: Any, message: str) -> None:
    write_images(tmp_path)
    write_json(tmp_path / "json" / "a_keypoints.json", content)
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(tmp_path)
    assert "a_keypoints.json" in str(caught.value)
