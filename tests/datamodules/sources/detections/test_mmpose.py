"""MMPose and RTMLib: the demo's file beside the inferencer's, names of joints in the file, and each fault."""

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
from tests.support.detections import IMAGES, joint_of, mmpose_person, write_images

COCO = SKELETONS["coco_17"]
STEM = IMAGES[0][:-4]


def table_of(root: Path, name: str, content: Any) -> PeopleTable:
    write_images(root)
    write_json(root / name, content)
    return open_detections(str(root / name), cache_dir=str(root / "cache"))


def test_the_demo_names_its_joints(tmp_path: Path) -> None:
    names = COCO[::-1]
    meta = {"dataset_name": "own", "keypoint_id2name": {str(i): name for i, name in enumerate(names)}}
    content = {"meta_info": meta, "instance_info": [mmpose_person(0, names)]}
    table = table_of(tmp_path, f"results_{STEM}.json", content)
    assert table.column("image").tolist() == [IMAGES[0].encode()]
    wrist = table.joint_set.names.index("left_wrist")
    np.testing.assert_allclose(table.column("joints_2d")[0, wrist], joint_of("left_wrist", 0), atol=1e-3)


def test_the_demo_counts_frames_from_1(tmp_path: Path) -> None:
    frames = [{"frame_id": number, "instances": [mmpose_person(0, COCO)]} for number in (1, 3)]
    table = table_of(tmp_path, "results_walk.json", {"meta_info": {}, "instance_info": frames})
    assert table.column("image").tolist() == [IMAGES[0].encode(), IMAGES[2].encode()]
    assert table.column("frame").tolist() == [0, 2] and table.column("sequence").tolist() == [b"walk"] * 2


def test_nobody_in_the_demo(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"results_.*\.json: nobody is in the file"):
        table_of(tmp_path, f"results_{STEM}.json", {"meta_info": {}, "instance_info": []})


def person(**more: Any) -> dict[str, Any]:
    return {**mmpose_person(0, COCO), **more}


FRAMES = [{"frame_id": "0", "instances": []}]
WRONG: dict[str, tuple[Any, str]] = {
    "fewer scores": ([person(keypoint_scores=[0.5])], "person 0 has not a score for each of 17 joints"),
    "flat keypoints": ([person(keypoints=[1.0] * 34)], "which are not 2 or 3 numbers for each joint"),
    "ragged keypoints": ([person(keypoints=[[1, 2]] * 16 + [[1]])], "which are not 2 or 3 numbers for each joint"),
    "no people": ([person(), 7], "person 1 has no keypoints and keypoint_scores"),
    "box of text": ([person(bbox=["a"] * 4)], "person 0 has box"),
    "frame of text": (FRAMES, "record 0 has frame_id '0'"),
    "frame from 0 in the demo": (
        {"meta_info": {}, "instance_info": [{"frame_id": 0, "instances": []}]}, "record 0 has frame_id 0"
    ),
    "people of a frame": ([{"frame_id": 0, "instances": 3}], "frame 0 has instances 3, not a list"),
    "names of joints": (
        {"meta_info": {"keypoint_id2name": {"0": 1}}, "instance_info": [person()]}, "not names by number"
    ),
    "other names": (
        {"meta_info": {"keypoint_id2name": {"0": "nose"}}, "instance_info": [person()]}, "meta_info names 1"
    ),
    "RTMLib of other lengths": ({"keypoints": [], "scores": [[1]]}, "keypoints and scores are not lists of the same"),
    "RTMLib without people": ({"keypoints": 1, "scores": 1}, "keypoints and scores are not lists of the same people"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_the_file(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(tmp_path, f"{STEM}.json", content)
    assert f"{STEM}.json" in str(caught.value)
