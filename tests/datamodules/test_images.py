"""Image files of all formats: decoded rightly at each reduction, or refused in one line, alike by header and pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from body_models.camera import crop_affine, process_box
from datamodules.crops import choose_reduction, least_reduction, read_image, warp
from datamodules.files import MAX_PIXELS, ImageError, check_image, image_size

WIDTH, HEIGHT = 84, 60
REFUSED = {
    "tiff with alpha": "TIFF with pixels of the kind RGBA", "tiff of 32 bits": "TIFF with pixels of the kind I;",
    "tiff of floats": "TIFF with pixels of the kind F;", "tiff turned": "TIFF with orientation 6",
    "tga": "does not decode as JPEG, PNG", "ico": "does not decode as", "ppm": "does not decode as",
    "web page": "does not decode as",
}  # fmt: skip


def picture() -> Image.Image:
    """(60, 84) smooth, but for one corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x * 3, y * 4, x + y], axis=-1).astype(np.uint8)
    pixels[:20, :20] = (250, 10, 10)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int = 6) -> dict[str, Image.Exif]:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return {"exif": exif}


def sixteen(suffix: str, image: Image.Image) -> bytes:
    return cv2.imencode(suffix, np.asarray(image)[..., ::-1].astype(np.uint16) * 257)[1].tobytes()


def files() -> dict[str, tuple[bytes, Image.Image]]:
    """Name -> content, and the picture that it shows."""
    rgb = picture()
    grey, palette, alpha = rgb.convert("L"), rgb.quantize(64), rgb.copy()
    alpha.putalpha(Image.fromarray((np.mgrid[:HEIGHT, :WIDTH][1] * 3).astype(np.uint8)))
    black = Image.new("RGB", rgb.size)
    moving = {"save_all": True, "append_images": [black], "duration": 100}
    black_and_white = rgb.convert("1")
    found = {
        "jpeg": (encoded(rgb, "JPEG", quality=95), rgb), "jpeg, grey": (encoded(grey, "JPEG", quality=95), grey),
        "jpeg, progressive": (encoded(rgb, "JPEG", quality=95, progressive=True), rgb),
        "jpeg, cmyk": (encoded(rgb.convert("CMYK"), "JPEG", quality=95), rgb),
        "png": (encoded(rgb, "PNG"), rgb), "png with alpha": (encoded(alpha, "PNG"), rgb),
        "png, grey": (encoded(grey, "PNG"), grey), "png of one bit": (encoded(black_and_white, "PNG"), black_and_white),
        "png, palette": (encoded(palette, "PNG"), palette),
        "png, palette with transparency": (encoded(palette, "PNG", transparency=bytes(range(64))), palette),
        "png of 16 bits": (sixteen(".png", rgb), rgb), "png that moves": (encoded(rgb, "PNG", **moving), rgb),
        "webp": (encoded(rgb, "WEBP", quality=95), rgb),
        "webp that moves": (encoded(rgb, "WEBP", lossless=True, **moving), rgb),
        "webp with alpha": (encoded(alpha, "WEBP", lossless=True, exact=True), rgb),
        "bmp": (encoded(rgb, "BMP"), rgb), "bmp, palette": (encoded(palette, "BMP"), palette),
        "gif": (encoded(palette, "GIF"), palette), "gif that moves": (encoded(palette, "GIF", **moving), palette),
        "tiff": (encoded(rgb, "TIFF"), rgb), "tiff, lzw": (encoded(rgb, "TIFF", compression="tiff_lzw"), rgb),
        "tiff, cmyk": (encoded(rgb.convert("CMYK"), "TIFF"), rgb), "tiff of 16 bits": (sixteen(".tif", rgb), rgb),
        "tiff, palette": (encoded(palette, "TIFF"), palette), "tiff with alpha": (encoded(alpha, "TIFF"), rgb),
        "tiff of 32 bits": (encoded(grey.convert("I"), "TIFF"), grey),
        "tiff of floats": (encoded(grey.convert("F"), "TIFF"), grey),
        "tiff turned": (encoded(rgb, "TIFF", **turned()), rgb),
        "jpeg 2000": (encoded(rgb, "JPEG2000"), rgb), "jpeg 2000, grey": (encoded(grey, "JPEG2000"), grey),
        "avif": (encoded(rgb, "AVIF", quality=95), rgb), "avif with alpha": (encoded(alpha, "AVIF", quality=95), rgb),
        "tga": (encoded(rgb, "TGA"), rgb), "ico": (encoded(rgb, "ICO"), rgb), "ppm": (encoded(rgb, "PPM"), rgb),
        "web page": (b"<!DOCTYPE html><html>404 Not Found</html>", rgb),
    }  # fmt: skip
    for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        found[f"{kind.lower()}, turned"] = encoded(rgb, kind, quality=95, **turned()), rgb
    return found


FILES = files()


@pytest.mark.parametrize("name", FILES)
def test_each_format_is_read_rightly_or_refused_alike(name: str, tmp_path: Path) -> None:
    content, shown = FILES[name]
    path = tmp_path / "picture"
    path.write_bytes(content)
    readers: tuple[Callable[[], object], ...] = (
        lambda: check_image(path, (WIDTH, HEIGHT)),
        lambda: image_size(path),
        lambda: read_image(path, (WIDTH, HEIGHT)),
        lambda: read_image(path, (WIDTH, HEIGHT), 4),
    )
    if name in REFUSED:
        for read in readers:
            with pytest.raises(ImageError, match=REFUSED[name]) as caught:
                read()
            assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        return
    for read in readers[:2]:
        read()
    pixels = np.asarray(shown.convert("RGB")).astype(float)
    # Half the colour's resolution is what all but the corner of the lossy formats lose.
    assert np.abs(read_image(path, (WIDTH, HEIGHT)) - pixels).mean() < 1.5
    for reduction in (2, 4, 8):
        reduced = read_image(path, (WIDTH, HEIGHT), reduction)
        assert np.abs(reduced - block_means(pixels, reduction)).mean() < 2


# All that is read but the second picture and what comes behind it of those that move.
@pytest.mark.parametrize("name", [name for name in FILES if name not in REFUSED and "moves" not in name])
def test_a_cut_file_of_each_format_is_refused(name: str, tmp_path: Path) -> None:
    content = FILES[name][0]
    path = tmp_path / "picture"
    for share in (0.0, 0.02, 0.3, 0.6, 0.9, 0.98):
        path.write_bytes(content[: int(share * len(content))])
        for reduction in (1, 8):
            with pytest.raises(ImageError, match=rf"image {path} .*get it again") as caught:
                read_image(path, (WIDTH, HEIGHT), reduction)
            assert "\n" not in str(caught.value)


def block_means(pixels: NDArray, reduction: int) -> NDArray:
    """The mean of each block of pixels, the edge repeated where a side is no multiple."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % reduction), (0, -width % reduction), (0, 0)), mode="edge")
    return padded.reshape(-(-height // reduction), reduction, -(-width // reduction), reduction, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_reduced_decoding_averages_in_every_format(suffix: str, reduction: int, tmp_path: Path) -> None:
    """Noise becomes weaker by the reduction, also in pictures whose sides are no multiple of it (1366 x 768)."""
    path = tmp_path / f"noise.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (77, 137), dtype=np.uint8)
    quality = {"jpg": [cv2.IMWRITE_JPEG_QUALITY, 100], "webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}
    cv2.imwrite(str(path), noise, quality.get(suffix, []))
    found = read_image(path, (137, 77), reduction)
    assert found.shape == (-(-77 // reduction), -(-137 // reduction), 3)
    assert found[:-1, :-1].std() == pytest.approx(74 / reduction, rel=0.15)


def test_a_large_person_in_a_png_of_any_size_is_cropped(tmp_path: Path) -> None:
    size = (1366, 768)
    y, x = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([x % 256, y % 256, (x + y) // 9], axis=-1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), pixels)
    affine = crop_affine(process_box((100, 0, 1200, 768), size), (64, 64))
    reduction = choose_reduction(affine, size)
    assert reduction == 8
    crop = warp(read_image(tmp_path / "large.png", size, reduction), affine, 64, reduction)
    plain = warp(read_image(tmp_path / "large.png", size), affine, 64)
    # Blue, in RGB order, is the smooth one.
    assert np.abs(crop[20:44, 20:44, 0].astype(int) - plain[20:44, 20:44, 0]).mean() < 1


def test_what_stands_behind_a_jpeg_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "motion.jpg"
    thumbnail = encoded(picture().resize((16, 12)), "JPEG")
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}):
        whole = encoded(picture(), "JPEG", quality=95, **options)
        # A thumbnail with an end marker of its own, as cameras store it.
        whole = whole[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + whole[2:]
        path.write_bytes(whole)
        pixels = read_image(path, (WIDTH, HEIGHT))
        for trailer in (bytes(5000), b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 40, b"\xff\xd8\xff\xe1" * 9):
            path.write_bytes(whole + trailer)
            check_image(path, (WIDTH, HEIGHT))
            np.testing.assert_array_equal(read_image(path, (WIDTH, HEIGHT)), pixels)
        for end in range(2, len(whole) - 1, 61):
            for filling in (b"", bytes(5000)):
                path.write_bytes(whole[:end] + filling)
                for read in (check_image, read_image):
                    with pytest.raises(ImageError, match=r"motion\.jpg"):
                        read(path, (WIDTH, HEIGHT))


@pytest.mark.parametrize("name", ["jpeg, turned", "png, turned", "webp, turned", "avif, turned"])
def test_a_size_that_exif_turns_is_explained(name: str, tmp_path: Path) -> None:
    path = tmp_path / "turned"
    path.write_bytes(FILES[name][0])
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match=r"\(84 x 60\) .*says \(60 x 84\): its EXIF orientation \(6\) turns it"):
            read(path, (HEIGHT, WIDTH))
        with pytest.raises(ImageError, match=r"\(84 x 60\) .*says \(84 x 61\); is it another image"):
            read(path, (WIDTH, HEIGHT + 1))


def test_photos_of_200_megapixels_are_read_at_reduced_scale(tmp_path: Path) -> None:
    size = (16320, 12240)
    path = tmp_path / "telephone.jpg"
    cv2.imwrite(str(path), np.zeros((size[1], size[0]), np.uint8))
    assert image_size(path) == size and check_image(path, size) == "JPEG"
    affine = crop_affine(process_box((8000, 6000, 200, 200), size), (256, 256))
    reduction = choose_reduction(affine, size)
    assert reduction == 2
    assert read_image(path, size, 8).shape == (1530, 2040, 3)
    assert [least_reduction(side) for side in ((640, 480), (8192, 8192), (8193, 8192), size)] == [1, 1, 2, 2]
    assert 16_384 * 16_384 == MAX_PIXELS
