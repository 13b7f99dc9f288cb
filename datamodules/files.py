"""Finding and opening the files of data sets: what is missing or unreadable is named, with the remedy."""

from __future__ import annotations

import faulthandler
import json
import math
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from datamodules.jpeg import is_truncated_jpeg

_SHOWN = 20
MAX_PIXELS = 2**28
"""Largest image that is read: 268 megapixels, above the 200 of today's telephones."""
# Formats that Pillow and OpenCV were seen to read alike, by Pillow's names; the last is unknown to Pillow before 11.3.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "AVIF")
# Pillow's kinds of pixels that OpenCV decodes rightly, of the format that has others.
_TIFF_MODES = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "I;16B")
# EXIF orientations that swap width and height.
_TURNING = (5, 6, 7, 8)


class AnnotationError(ValueError):
    """A file that is there but does not hold what its name promises; the message names file, record and remedy."""


class ImageError(ValueError):
    """An image that cannot be read, or is not the one that its annotation describes; the message is one line."""


class MissingFilesError(FileNotFoundError):
    """Files that are not there, all of them at once.

    Args:
        missing: one line each: the path, and where to get it.
    """

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = list(missing)
        shown = "\n".join(f"  {line}" for line in self.missing[:_SHOWN])
        more = f"\n  ... and {len(self.missing) - _SHOWN} more" if len(self.missing) > _SHOWN else ""
        super().__init__(f"{len(self.missing)} missing:\n{shown}{more}")


def first_file(candidates: Iterable[Path], what: str, remedy: str) -> Path:
    """First of several places that holds a file.

    Raises:
        MissingFilesError: none does.
    """
    tried = list(candidates)
    for path in tried:
        if path.is_file():
            return path
    places = ", ".join(map(str, tried))
    raise MissingFilesError([f"{what}: looked for {places}. {remedy}"])


# Archives made on macOS hold such a file, with Finder's attributes, beside each true one.
MACOS_PREFIX = "._"


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Files below a folder that match a glob pattern, sorted; without the ``._*`` that macOS puts beside others."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith(MACOS_PREFIX))


def count_macos_files(folder: Path, pattern: str) -> int:
    """Number of files that :func:`find_files` passes over."""
    return sum(path.name.startswith(MACOS_PREFIX) for path in folder.glob(pattern))


def macos_note(folder: Path, pattern: str) -> str:
    """A sentence about the files that :func:`find_files` passes over; empty if there are none."""
    count = count_macos_files(folder, pattern)
    return f"{count} files {MACOS_PREFIX}* of macOS in {folder} are passed over" if count else ""


def read_json(path: Path, unread: Sequence[str] = ()) -> Any:
    """Content of a JSON file.

    Args:
        path: the file.
        unread: keys that are thrown away from every object as soon as it is parsed; large files then fit in memory.

    Raises:
        AnnotationError: it is not JSON, or not text.
    """

    def without(record: dict[str, Any]) -> dict[str, Any]:
        for key in unread:
            record.pop(key, None)
        return record

    try:
        return json.loads(path.read_bytes(), object_hook=without if unread else None)
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not valid JSON ({error}); it may be truncated: get it again"
        raise AnnotationError(msg) from error


def read_lines(path: Path, remedy: str) -> list[str]:
    """Lines of a text file, with or without a byte order mark.

    Raises:
        AnnotationError: it is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = f"{path} is not text ({error}). {remedy}"
        raise AnnotationError(msg) from error


# All that scipy was seen to raise on damaged files; it has no common type for them.
_MATLAB_ERRORS = (
    MatReadError, ValueError, TypeError, KeyError, UnboundLocalError, IndexError, AttributeError, NotImplementedError,
    ArithmeticError, MemoryError, OSError, zlib.error,
)  # fmt: skip


def read_matlab(path: Path, names: Sequence[str], remedy: str, **options: bool) -> dict[str, Any]:
    """Variables of a MATLAB v5 file; ``options`` as scipy.io.loadmat takes them.

    Raises:
        AnnotationError: it is damaged, of another version, or lacks a variable.
    """

    def read() -> dict[str, Any]:
        return loadmat(path, variable_names=list(names), **options)

    if not _survives(read):
        msg = f"{path} is a damaged MATLAB v5 file. {remedy}"
        raise AnnotationError(msg)
    try:
        content = read()
    except _MATLAB_ERRORS as error:
        msg = f"{path} is not a readable MATLAB v5 file ({error!r}). {remedy}"
        raise AnnotationError(msg) from error
    missing = [name for name in names if name not in content]
    if missing:
        msg = f"{path} has no variable {', '.join(missing)}. {remedy}"
        raise AnnotationError(msg)
    return content


def _survives(read: Callable[[], object]) -> bool:
    """Whether reading comes to an end, be it an error; tried in a process of its own.

    scipy looks types up in a table by whatever number stands in the file, which kills the process where it is none.
    """
    if not hasattr(os, "fork"):
        return True
    child = os.fork()
    if child:
        return not os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        faulthandler.disable()
        read()
    finally:
        # Nothing of the parent's is to be cleaned up, or printed, twice.
        os._exit(0)


# What Pillow was seen to raise on damaged headers.
PILLOW_ERRORS = (
    OSError, ValueError, SyntaxError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
# Pillow's own limit is below what telephones take; the one below holds instead.
Image.MAX_IMAGE_PIXELS = None
# Of tags that it cannot read, for each image again; what matters of them is an ImageError.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels, from the header alone.

    Raises:
        ImageError: it is missing, not an image, or of a kind that is not read.
    """
    with open_image(path, path) as image:
        return image.size


def check_image(path: str | bytes | Path, size: Sequence[int] | None = None) -> str:
    """Look at an image's header and end, without decoding it.

    Args:
        path: of the file; any bytes that the file system knows.
        size: width, height in pixels that the annotation expects; None where that is not known.

    Returns:
        The format, e.g. ``JPEG``.

    Raises:
        ImageError: missing, truncated, not an image, of a kind that is not read, or of another size.
    """
    shown = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            return check_header(file, shown, size)
    except OSError as error:
        msg = f"image {shown} cannot be read ({error.strerror})"
        raise ImageError(msg) from error


def check_header(file: BinaryIO, shown: str, size: Sequence[int] | None = None) -> str:
    """The same of an open file; ``shown`` is its path for messages."""
    with open_image(file, shown) as image:
        if size is not None and image.size != (size[0], size[1]):
            raise ImageError(_other_size(image, shown, size))
        # A JPEG with a second picture behind the first is read as the first.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
    if kind == "JPEG" and is_truncated_jpeg(file):
        msg = f"image {shown} is truncated; get it again"
        raise ImageError(msg)
    return kind


@contextmanager
def open_image(file: Path | BinaryIO, shown: str | Path) -> Iterator[Image.Image]:
    """An image of a kind that is read, opened by Pillow, which has read its header."""
    try:
        image = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:
        kinds = ", ".join(_FORMATS)
        msg = f"image {shown} cannot be read: it does not decode as {kinds}; get it again, or convert it"
        raise ImageError(msg) from error
    except PILLOW_ERRORS as error:
        msg = f"image {shown} cannot be read ({error}); get it again"
        raise ImageError(msg) from error
    with image:
        if (reason := _unread(image)) is not None:
            msg = f"image {shown} is not read: {reason}"
            raise ImageError(msg)
        yield image


def _unread(image: Image.Image) -> str | None:
    """Why an image is not read although it may be whole; OpenCV would decode it otherwise than others do, or not."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        return f"it has {width} x {height} pixels, and more than {MAX_PIXELS:,} are taken for an attack; shrink it"
    if image.format != "TIFF":
        return None
    if image.mode not in _TIFF_MODES:
        return f"TIFF with pixels of the kind {image.mode}; convert it to PNG or JPEG"
    if (orientation := exif_orientation(image)) != 1:
        return f"TIFF with orientation {orientation}, which not all programs turn alike; convert it to PNG or JPEG"
    return None


def _other_size(image: Image.Image, shown: str, size: Sequence[int]) -> str:
    """Message: what size was found, and whether someone has annotated the image as EXIF turns it."""
    width, height = image.size
    msg = f"image {shown} has another size ({width} x {height}) than its annotation says ({size[0]} x {size[1]})"
    orientation = exif_orientation(image) if (height, width) == (size[0], size[1]) else 1
    if orientation not in _TURNING:
        return f"{msg}; is it another image?"
    return (
        f"{msg}: its EXIF orientation ({orientation}) turns it, but pixels are taken as they are stored; "
        "store it turned (mogrify -auto-orient), or annotate it as stored"
    )


def exif_orientation(image: Image.Image) -> object:
    """EXIF orientation; 1, as it is stored, where there is none."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except PILLOW_ERRORS:
        return 1


def exif_numbers(image: Image.Image) -> dict[int, float]:
    """Finite numbers among the EXIF tags about the exposure, by tag; none where they cannot be read."""
    numbers = {}
    try:
        for tag, value in image.getexif().get_ifd(ExifTags.IFD.Exif).items():
            with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
                numbers[int(tag)] = float(value)
    except PILLOW_ERRORS:
        return {}
    return {tag: value for tag, value in numbers.items() if math.isfinite(value)}


def as_floats(values: Any) -> NDArray[np.float64]:
    """Numbers as float64, but not complex ones, whose imaginary part numpy would only warn of.

    Raises:
        ValueError: they are complex, or no numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind == "c":
        msg = "complex numbers"
        raise ValueError(msg)
    return array.astype(np.float64)


def require_some_image(root: Path, names: Sequence[str], annotations: Path, remedy: str) -> None:
    """Raise MissingFilesError, with the path of the first, if none of the images of annotations is on disk."""
    # os.path.isfile, unlike Path.is_file, has an answer for every name that a file may hold.
    if names and not any(os.path.isfile(root / name) for name in names):
        looked = f"looked for {root / names[0]} and {len(names) - 1:,} more"
        raise MissingFilesError([f"images of {annotations}: {looked}. {remedy}"])


def missing_files(root: str | Path, names: Sequence[bytes]) -> NDArray[np.bool_]:
    """(N,) whether each path below root is missing; reads each folder once instead of asking for each file."""
    listings: dict[bytes, set[bytes]] = {}
    missing = np.zeros(len(names), dtype=bool)
    for i, name in enumerate(names):
        folder, file = os.path.split(os.path.join(os.fsencode(root), name))
        if folder not in listings:
            listings[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        missing[i] = file not in listings[folder]
    return missing
