"""easy_ViTPose: videos with tracks, the order in the file, and each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.sources.detections import open_detections
from datamodules.sources.detections.skeletons import SKELETONS
from datamodules.writing import write_json
from tests.support.detections import joints_of, write_images

NAMES = {str(i): name for i, name in enumerate(SKELETONS["vitpose_25"])}
JOINTS = joints_of(SKELETONS["vitpose_25"], 0)[:, [1, 0, 2]].tolist()


def table_of(root: Path, content: Any, **options: Any) -> PeopleTable:
    write_images(root)
    write_json(root / "walk_result.json", content)
    return open_detections(str(root), cache_dir=str(root / "cache"), **options)


def test_a_video(tmp_path: Path) -> None:
    frames = [{"3": JOINTS}, {}, {"3": JOINTS, "5": JOINTS}]
    table = table_of(tmp_path, {"keypoints": frames, "skeleton": NAMES})
    assert table.column("frame").tolist() == [0, 2, 2] and table.column("person").tolist() == [3, 3, 5]
    assert table.column("sequence").tolist() == [b"walk"] * 3


WRONG: dict[str, tuple[Any, str]] = {
    "no frames": ({"keypoints": {}, "skeleton": NAMES}, "keypoints is {}, not a list of frames"),
    "a frame of another kind": ({"keypoints": [[1]], "skeleton": NAMES}, r"frame 0 is \[1\], not people by their id"),
    "pairs": ({"keypoints": [{"0": [[1, 2]]}], "skeleton": NAMES}, "which are not 3 numbers for each joint"),
    "fewer joints": ({"keypoints": [{"0": JOINTS[:9]}], "skeleton": NAMES}, "has 9 joints, the skeleton has 25"),
    "no names": ({"keypoints": [{"0": JOINTS}], "skeleton": [[0, 1]]}, "not names by number; give skeleton=coco_17 or"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_the_file(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(tmp_path, content)
    assert "walk_result.json" in str(caught.value)


def test_without_names_the_order_may_be_said(tmp_path: Path) -> None:
    content = {"keypoints": [{"0": JOINTS}, {"0": JOINTS}], "skeleton": None}
    assert len(table_of(tmp_path, content, skeleton="vitpose_25")) == 2
