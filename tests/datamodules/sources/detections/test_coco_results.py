"""COCO results and AlphaPose's json: how images and people are named there, and each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datamodules.files import AnnotationError, MissingFilesError
from datamodules.sources.detections import open_detections
from datamodules.sources.detections.found import number_of
from datamodules.writing import write_json
from tests.support.detections import IMAGES, joints_of, write_images

FLAT = joints_of(tuple(f"joint{i}" for i in range(17)), 0).ravel().tolist()


def dropped(root: Path, image: object, **more: Any) -> dict[str, int]:
    write_images(root)
    write_json(root / "results.json", [{"image_id": image, "category_id": 1, "keypoints": FLAT}])
    return open_detections(str(root / "results.json"), cache_dir=str(root / "cache"), **more).dropped


@pytest.mark.parametrize("image", [7, IMAGES[0], IMAGES[0][:-4], f"train/{IMAGES[0]}", f"C:\\photos\\{IMAGES[0]}"])
def test_names_and_numbers_of_images(tmp_path: Path, image: object) -> None:
    assert dropped(tmp_path, image) == {}


def test_numbers_from_a_list_of_images(tmp_path: Path) -> None:
    listed = tmp_path / "image_info.json"
    write_json(listed, {"images": [{"id": 99, "file_name": IMAGES[1], "width": 320, "height": 240}]})
    assert dropped(tmp_path, 99, image_list=str(listed)) == {}
    with pytest.raises(AnnotationError, match=r"number of the image is not in the list of images.*for example .*: 7"):
        dropped(tmp_path, 7, image_list=str(listed))
    write_json(listed, {"images": [{"id": "a", "file_name": "b"}]})
    with pytest.raises(AnnotationError, match=r"image_info\.json has no list of images with numbers as id"):
        dropped(tmp_path, 99, image_list=str(listed))
    with pytest.raises(MissingFilesError, match=r"gone\.json"):
        dropped(tmp_path, 99, image_list=str(tmp_path / "gone.json"))


WRONG: dict[str, tuple[Any, str]] = {
    "image of nothing": ({"image_id": None, "keypoints": FLAT}, "person 1 has image_id None: neither a number nor a"),
    "no keypoints": ({"image_id": 7}, "person 1 without id has no keypoints"),
    "keypoints of text": ({"image_id": 7, "keypoints": ["1"] * 51}, "person 1 has keypoints .* not x, y and score of"),
    "two keypoint values": ({"image_id": 7, "keypoints": [1, 2]}, "which are not x, y and score of each joint"),
    "many joints": ({"image_id": 7, "keypoints": FLAT + FLAT}, "a person has 34 joints; no tool known writes as many"),
    "14 joints": ({"image_id": 7, "keypoints": FLAT[:42]}, "say which order it is by skeleton=crowdpose_14 or lsp_14"),
    "box of three": ({"image_id": 7, "keypoints": FLAT, "bbox": [1, 2, 3]}, "person 1 has box .* not four numbers"),
}


@pytest.mark.parametrize(("record", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_file_and_person(tmp_path: Path, record: Any, message: str) -> None:
    write_images(tmp_path)
    write_json(tmp_path / "results.json", [{"image_id": 7, "keypoints": FLAT}, record])
    with pytest.raises(AnnotationError, match=message) as caught:
        open_detections(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert "results.json" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), ([2.0], 2), ([[5.0]], 5), ("7", 7), (-1, None), ([-1], None), ("x", None), (None, None), ([], None),
     (True, None), (float("inf"), None), (2**40, None)],
)  # fmt: skip
def test_the_ways_in_which_tracks_are_numbered(value: object, number: int | None) -> None:
    assert number_of(value) == number
