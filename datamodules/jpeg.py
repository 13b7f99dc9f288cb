"""The segments of a JPEG file, as far as they tell whether the file is whole (ITU-T T.81, annex B)."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
# Markers without a length behind them: TEM, RST0 to RST7, SOI.
_BARE = frozenset((0x01, *range(0xD0, 0xD8), _START))
# In the data of a scan 0xFF is followed by 0x00 or is a restart; anything else begins a segment.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")


def is_truncated_jpeg(file: BinaryIO) -> bool:
    """Whether a JPEG ends before its end marker (EOI).

    Segments are passed over by their length, so the EOI of a thumbnail inside does not count, and what stands behind
    the picture's own EOI (the video of a motion photo, a second picture, padding) does not matter.

    Args:
        file: a JPEG, open for reading; it may be left anywhere.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    while (marker := _next_marker(file)) != _END:
        if marker is None:
            return True
        if marker in _BARE:
            continue
        length = int.from_bytes(file.read(2), "big")
        if file.seek(max(0, length - 2), os.SEEK_CUR) > size:
            return True
        if marker == _SCAN:
            return _is_truncated_scan(file)
    return False


def _next_marker(file: BinaryIO) -> int | None:
    """The second byte of the next marker, None at the end of the file; other bytes are passed over, as decoders do."""
    byte = file.read(1)
    while byte and byte != b"\xff":
        byte = file.read(1)
    while byte == b"\xff":
        byte = file.read(1)
    return byte[0] if byte else None


def _is_truncated_scan(file: BinaryIO) -> bool:
    """The same from a file that stands at the data of its first scan."""
    place = file.tell()
    if file.seek(0, os.SEEK_END) - place >= 2:
        file.seek(-2, os.SEEK_END)
        if file.read(2) == bytes((0xFF, _END)):
            # The data of a scan cannot hold this, and a file that was cut has nothing behind its picture.
            return False
    file.seek(place)
    data, place = file.read(), 0
    while found := _MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        if marker == _END:
            return False
        if marker not in _BARE:
            place += int.from_bytes(data[place : place + 2], "big")
    return True
