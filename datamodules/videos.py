"""Frames of videos, decoded once, in order, into the cache.

A video can only be decoded from its start, so random access is no option. The frames are written as JPEG, whole and at
full size, so that everything that reads images works on them as it is.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from datamodules.columns import write_folder
from datamodules.files import AnnotationError
from datamodules.progress import show_progress

VIDEO_SUFFIXES = frozenset((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"))
_VERSION = 1
_QUALITY = 92
# A header may count a few frames more than there are; a video cut short lacks many.
_HEADER_SLACK = 0.02


def frames_folder(video: Path, cache_dir: str | Path) -> Path:
    """Folder with all frames of a video, ``frame_000001.jpg`` and so on; made unless that was done already.

    Raises:
        AnnotationError: it does not decode, or is cut short.
    """
    stat = video.stat()
    name = os.fsencode(os.path.abspath(video))
    key = hashlib.sha256(name + f":{stat.st_size}:{stat.st_mtime_ns}:{_VERSION}".encode()).hexdigest()
    place = Path(cache_dir) / f"frames-{key[:16]}"
    return place if place.is_dir() else write_folder(place, lambda temporary: _decode_all(video, temporary))


def _decode_all(video: Path, folder: Path) -> None:
    decode_video(video, folder)


def decode_video(video: Path, folder: Path, frame_step: int = 1, size: NDArray[Any] | None = None) -> int:
    """Write the frames of a video as ``frame_000001.jpg`` and so on, counted from 1.

    Args:
        video: anything that FFmpeg decodes.
        folder: to write into.
        frame_step: every n-th frame is written, under its own number.
        size: (2,) width, height in pixels of the calibration; unchecked if None.

    Returns:
        The number of frames of the video, also those that were not written.

    Raises:
        AnnotationError: it does not decode, is cut short, or is of another size.
    """
    remedy = "Get it again"
    try:
        # OpenCV crashes on any other path.
        os.fspath(video).encode("utf-8")
    except UnicodeEncodeError as error:
        msg = f"{os.fsencode(video)!r}: videos are only read from paths in UTF-8; rename its folder, or extract frames"
        raise AnnotationError(msg) from error
    capture = cv2.VideoCapture(os.fspath(video), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        msg = f"{video} does not open as a video. {remedy}"
        raise AnnotationError(msg)
    announced, count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))), 0
    # Frames between those that are kept are decoded all the same, but not converted.
    for _ in show_progress(iter(capture.grab, False), f"decoding {'/'.join(video.parts[-4:])}", announced or None):
        if count % frame_step == 0:
            good, image = capture.retrieve()
            if not good or (size is not None and image.shape[1::-1] != tuple(size)):
                found = f"has {image.shape[1]} x {image.shape[0]} pixels" if good else "does not decode"
                msg = f"{video}: frame {count} {found}, camera.calibration says {size}. {remedy}"
                raise AnnotationError(msg)
            good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            (folder / f"frame_{count + 1:06d}.jpg").write_bytes(data.tobytes())
        count += 1
    capture.release()
    if count == 0 or count < (1 - _HEADER_SLACK) * announced:
        msg = f"{video} stops after {count} of the {announced} frames that its header announces. {remedy}"
        raise AnnotationError(msg)
    return count
