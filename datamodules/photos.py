"""Photographs as cameras and telephones store them: how EXIF turns them, and the focal length it tells.

Data sets are annotated on the pixels as they are stored, and read so everywhere. A photograph of a telephone is stored
as its sensor lay, and its EXIF orientation says how to turn it: tools on OpenCV find people in the turned picture.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image, ImageOps

from datamodules.columns import write_folder
from datamodules.files import PILLOW_ERRORS, exif_numbers, exif_orientation, open_image
from datamodules.progress import show_progress

_TURNING = (5, 6, 7, 8)
# Millimetres of the diagonal of 35 mm film, 36 x 24.
_FILM_DIAGONAL = math.hypot(36, 24)
# Millimetres of FocalPlaneResolutionUnit's inch and centimetre.
_UNITS = {2: 25.4, 3: 10.0}
# Of the image's diagonal: a fish eye, and a long telephoto lens.
_LEAST_FOCAL, _MOST_FOCAL = 0.2, 30.0
# A photograph of another shape than the camera took was cropped.
_SAME_SHAPE = 0.01
_QUALITY = 95
_VERSION = 1


class PhotoHeader(NamedTuple):
    """What the header of a photograph says.

    Attributes:
        size: width, height in pixels of the upright picture.
        orientation: of EXIF, 1 to 8; 1 is stored upright.
        focal: focal length in pixels, the same for x and y; None where EXIF does not tell it.
    """

    size: tuple[int, int]
    orientation: int
    focal: float | None = None


def read_header(path: Path) -> PhotoHeader:
    """Size, orientation and focal length of a photograph, without decoding it.

    Raises:
        ImageError: it is missing, not an image, or of a kind that is not read.
    """
    with open_image(path, path) as image:
        orientation = exif_orientation(image)
        known = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
        width, height = image.size
        size = (height, width) if known in _TURNING else (width, height)
        return PhotoHeader(size, known, _focal(image))


def _focal(image: Image.Image) -> float | None:
    """Focal length in pixels.

    By the 35 mm equivalent, of the diagonal, which is the definition of CIPA DCG-001; or else by the pitch of the
    sensor's pixels. Both hold for a photograph that was made smaller, but for none that was cropped.
    """
    tags = exif_numbers(image)
    width, height = image.size
    taken = [tags.get(ExifTags.Base.ExifImageWidth, 0.0), tags.get(ExifTags.Base.ExifImageHeight, 0.0)]
    if min(taken) > 0:
        shapes = [max(size) / min(size) for size in (taken, (width, height))]
        if abs(shapes[0] / shapes[1] - 1) > _SAME_SHAPE:
            return None
    diagonal = math.hypot(width, height)
    focal = tags.get(ExifTags.Base.FocalLengthIn35mmFilm, 0.0) / _FILM_DIAGONAL * diagonal
    pitch = tags.get(ExifTags.Base.FocalPlaneXResolution, 0.0)
    unit = _UNITS.get(int(tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)))
    if not focal and pitch and unit and min(taken) > 0:
        focal = tags.get(ExifTags.Base.FocalLength, 0.0) * pitch / unit * max(width, height) / max(taken)
    return focal if _LEAST_FOCAL * diagonal < focal < _MOST_FOCAL * diagonal else None


def upright_folder(root: Path, headers: Mapping[str, PhotoHeader], cache_dir: str | Path) -> Path:
    """Folder in which photographs stand upright under their own names.

    It is the photographs' own folder where all of them do. Otherwise it is made once, in the cache: those that EXIF
    turns are decoded, turned and encoded again (JPEG: quality 95), the others are links. So are those that do not
    decode: whoever reads them finds out.

    Args:
        root: folder that the names start from.
        headers: name -> header of each photograph.
        cache_dir: folder for caches.
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
            if name not in turned or not _write_upright(root / name, place):
                place.symlink_to((root / name).absolute())

    return write_folder(Path(cache_dir) / f"upright-{key.hexdigest()[:16]}", write)


def _write_upright(path: Path, place: Path) -> bool:
    """Write an upright copy; returns whether that went well."""
    try:
        with open_image(path, path) as image:
            upright = ImageOps.exif_transpose(image)
            upright.save(place, format=image.format if image.format != "MPO" else "JPEG", quality=_QUALITY)
    except PILLOW_ERRORS:
        place.unlink(missing_ok=True)
        return False
    return True
