"""AMASS: pose sequences as <set>/<subject>/*_poses.npz (SMPL+H) or *_stageii.npz (SMPL-X), for the pose prior.

=========== ==================== ==================== ==================================================================
variant     poses                frame rate           also there
=========== ==================== ==================== ==================================================================
SMPL+H      (F, 156)             mocap_framerate      betas (16,), trans (F, 3), gender, dmpls
SMPL-X      (F, 165)             mocap_frame_rate     betas (16,), trans (F, 3), gender, surface_model_type, markers
=========== ==================== ==================== ==================================================================

Both begin with the root and the 21 body joints that SMPL shares; hands and face are not read. Their betas belong to
models of their own and do not fit SMPL's. Poses and frame rate are all that a prior needs: the rest may be missing, and
files that hold a shape alone are passed over and counted.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.safe_pickle import NUMPY_ERRORS
from body_models.spec import RECORDED_JOINTS
from datamodules.columns import Arrays, build_or_open, open_columns
from datamodules.files import AnnotationError, MissingFilesError, count_macos_files, find_files
from datamodules.progress import show_progress

VERSION = 3
SEQUENCES = ("**/*_poses.npz", "**/*_stageii.npz")
"""Patterns of the sequences below a root."""
# Number of values of a pose -> name of the model.
_MODELS = {156: "smplh", 165: "smplx"}
_RATES = ("mocap_framerate", "mocap_frame_rate")
_READ = ("poses", "trans", "betas", "gender", *_RATES)
_GENDERS = ("neutral", "male", "female")
# Ten hours at 120 Hz in float64; more is no recording but a file made to fill the memory.
_MAX_BYTES = 6 << 30
_REMEDY = "Get the SMPL+H G archives from https://amass.is.tue.mpg.de and unpack them below this folder"
_ERRORS = (*NUMPY_ERRORS, IndexError)
_SHAPES, _FORKS = "shape without poses", "._ file of macOS"


class NoPosesError(AnnotationError):
    """A file of AMASS that holds a shape alone."""


class Poses(NamedTuple):
    """Poses of many recordings.

    Attributes:
        body_pose: (N, K, 3) axis-angle of RECORDED_JOINTS, mapped from disk.
        sequence: (N,) number of the recording, mapped from disk.
        dropped: files that were passed over, by reason.
    """

    body_pose: NDArray[np.float32]
    sequence: NDArray[np.int32]
    dropped: dict[str, int]


class AmassSequence(NamedTuple):
    """A recording at its own frame rate.

    Attributes:
        model: ``smplh`` or ``smplx``.
        gender: neutral, male or female; None where the file does not say.
        fps: frames a second.
        global_orient: (F, 3) axis-angle, world (z up).
        body_pose: (F, K, 3) axis-angle of RECORDED_JOINTS.
        betas: (B,) shape of the model of this gender; None where the file does not say.
        transl: (F, 3) metres, world; None where the file does not say.
    """

    model: str
    gender: str | None
    fps: float
    global_orient: NDArray[np.float32]
    body_pose: NDArray[np.float32]
    betas: NDArray[np.float32] | None
    transl: NDArray[np.float32] | None


def find_sequences(root: Path) -> list[Path]:
    """The sequences below a folder, sorted."""
    return sorted({path for pattern in SEQUENCES for path in find_files(root, pattern)})


def open_amass(root: str, cache_dir: str = "cache", fps: float = 10.0) -> Poses:
    """Poses of all sequences below a folder, in the order of their sorted paths.

    Args:
        root: folder with one folder a data set.
        cache_dir: folder for caches.
        fps: poses a second that are kept; neighbours in a recording at 120 Hz say nothing new.
    """
    files = find_sequences(Path(root))
    if not files:
        raise MissingFilesError([f"AMASS: looked for {root}/*/*/*_poses.npz. {_REMEDY}"])
    folder = build_or_open(cache_dir, "amass", files, {"fps": fps}, VERSION, lambda: _read(files, fps))
    return open_built(folder, Path(root), SEQUENCES)


def open_built(folder: Path, root: Path, patterns: Sequence[str]) -> Poses:
    """Poses that were built into a folder from the recordings below a root; macOS' files among them are counted."""
    arrays, meta = open_columns(folder)
    forks = sum(count_macos_files(root, pattern) for pattern in patterns)
    return Poses(arrays["body_pose"], arrays["sequence"], meta["dropped"] | ({_FORKS: forks} if forks else {}))


def read_sequence(path: Path) -> AmassSequence:
    """One recording.

    Raises:
        NoPosesError: it holds a shape alone.
        AnnotationError: it is damaged, or not an AMASS sequence.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as content:
            if "poses" not in content and "betas" in content:
                msg = f"{path} holds a shape, but no poses. {_REMEDY}"
                raise NoPosesError(msg)
            poses = _numbers(content, "poses", 2)
            if poses.shape[1] not in _MODELS or not len(poses):
                msg = f"poses has shape {poses.shape}; SMPL+H has 156 values a frame, SMPL-X 165"
                raise ValueError(msg)
            transl = _numbers(content, "trans", 2) if "trans" in content else None
            betas = _numbers(content, "betas", 1) if "betas" in content else None
            if transl is not None and transl.shape != (len(poses), 3):
                msg = f"trans has shape {transl.shape} for {len(poses)} poses"
                raise ValueError(msg)
            rate = next((name for name in _RATES if name in content), _RATES[0])
            fps = float(_numbers(content, rate, 0))
            if fps <= 0:
                msg = f"{rate} is {fps}"
                raise ValueError(msg)
            gender = _gender(content["gender"]) if "gender" in content else None
    except NoPosesError:
        raise
    except _ERRORS as error:
        msg = f"{path} is not an AMASS sequence ({error!r}). {_REMEDY}"
        raise AnnotationError(msg) from error
    body = poses[:, 3 : 3 + 3 * len(RECORDED_JOINTS)].reshape(-1, len(RECORDED_JOINTS), 3)
    return AmassSequence(_MODELS[poses.shape[1]], gender, fps, poses[:, :3], body, betas, transl)


def read_first_sequence(files: Sequence[Path]) -> AmassSequence:
    """The first of the files that holds poses.

    Raises:
        AnnotationError: none does, or the first is damaged.
    """
    for path in files:
        with contextlib.suppress(NoPosesError):
            return read_sequence(path)
    raise _only_shapes(files)


def _only_shapes(files: Sequence[Path]) -> AnnotationError:
    return AnnotationError(f"{files[0]} and {len(files) - 1} more files hold shapes, but no poses. {_REMEDY}")


def _read(files: list[Path], fps: float) -> tuple[Arrays, dict[str, Any]]:
    poses, read, shapes = [], [], 0
    for path in show_progress(files, "reading AMASS"):
        try:
            sequence = read_sequence(path)
        except NoPosesError:
            shapes += 1
            continue
        read.append(str(path))
        poses.append(sequence.body_pose[:: max(1, round(sequence.fps / fps))])
    if not poses:
        raise _only_shapes(files)
    numbers = np.repeat(np.arange(len(poses), dtype=np.int32), list(map(len, poses)))
    dropped = {_SHAPES: shapes} if shapes else {}
    return {"body_pose": np.concatenate(poses), "sequence": numbers}, {"files": read, "dropped": dropped}


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
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    # Only now: what is too large for float32 has become infinite.
    if not np.isfinite(array).all():
        msg = f"{name} is not finite"
        raise ValueError(msg)
    return array


def _gender(value: Any) -> str:
    """The gender, which some sets store as bytes and some as text."""
    gender = value.item().decode() if value.dtype.kind == "S" else str(value.item())
    if gender not in _GENDERS:
        msg = f"gender is {gender!r}"
        raise ValueError(msg)
    return gender
