"""The photographs that a tool has looked at: found by what its files call them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from datamodules.files import MACOS_PREFIX, MissingFilesError

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".avif"))
_NUMBER = re.compile(r"(\d+)$")
_NATURAL = re.compile(r"(\d+)")


class Photos:
    """The images below a folder, by every name that a file of a tool may call them.

    Args:
        folder: with the images, in folders of any depth.
        numbers: number of an image -> its file name, from a COCO-style list of images.

    Attributes:
        folder: the folder.
        names: of the images below it, in the order in which people count: frame_2 before frame_10.

    Raises:
        MissingFilesError: there is no image.
    """

    def __init__(self, folder: Path, numbers: Mapping[int, str] | None = None) -> None:
        self.folder = folder
        self.names = sorted(_images_below(folder), key=_natural_key)
        if not self.names:
            remedy = "give the folder of the photographs that the tool was run on as images="
            raise MissingFilesError([f"images: looked for {folder}/**/*.jpg, .png and others. {remedy}"])
        self._numbers = numbers
        # A key that several images have leads to none of them.
        self._known: dict[str | int, str | None] = {}
        for keys in (_full_keys, _short_keys, _number_keys):
            found: dict[str | int, str | None] = {}
            for name in self.names:
                for key in keys(name):
                    found[key] = None if key in found else name
            # The whole path of one image goes before the last part of another's.
            self._known = {**found, **self._known}

    @property
    def digest(self) -> str:
        """Changes with the names of the images."""
        return hashlib.sha256("\0".join(self.names).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def find(self, image: str | int, frame: int | None = None) -> tuple[str | None, str]:
        """Name of an image below the folder; or None, and why.

        Args:
            image: file name with or without its folder and ending, or a number; of a frame the video's.
            frame: number within a video, from 0: the images are its frames, in order.
        """
        if frame is not None:
            found = self.names[frame] if frame < len(self.names) else None
            return found, "" if found else "the folder has fewer images than the video has frames"
        if isinstance(image, int) and self._numbers is not None:
            listed = self._numbers.get(image)
            if listed is None:
                return None, "number of the image is not in the list of images"
            image = listed
        for key in (image, *_short_keys(image)) if isinstance(image, str) else (image,):
            if key in self._known:
                found = self._known[key]
                return found, "" if found else "several images have that name"
        return None, "no image of that name"


def _images_below(folder: Path) -> Iterable[str]:
    for place, _, files in os.walk(folder):
        for name in files:
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(MACOS_PREFIX):
                yield Path(place, name).relative_to(folder).as_posix()


def _natural_key(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _NATURAL.split(name)]


def _full_keys(name: str) -> list[str]:
    return [name, PurePosixPath(name).with_suffix("").as_posix()]


def _short_keys(name: str) -> list[str]:
    path = PurePosixPath(name.replace("\\", "/"))
    return list(dict.fromkeys([path.name, path.stem]))


def _number_keys(name: str) -> list[int]:
    match = _NUMBER.search(PurePosixPath(name).stem)
    return [int(match[1])] if match else []
