"""CrowdPose: every column, and each fault that is not COCO's alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from body_models.joint_sets import CROWDPOSE14
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources.crowdpose import open_crowdpose


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images with two people each, the last person without keypoints."""
    rng = np.random.default_rng(8)
    images, annotations = [], []
    for number in (100000, 100001, 100005):
        name = f"{number}.jpg"
        images.append({"id": number, "file_name": name, "height": 150, "width": 200, "crowdIndex": 0.5})
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / name), np.full((150, 200, 3), 90, np.uint8))
        for _ in range(2):
            seen = rng.integers(0, 3, 14)
            points = rng.integers(20, 130, (14, 2)) * (seen > 0)[:, None]
            annotations.append(
                {
                    "id": 7 + len(annotations), "image_id": number, "category_id": 1, "iscrowd": 0,
                    "num_keypoints": int((seen > 0).sum()), "bbox": rng.integers(10, 60, 4).tolist(),
                    "keypoints": np.column_stack((points, seen)).ravel().tolist(),
                }
            )  # fmt: skip
    annotations[-1] |= {"keypoints": [0] * 42, "num_keypoints": 0}
    (tmp_path / "json").mkdir()
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "json/crowdpose_train.json").write_text(json.dumps(content))
    return tmp_path


def table_of(root: Path, split: str = "train") -> PeopleTable:
    return open_crowdpose(str(root), split, str((root if root.is_dir() else root.parent) / "cache"))


def content_of(root: Path) -> dict[str, Any]:
    return json.loads((root / "json/crowdpose_train.json").read_text())


def test_every_column(root: Path) -> None:
    table = table_of(root)
    assert table.joint_set is CROWDPOSE14
    assert table.ids() == [f"crowdpose/train/{number}" for number in range(7, 13)]
    assert table.dropped == {}
    for row, person in enumerate(content_of(root)["annotations"]):
        written = np.array(person["keypoints"]).reshape(14, 3)
        np.testing.assert_array_equal(table.column("joints_2d")[row][:, :2], written[:, :2])
        np.testing.assert_array_equal(table.column("joints_2d")[row][:, 2], written[:, 2] > 0)
        np.testing.assert_array_equal(table.column("box")[row], person["bbox"])
        assert table.column("image")[row].decode() == f"{person['image_id']}.jpg"
    assert (table.column("image_size") == [200, 150]).all()
    assert table.labelled_joints()[-1] == 0
    assert not table.missing_images()[0].any()


@pytest.mark.parametrize(
    "name", ["json/crowdpose_val.json", "annotations/mmpose_crowdpose_val.json", "crowdpose_val.json"]
)
@pytest.mark.parametrize("given", ["folder", "file"])
def test_files_are_found_where_users_put_them(root: Path, name: str, given: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / "json/crowdpose_train.json").rename(root / name)
    table = table_of(root if given == "folder" else root / name, "val")
    assert table.ids()[0] == "crowdpose/val/7"
    assert not table.missing_images()[0].any()


PEOPLE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "zero-size box": (lambda p: p.update(bbox=[10, 10, 0, 5]), "box has no area inside the image"),
    "box outside the image": (lambda p: p.update(bbox=[900, 10, 50, 50]), "box has no area inside the image"),
    "NaN joint": (lambda p: p.update(keypoints=[float("nan"), 1, 1] * 14), "joints_2d is not finite"),
    "unlisted image": (lambda p: p.update(image_id=77), "image is not listed in the file"),
    "duplicate id": (lambda p: p.update(id=7), "id occurs twice"),
    "crowd": (lambda p: p.update(iscrowd=1), "crowd, not one person"),
}


@pytest.mark.parametrize(("change", "reason"), PEOPLE.values(), ids=PEOPLE.keys())
def test_bad_people_are_counted_by_reason(root: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    content = content_of(root)
    change(content["annotations"][1])
    (root / "json/crowdpose_train.json").write_text(json.dumps(content))
    table = table_of(root)
    assert table.dropped == {reason: 1}
    assert len(table) == 5


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "COCO's joints": (
        lambda c: c["annotations"][1].update(keypoints=[1] * 51),
        "8 has 51 keypoint values, expected 42",
    ),
    "joints of text": (lambda c: c["annotations"][1]["keypoints"].__setitem__(4, "1"), "that are not all numbers"),
    "box of 3": (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), "annotation 8 has bbox"),
    "nobody's keypoints": (lambda c: [p.pop("keypoints") for p in c["annotations"]], "none of 6 persons has keypoints"),
    "no width": (lambda c: c["images"][1].pop("width"), "image 100001 has no width"),
    "another layout": (lambda c: c.pop("images"), "not a COCO-style json"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_file_and_record(root: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    content = content_of(root)
    change(content)
    (root / "json/crowdpose_train.json").write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(root)
    assert "crowdpose_train.json" in str(caught.value)


def test_truncated_file_missing_images_and_names_that_are_not_utf8(root: Path) -> None:
    content = content_of(root)
    name = os.fsdecode(b"gru\xdfe.jpg")
    (root / "images/100000.jpg").rename(root / "images" / name)
    content["images"][0]["file_name"] = name
    (root / "images/100005.jpg").unlink()
    path = root / "json/crowdpose_train.json"
    path.write_text(json.dumps(content))
    table = table_of(root)
    assert table.column("image")[0] == b"gru\xdfe.jpg"
    assert table.missing_images()[1] == [root / "images/100005.jpg"]
    path.write_text(path.read_text()[:500])
    with pytest.raises(AnnotationError, match=r"crowdpose_train\.json is not valid JSON"):
        table_of(root)


def test_nothing_there_and_no_such_split(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"looked for .*json/crowdpose_train\.json.*Get images\.zip"):
        table_of(tmp_path)
    with pytest.raises(AnnotationError, match="no split 'minival': use one of train, val, trainval, test"):
        table_of(tmp_path, "minival")
