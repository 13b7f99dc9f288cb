"""Looking at all images of a table before they are needed, many at a time: which are damaged, and whose they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.crops import read_image
from datamodules.files import ImageError
from datamodules.people import PeopleTable
from datamodules.progress import show_progress
from datamodules.writing import replacing

MISSING, UNREADABLE = "image not on disk", "image unreadable"
"""Reasons under which people are counted."""
THREADS = 8
_VERSION = 1


def decode_image(path: bytes, size: Sequence[int]) -> None:
    """Decode an image and throw it away; raises ImageError where that fails.

    A JPEG is decoded at an eighth of its size: all of its data is looked at, in less time. It has no checksums, so
    damage that leaves its data readable shows in its colours alone, and is not found.
    """
    read_image(path, size, 8)


def image_faults(
    root: str, names: Sequence[bytes], sizes: NDArray[np.int32], look: Callable[..., object]
) -> list[str | None]:
    """What is wrong with each image; None where nothing is.

    Args:
        root: folder that the names start from.
        names: (N,) of the images.
        sizes: (N, 2) width, height in pixels that the annotations expect.
        look: takes a path and a size; raises ImageError.
    """
    folder = os.fsencode(root)

    def fault(i: int) -> str | None:
        try:
            look(os.path.join(folder, names[i]), sizes[i])
        except ImageError as error:
            return str(error)
        return None

    # OpenCV decodes without the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(THREADS) as pool:
        return list(show_progress(pool.map(fault, range(len(names))), "looking at images", len(names)))


def damaged_people(table: PeopleTable, cache_dir: str) -> NDArray[np.bool_]:
    """(N,) mask of the people of a table whose image is on disk and does not decode.

    Each image is decoded once. What was found is kept in the cache, and holds while the size and the time of the file
    do.

    Args:
        table: the people.
        cache_dir: folder for caches.
    """
    # Of all rows, so that every view of the people finds the same file.
    names, first, inverse = np.unique(table.columns["image"], return_index=True, return_inverse=True)
    file = Path(cache_dir) / f"{table.origin}-images-v{_VERSION}.npz"
    stamps, damaged = _stamps(table.image_root, names), np.zeros(len(names), dtype=bool)
    new = stamps[:, 0] >= 0
    if file.is_file():
        with np.load(file, allow_pickle=False) as known:
            same = (known["stamps"] == stamps).all(axis=1)
            damaged[same] = known["damaged"][same]
        new &= ~same
    if new.any():
        sizes = table.columns["image_size"][first[new]]
        faults = image_faults(table.image_root, names[new].tolist(), sizes, decode_image)
        damaged[new] = [fault is not None for fault in faults]
        _save(file, stamps=stamps, damaged=damaged)
    return damaged[inverse[table.rows]]


def _stamps(root: str, names: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """(N, 2) size and time of change of each file, -1 where there is none."""
    folder = os.fsencode(root)

    def stamp(name: bytes) -> tuple[int, int]:
        try:
            found = os.stat(os.path.join(folder, name))
        except OSError:
            return -1, -1
        return found.st_size, found.st_mtime_ns

    # On the disks of a network most of the time is waiting.
    with ThreadPoolExecutor(THREADS) as pool:
        return np.array(list(pool.map(stamp, names.tolist())), dtype=np.int64)


def _save(file: Path, **arrays: NDArray[np.generic]) -> None:
    """Write the arrays; nobody ever sees half of them."""
    with replacing(file, shared=True) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
