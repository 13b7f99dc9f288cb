"""AMASS: pose sequences as <set>/<subject>/*_poses.npz (SMPL+H) or *_stageii.npz (SMPL-X), for the pose prior.

Both layouts begin with the root and the 21 body joints that SMPL shares; hands and face are not read.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.columns import Arrays, build_or_open, open_columns
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.progress import show_progress

VERSION = 1
_NUM_JOINTS = 21
_RATES = ("mocap_framerate", "mocap_frame_rate")
_REMEDY = "Get the SMPL+H G archives from https://amass.is.tue.mpg.de and unpack them below this folder"


def open_amass(root: str, cache_dir: str = "cache", fps: float = 10.0) -> tuple[NDArray, NDArray]:
    """Poses of all sequences below a folder, in the order of their sorted paths.

    Args:
        root: folder with one folder a data set.
        cache_dir: folder for caches.
        fps: poses a second that are kept; neighbours in a recording at 120 Hz say nothing new.

    Returns:
        (N, 21, 3) axis-angle of the body joints 1 to 21, and (N,) number of the sequence, mapped from disk.
    """
    files = sorted({*Path(root).rglob("*_poses.npz"), *Path(root).rglob("*_stageii.npz")})
    if not files:
        raise MissingFilesError([f"AMASS: looked for {root}/*/*/*_poses.npz. {_REMEDY}"])
    folder = build_or_open(cache_dir, "amass", files, {"fps": fps}, VERSION, lambda: _read(files, fps))
    arrays, _ = open_columns(folder)
    return arrays["body_pose"], arrays["sequence"]


def _read(files: list[Path], fps: float) -> tuple[Arrays, dict[str, Any]]:
    poses, sequence = [], []
    for number, path in enumerate(show_progress(files, "reading AMASS")):
        kept = _read_sequence(path, fps)
        poses.append(kept)
        sequence.append(np.full(len(kept), number, dtype=np.int32))
    return {"body_pose": np.concatenate(poses), "sequence": np.concatenate(sequence)}, {"files": list(map(str, files))}


def _read_sequence(path: Path, fps: float) -> NDArray[np.float32]:
    try:
        with np.load(path, allow_pickle=False) as content:
            rate = next(float(content[name]) for name in _RATES if name in content)
            poses = content["poses"]
            body = poses[:: max(1, round(rate / fps)), 3 : 3 + 3 * _NUM_JOINTS].astype(np.float32)
            body = body.reshape(-1, _NUM_JOINTS, 3)
    except (KeyError, ValueError, IndexError, OSError, EOFError, StopIteration, zipfile.BadZipFile) as error:
        msg = f"{path} is not an AMASS sequence with poses and a frame rate ({error!r}). {_REMEDY}"
        raise AnnotationError(msg) from error
    if not np.isfinite(body).all():
        msg = f"{path}: poses are not finite. {_REMEDY}"
        raise AnnotationError(msg)
    return body
