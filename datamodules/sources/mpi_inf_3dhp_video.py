"""Frames of MPI-INF-3DHP's training videos, decoded once, in order, into the cache.

A video can only be decoded from its start, so random access is no option. The frames are written as JPEG under the
names that extracted frames have (``S1/Seq1/imageSequence/video_0/frame_000001.jpg``), whole and at full size, so that
everything that reads images works on them as it is, at any input size. A frame of 2048 x 2048 takes about 0.4 MB: all
cameras at every frame are 400 GB; a ``frame_step`` of 10 takes a tenth.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from datamodules.columns import write_folder
from datamodules.files import AnnotationError
from datamodules.progress import show_progress

_VERSION = 1
_STAMP = "video.json"
_QUALITY = 92
# A header may count a few frames more than there are; a video cut short lacks many.
_HEADER_SLACK = 0.02


class FramesCache:
    """The folder of frames decoded for one data set and one frame step; each video in it is complete or not there.

    Args:
        root: of the data set.
        cache_dir: folder for caches.
        frame_step: every n-th frame is kept.

    Attributes:
        folder: stands for ``root`` in the paths of the frames.
    """

    def __init__(self, root: Path, cache_dir: str, frame_step: int) -> None:
        self.root, self.frame_step = root, frame_step
        key = hashlib.sha256(f"{os.path.abspath(root)}:{_VERSION}".encode("utf-8", "surrogateescape")).hexdigest()
        self.folder = Path(cache_dir) / f"mpi_inf_3dhp-frames-{key[:8]}-step{frame_step}"

    def link(self, frames: Path) -> None:
        """Show a folder of frames that the user extracted at its place among the decoded ones."""
        place = self._place(frames)
        if place.is_symlink():
            return
        if place.is_dir():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(frames.absolute(), target_is_directory=True)

    def decode(self, video: Path, size: NDArray[Any] | None) -> int:
        """Decode a video, unless that was done already.

        Args:
            video: ``video_k.avi``.
            size: (2,) width, height in pixels of the calibration; unchecked if None.

        Returns:
            The number of frames of the video, also those that were not kept.

        Raises:
            AnnotationError: it does not decode, is cut short, or is of another size.
        """
        place = self._place(video.with_suffix(""))
        stat = video.stat()
        stamp = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            known = json.loads((place / _STAMP).read_text(encoding="utf-8"))
            if {name: known[name] for name in stamp} == stamp:
                return int(known["frames"])
            shutil.rmtree(place)

        def write(temporary: Path) -> None:
            frames = _decode(video, size, temporary, self.frame_step)
            (temporary / _STAMP).write_text(json.dumps({**stamp, "frames": frames}), encoding="utf-8")

        write_folder(place, write)
        return int(json.loads((place / _STAMP).read_text(encoding="utf-8"))["frames"])

    def _place(self, frames: Path) -> Path:
        return self.folder / frames.relative_to(self.root)


def _decode(video: Path, size: NDArray[Any] | None, folder: Path, frame_step: int) -> int:
    """Write every n-th frame, and return how many the video has."""
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
