"""YOLO-pose: what may stand behind the joints, folders of splits, joints without scores, and each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.sources.detections import open_detections
from datamodules.sources.detections.found import Found
from datamodules.sources.detections.yolo import YOLO
from datamodules.writing import write_text
from tests.support.detections import IMAGES, write_images, write_yolo, yolo_line


def table_of(root: Path, **options: Any) -> PeopleTable:
    return open_detections(str(root), cache_dir=str(root / "cache"), **options)


def person_of(line: str) -> Found:
    (person,) = YOLO.read(Path("labels/a.txt"), [line, ""], "auto")
    return person


@pytest.mark.parametrize(("tail", "track"), [("", None), (" 0.873", None), (" 5", 5), (" 0.873 5", 5)])
def test_confidence_and_track_behind_the_joints(tail: str, track: int | None) -> None:
    person = person_of(yolo_line(0, tail=tail))
    assert person.track == track and person.joints.shape == (17, 3)


def test_joints_without_scores(tmp_path: Path) -> None:
    """A model of kpt_shape [17, 2]: a joint at 0, 0 was not found."""
    words = yolo_line(0).split()
    pairs = [word for i, word in enumerate(words[5:]) if i % 3 < 2]
    joints = person_of(" ".join(words[:5] + pairs)).joints
    assert joints[:16, 2].all() and not joints[16, 2]


def test_folders_of_splits(tmp_path: Path) -> None:
    """Two splits may have the same names."""
    write_images(tmp_path)
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir()
        (tmp_path / "images" / IMAGES[0]).rename(tmp_path / "images" / split / IMAGES[0])
        write_images(tmp_path)
        write_text(tmp_path / "labels" / split / f"{IMAGES[0][:-4]}.txt", yolo_line(0) + "\n")
    table = table_of(tmp_path)
    assert sorted(table.column("image").tolist()) == [f"{split}/{IMAGES[0]}".encode() for split in ("train", "val")]


def test_a_name_that_two_images_have(tmp_path: Path) -> None:
    write_images(tmp_path)
    for split in ("a", "b"):
        (tmp_path / "images" / split).mkdir()
        (tmp_path / "images" / split / IMAGES[0]).write_bytes((tmp_path / "images" / IMAGES[0]).read_bytes())
    (tmp_path / "images" / IMAGES[0]).unlink()
    write_yolo(tmp_path)
    assert table_of(tmp_path).dropped == {"several images have that name": 2}


WRONG: dict[str, tuple[str, str]] = {
    "boxes alone": ("0 0.5 0.5 0.2 0.2", "line 1 has 5 numbers; of 17 joints with a score it has 56 and up to 2 more"),
    "text": (yolo_line(0).replace("0.", "x", 1), "line 1 is not all numbers"),
}


@pytest.mark.parametrize(("line", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    write_images(tmp_path)
    write_text(tmp_path / "labels" / f"{IMAGES[0][:-4]}.txt", line)
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(tmp_path)
    assert f"{IMAGES[0][:-4]}.txt" in str(caught.value)


def test_joints_of_another_number(tmp_path: Path) -> None:
    write_images(tmp_path)
    words = yolo_line(0).split()
    write_text(tmp_path / "labels" / f"{IMAGES[0][:-4]}.txt", " ".join(words[: 5 + 48]))
    assert len(table_of(tmp_path, skeleton="mpii_16")) == 1
    with pytest.raises(AnnotationError, match="there is no skeleton 'mpii'"):
        table_of(tmp_path, skeleton="mpii")
