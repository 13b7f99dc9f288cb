"""AMASS: pose sequences as <set>/<subject>/*_poses.npz (SMPL+H) or *_stageii.npz (SMPL-X), for the pose prior.

=========== ==================== ==================== ==================================================================
variant     poses                frame rate           also there
=========== ==================== ==================== ==================================================================
SMPL+H      (F, 156)             mocap_framerate      betas (16,), trans (F, 3), gender, dmpls
SMPL-X      (F, 165)             mocap_frame_rate     betas (16,), trans (F, 3), gender, surface_model_type, markers
=========== ==================== ==================== ==================================================================

Both begin with the root and the 21 body joints that SMPL shares; hands and face are not read. Their betas belong to
models of their own and do not fit SMPL's.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.safe_pickle import NUMPY_ERRORS
from datamodules.columns import Arrays, build_or_open, open_columns
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.progress import show_progress

VERSION = 2
_NUM_JOINTS = 21
# Number of values of a pose -> name of the model.
_MODELS = {156: "smplh", 165: "smplx"}
_RATES = ("mocap_framerate", "mocap_frame_rate")
_READ = ("poses", "trans", "betas", "gender", *_RATES)
_GENDERS = ("neutral", "male", "female")
# Ten hours at 120 Hz in float64; more is no recording but a file made to fill the memory.
_MAX_BYTES = 6 << 30
_REMEDY = "Get the SMPL+H G archives from https://amass.is.tue.mpg.de and unpack them below this folder"
_ERRORS = (*NUMPY_ERRORS, IndexError)


class AmassSequence(NamedTuple):
    """A recording at its own frame rate.

    Attributes:
        model: ``smplh`` or ``smplx``.
        gender: neutral, male or female.
        fps: frames a second.
        global_orient: (F, 3) axis-angle, world (z up).
        body_pose: (F, 21, 3) axis-angle of the body joints 1 to 21.
        betas: (B,) shape of the model of this gender.
        transl: (F, 3) metres, world.
    """

    model: str
    gender: str
    fps: float
    global_orient: NDArray[np.float32]
    body_pose: NDArray[np.float32]
    betas: NDArray[np.float32]
    transl: NDArray[np.float32]


def find_sequences(root: Path) -> list[Path]:
    """The sequences below a folder, sorted."""
    return sorted({*root.rglob("*_poses.npz"), *root.rglob("*_stageii.npz")})


def open_amass(root: str, cache_dir: str = "cache", fps: float = 10.0) -> tuple[NDArray, NDArray]:
    """Poses of all sequences below a folder, in the order of their sorted paths.

    Args:
        root: folder with one folder a data set.
        cache_dir: folder for caches.
        fps: poses a second that are kept; neighbours in a recording at 120 Hz say nothing new.

    Returns:
        (N, 21, 3) axis-angle of the body joints 1 to 21, and (N,) number of the sequence, mapped from disk.
    """
    files = find_sequences(Path(root))
    if not files:
        raise MissingFilesError([f"AMASS: looked for {root}/*/*/*_poses.npz. {_REMEDY}"])
    folder = build_or_open(cache_dir, "amass", files, {"fps": fps}, VERSION, lambda: _read(files, fps))
    arrays, _ = open_columns(folder)
    return arrays["body_pose"], arrays["sequence"]


def read_sequence(path: Path) -> AmassSequence:
    """One recording.

    Raises:
        AnnotationError: it is damaged, or not an AMASS sequence.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as content:
            poses = _numbers(content, "poses", 2)
            if poses.shape[1] not in _MODELS or not len(poses):
                msg = f"poses has shape {poses.shape}; SMPL+H has 156 values a frame, SMPL-X 165"
                raise ValueError(msg)
            transl, betas = _numbers(content, "trans", 2), _numbers(content, "betas", 1)
            if transl.shape != (len(poses), 3):
                msg = f"trans has shape {transl.shape} for {len(poses)} poses"
                raise ValueError(msg)
            rate = next((name for name in _RATES if name in content), _RATES[0])
            fps = float(_numbers(content, rate, 0))
            if fps <= 0:
                msg = f"{rate} is {fps}"
                raise ValueError(msg)
            gender = _gender(content["gender"])
    except _ERRORS as error:
        msg = f"{path} is not an AMASS sequence ({error!r}). {_REMEDY}"
        raise AnnotationError(msg) from error
    body = poses[:, 3 : 3 + 3 * _NUM_JOINTS].reshape(-1, _NUM_JOINTS, 3)
    return AmassSequence(_MODELS[poses.shape[1]], gender, fps, poses[:, :3], body, betas, transl)


def _read(files: list[Path], fps: float) -> tuple[Arrays, dict[str, Any]]:
    poses = []
    for path in show_progress(files, "reading AMASS"):
        sequence = read_sequence(path)
        poses.append(sequence.body_pose[:: max(1, round(sequence.fps / fps))])
    numbers = np.repeat(np.arange(len(poses), dtype=np.int32), list(map(len, poses)))
    return {"body_pose": np.concatenate(poses), "sequence": numbers}, {"files": list(map(str, files))}


def _check_size(path: Path) -> None:
    """Raise ValueError for arrays that would not fit into memory."""
    with zipfile.ZipFile(path) as archive:
        read = [member for member in archive.infolist() if Path(member.filename).stem in _READ]
        size = sum(member.file_size for member in read)
        for member in read:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read_header = (
                    np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read_header(file)
            # The header may promise more than the archive holds.
            size = max(size, math.prod(shape) * dtype.itemsize)
    if size > _MAX_BYTES:
        msg = f"its arrays take {size >> 20} MiB"
        raise ValueError(msg)


def _numbers(content: Any, name: str, dimensions: int) -> NDArray[np.float32]:
    array = np.asarray(content[name])
    if array.dtype.kind not in "fiu" or array.ndim != dimensions:
        msg = f"{name} is {array.dtype} of shape {array.shape}, not numbers with {dimensions} axes"
        raise ValueError(msg)
    if not np.isfinite(array).all():
        msg = f"{name} is not finite"
        raise ValueError(msg)
    return array.astype(np.float32)


def _gender(value: Any) -> str:
    """The gender, which some sets store as bytes and some as text."""
    gender = value.item().decode() if value.dtype.kind == "S" else str(value.item())
    if gender not in _GENDERS:
        msg = f"gender is {gender!r}"
        raise ValueError(msg)
    return gender
