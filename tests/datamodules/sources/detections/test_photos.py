"""Photographs by what tools call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.files import MissingFilesError
from datamodules.sources.detections.photos import Photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "frame_10.jpg",
        "frame_2.JPG",
        "day1/a.png",
        "day2/a.png",
        "day2/b.c.jpg",
        "b.c.png",
        "._b.jpg",
        "t.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_names_in_the_order_of_numbers(folder: Path) -> None:
    assert Photos(folder).names == [
        "b.c.png",
        "day1/a.png",
        "day2/a.png",
        "day2/b.c.jpg",
        "frame_2.JPG",
        "frame_10.jpg",
    ]


@pytest.mark.parametrize(
    ("image", "found"),
    [("frame_2.JPG", "frame_2.JPG"), ("frame_2", "frame_2.JPG"), ("/home/me/frame_2.JPG", "frame_2.JPG"),
     ("day1/a.png", "day1/a.png"), ("day2/a", "day2/a.png"), ("photos\\frame_10.jpg", "frame_10.jpg"),
     (2, "frame_2.JPG"), (10, "frame_10.jpg"), ("b.c", "b.c.png"), ("b.c.jpg", "day2/b.c.jpg")],
)  # fmt: skip
def test_ways_to_name_one(folder: Path, image: str | int, found: str) -> None:
    assert Photos(folder).find(image) == (found, "")


@pytest.mark.parametrize(
    ("image", "why"),
    [("a.png", "several images have that name"), ("c", "no image of that name"), (7, "no image of that name"),
     ("\ud800", "no image of that name"), ("", "no image of that name")],
)  # fmt: skip
def test_what_names_none(folder: Path, image: str | int, why: str) -> None:
    assert Photos(folder).find(image) == (None, why)


def test_frames_are_the_images_in_order(folder: Path) -> None:
    photos = Photos(folder)
    assert photos.find("walk", 4) == ("frame_2.JPG", "")
    assert photos.find("walk", 6)[0] is None


def test_a_digest_of_the_names(folder: Path) -> None:
    before = Photos(folder).digest
    assert Photos(folder).digest == before
    (folder / "new.jpg").touch()
    assert Photos(folder).digest != before


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match="give the folder of the photographs"):
        Photos(tmp_path)
