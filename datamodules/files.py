"""Finding and opening the files of data sets: what is missing or unreadable is named, with the remedy."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

_SHOWN = 20


class AnnotationError(ValueError):
    """A file that is there but does not hold what its name promises; the message names file, record and remedy."""


class ImageError(ValueError):
    """An image that cannot be read, or is not the one that its annotation describes."""


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


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        AnnotationError: it is not JSON, or not text.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not valid JSON ({error}); it may be truncated: get it again"
        raise AnnotationError(msg) from error


# All that scipy was seen to raise on damaged files; it has no common type for them.
_MATLAB_ERRORS = (
    MatReadError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, OverflowError,
    MemoryError, OSError, zlib.error,
)  # fmt: skip


def read_matlab(path: Path, names: Sequence[str], remedy: str, **options: bool) -> dict[str, Any]:
    """Variables of a MATLAB v5 file; ``options`` as scipy.io.loadmat takes them.

    Raises:
        AnnotationError: it is damaged, of another version, or lacks a variable.
    """
    try:
        content = loadmat(path, variable_names=list(names), **options)
    except _MATLAB_ERRORS as error:
        msg = f"{path} is not a readable MATLAB v5 file ({error!r}). {remedy}"
        raise AnnotationError(msg) from error
    missing = [name for name in names if name not in content]
    if missing:
        msg = f"{path} has no variable {', '.join(missing)}. {remedy}"
        raise AnnotationError(msg)
    return content


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels, from the header alone.

    Raises:
        ImageError: it is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        msg = f"image {path} cannot be read ({error}); get it again"
        raise ImageError(msg) from error


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
