"""Photographs that EXIF turns: what their header says, and upright copies."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datamodules.files import ImageError
from datamodules.photos import read_header, upright_folder

SIZE = (60, 40)


def write_photo(path: Path, orientation: object, **more: object) -> None:
    """A picture with a white corner, stored as it is, and a tag that says how to turn it."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[:20, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif, **more)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_turned_as_opencv_turns(tmp_path: Path, orientation: int, ending: str) -> None:
    name = f"day/a.{ending}"
    write_photo(tmp_path / name, orientation, quality=98)
    header = read_header(tmp_path / name)
    assert header.orientation == orientation
    assert header.size == (SIZE if orientation < 5 else SIZE[::-1])
    folder = upright_folder(tmp_path, {name: header}, tmp_path / "cache")
    assert (folder == tmp_path) == (orientation == 1)
    found = cv2.imread(str(folder / name), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    expected = cv2.imread(str(tmp_path / name))
    if ending != "jpg":
        # Not every OpenCV turns these; a JPEG of the same picture is always turned.
        write_photo(tmp_path / "same.jpg", orientation, quality=98)
        expected = cv2.imread(str(tmp_path / "same.jpg"))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 4
    assert read_header(folder / name) == (header.size, 1)


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_tags_without_a_meaning(tmp_path: Path, orientation: int) -> None:
    write_photo(tmp_path / "a.jpg", orientation)
    assert read_header(tmp_path / "a.jpg") == (SIZE, 1)


def test_made_once_and_again_when_a_photograph_changes(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 6)
    write_photo(tmp_path / "b.jpg", 1)
    headers = {name: read_header(tmp_path / name) for name in ("a.jpg", "b.jpg")}
    folder = upright_folder(tmp_path, headers, tmp_path / "cache")
    assert (folder / "b.jpg").is_symlink() and not (folder / "a.jpg").is_symlink()
    assert upright_folder(tmp_path, headers, tmp_path / "cache") == folder
    write_photo(tmp_path / "a.jpg", 8)
    assert upright_folder(tmp_path, headers, tmp_path / "cache") != folder


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.jpg cannot be read"):
        read_header(tmp_path / "a.jpg")
