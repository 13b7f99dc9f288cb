"""Photographs as cameras and telephones store them: how EXIF turns them.

Data sets are annotated on the pixels as they are stored, and read so everywhere. A photograph of a telephone is stored
as its sensor lay, and its EXIF orientation says how to turn it: tools on OpenCV find people in the turned picture.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import ImageOps

from datamodules.columns import write_folder
from datamodules.files import exif_orientation, open_image
from datamodules.progress import show_progress

_TURNING = (5, 6, 7, 8)
_QUALITY = 95
_VERSION = 1


class PhotoHeader(NamedTuple):
    """What the header of a photograph says.

    Attributes:
        size: width, height in pixels of the upright picture.
        orientation: of EXIF, 1 to 8; 1 is stored upright.
    """

    size: tuple[int, int]
    orientation: int


def read_header(path: Path) -> PhotoHeader:
    """Size and orientation of a photograph, without decoding it.

    Raises:
        ImageError: it is missing, not an image, or of a kind that is not read.
    """
    with open_image(path, path) as image:
        orientation = exif_orientation(image)
        known = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
        width, height = image.size
        return PhotoHeader((height, width) if known in _TURNING else (width, height), known)


def upright_folder(root: Path, headers: Mapping[str, PhotoHeader], cache_dir: str | Path) -> Path:
    """Folder in which photographs stand upright under their own names.

    It is the photographs' own folder where all of them do. Otherwise it is made once, in the cache: those that EXIF
    turns are decoded, turned and encoded again (JPEG: quality 95), the others are links.

    Args:
        root: folder that the names start from.
        headers: name -> header of each photograph.
        cache_dir: folder for caches.

    Raises:
        ImageError: one that has to be turned cannot be decoded.
    """
    turned = {name for name, header in headers.items() if header.orientation != 1}
    if not turned:
        return root
    stamps = [(name, os.stat(root / name).st_mtime_ns) for name in sorted(headers)]
    key = hashlib.sha256(repr((os.path.abspath(root), stamps, _VERSION)).encode("utf-8", "surrogateescape"))

    def write(folder: Path) -> None:
        for name in show_progress(headers, "turning photographs upright"):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if name in turned:
                _write_upright(root / name, place)
            else:
                place.symlink_to((root / name).absolute())

    return write_folder(Path(cache_dir) / f"upright-{key.hexdigest()[:16]}", write)


def _write_upright(path: Path, place: Path) -> None:
    with open_image(path, path) as image:
        upright = ImageOps.exif_transpose(image)
        upright.save(place, format=image.format if image.format != "MPO" else "JPEG", quality=_QUALITY)
