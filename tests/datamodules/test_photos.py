"""Photographs: what EXIF says of orientation and focal length, and upright copies."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datamodules.files import ImageError, check_image
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
    assert read_header(folder / name) == (header.size, 1, None)


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_tags_without_a_meaning(tmp_path: Path, orientation: int) -> None:
    write_photo(tmp_path / "a.jpg", orientation)
    assert read_header(tmp_path / "a.jpg") == (SIZE, 1, None)


def test_made_once_and_again_when_a_photograph_changes(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 6)
    write_photo(tmp_path / "b.jpg", 1)
    headers = {name: read_header(tmp_path / name) for name in ("a.jpg", "b.jpg")}
    folder = upright_folder(tmp_path, headers, tmp_path / "cache")
    assert (folder / "b.jpg").is_symlink() and not (folder / "a.jpg").is_symlink()
    assert upright_folder(tmp_path, headers, tmp_path / "cache") == folder
    write_photo(tmp_path / "a.jpg", 8)
    assert upright_folder(tmp_path, headers, tmp_path / "cache") != folder


# Tags about the exposure of a photograph of 60 x 40 pixels, and the focal length in pixels.
FOCALS: dict[str, tuple[dict[int, object], float | None]] = {
    "none": ({}, None),
    "35 mm film": ({0xA405: 36}, 36 / math.hypot(36, 24) * math.hypot(60, 40)),
    "unknown": ({0xA405: 0}, None),
    "made smaller": ({0xA405: 36, 0xA002: 6000, 0xA003: 4000}, 36 / math.hypot(36, 24) * math.hypot(60, 40)),
    "cropped": ({0xA405: 36, 0xA002: 4000, 0xA003: 4000}, None),
    # 8 mm, 600 pixels an inch, taken with 120 x 80 pixels.
    "pitch of pixels": ({0x920A: 8.0, 0xA20E: 600.0, 0xA210: 2, 0xA002: 120, 0xA003: 80}, 8 * 600 / 25.4 / 2),
    "pitch in centimetres": ({0x920A: 8.0, 0xA20E: 236.2, 0xA210: 3, 0xA002: 120, 0xA003: 80}, 8 * 236.2 / 10 / 2),
    "pitch of unknown unit": ({0x920A: 8.0, 0xA20E: 600.0, 0xA210: 1, 0xA002: 120, 0xA003: 80}, None),
    "telescope": ({0xA405: 3600}, None),
}


@pytest.mark.parametrize(("tags", "focal"), FOCALS.values(), ids=FOCALS.keys())
@pytest.mark.parametrize("orientation", [1, 6])
def test_focal_length(tmp_path: Path, tags: dict[int, object], focal: float | None, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update(tags)
    Image.fromarray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_header(tmp_path / "a.jpg").focal == (None if focal is None else pytest.approx(focal, rel=1e-3))


def test_a_photograph_that_cannot_be_turned_is_left_as_it_is(tmp_path: Path) -> None:
    """Its header is whole; whoever reads it is told what is wrong with it."""
    write_photo(tmp_path / "a.jpg", 6)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) - 60])
    folder = upright_folder(tmp_path, {"a.jpg": read_header(tmp_path / "a.jpg")}, tmp_path / "cache")
    assert (folder / "a.jpg").is_symlink()
    with pytest.raises(ImageError, match=r"truncated|another size"):
        check_image(folder / "a.jpg", SIZE[::-1])


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.jpg cannot be read"):
        read_header(tmp_path / "a.jpg")
