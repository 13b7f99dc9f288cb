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

from numpy.typing import NDArray

from datamodules.columns import write_folder
from datamodules.videos import decode_video

_VERSION = 1
_STAMP = "video.json"


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
            frames = decode_video(video, temporary, self.frame_step, size)
            (temporary / _STAMP).write_text(json.dumps({**stamp, "frames": frames}), encoding="utf-8")

        write_folder(place, write)
        return int(json.loads((place / _STAMP).read_text(encoding="utf-8"))["frames"])

    def _place(self, frames: Path) -> Path:
        return self.folder / frames.relative_to(self.root)
