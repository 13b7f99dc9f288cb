"""Label Studio: people without a rectangle, addresses of images, and each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.sources.detections import open_detections
from datamodules.writing import write_json
from tests.support.detections import IMAGES, SIZE, joint_of, write_images, write_label_studio

NAMES = ("Left Shoulder", "RShoulder", "left-hip", "rhip", "nose")


def table_of(root: Path) -> PeopleTable:
    write_images(root)
    return open_detections(str(root), cache_dir=str(root / "cache"))


def point(name: Any, x: float = 20.0, y: float = 30.0, **more: Any) -> dict[str, Any]:
    return {"type": "keypointlabels", "value": {"x": x, "y": y, "width": 0.3, "keypointlabels": [name]}, **more}


def task(results: Any, image: Any = IMAGES[0]) -> dict[str, Any]:
    return {"id": 4, "data": {"image": image}, "annotations": [{"result": results}]}


def marked() -> list[dict[str, Any]]:
    return [point(name, 10 * i, 50 - i) for i, name in enumerate(NAMES, start=1)]


def test_people_without_rectangles_begin_where_a_name_comes_again(tmp_path: Path) -> None:
    write_label_studio(tmp_path, parents=False)
    table = table_of(tmp_path)
    # The second person has no nose, so that their first joint is one that the first person has, too.
    assert len(table) == 3
    eye = table.joint_set.names.index("left_eye")
    np.testing.assert_allclose(table.column("joints_2d")[1, eye, :2], joint_of("left_eye", 1)[:2], atol=1e-3)


def test_names_as_people_write_them(tmp_path: Path) -> None:
    write_json(tmp_path / "export.json", [task(marked())])
    table = table_of(tmp_path)
    joints = table.column("joints_2d")[0]
    found = {name: joints[i] for i, name in enumerate(table.joint_set.names) if joints[i, 2]}
    assert found.keys() == {"nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip"}
    np.testing.assert_allclose(found["right_hip"], [0.4 * SIZE[0], 0.46 * SIZE[1], 1], rtol=1e-5)


@pytest.mark.parametrize(
    "image",
    [f"/data/local-files/?d=photos/{IMAGES[0]}", f"https://x.org/a%20b/{IMAGES[0]}", f"s3://b/0a1b2c3d-{IMAGES[0]}"],
)
def test_addresses_of_images(tmp_path: Path, image: str) -> None:
    write_json(tmp_path / "export.json", [task(marked(), image)])
    assert table_of(tmp_path).column("image").tolist() == [IMAGES[0].encode()]


def test_the_image_may_have_another_key(tmp_path: Path) -> None:
    record = task(marked())
    record["data"] = {"number": 3, "img": IMAGES[1]}
    write_json(tmp_path / "export.json", [record])
    assert table_of(tmp_path).column("image").tolist() == [IMAGES[1].encode()]


WRONG: dict[str, tuple[Any, str]] = {
    "no image": (task(marked(), image=None), "task 4 has no image in its data"),
    "no annotations": ({"data": {}, "annotations": 3}, "task '?0'? has annotations 3, not a list"),
    "results of another kind": (task({"a": 1}), "task 4 has result .* not a list"),
    "two names": (task([{**point("nose"), "value": {"x": 1, "y": 1, "keypointlabels": ["a", "b"]}}]), "not one name"),
    "no place": (task([{**point("nose"), "value": {"keypointlabels": ["nose"]}}]), "a mark without numbers x, y"),
    "twice": (task([point("nose", parentID="a"), point("nose", parentID="a")]), "a person has two points 'nose'"),
    "rectangle of text": (task([{"type": "rectanglelabels", "value": "x"}]), "a mark without numbers x, y, width"),
    "pixels": (task([point(name, 900.0, 700.0 + i) for i, name in enumerate(NAMES)]), "are not percent of the image"),
}


@pytest.mark.parametrize(("record", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_the_file(tmp_path: Path, record: Any, message: str) -> None:
    write_json(tmp_path / "export.json", [record])
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(tmp_path)
    assert "export.json" in str(caught.value)
