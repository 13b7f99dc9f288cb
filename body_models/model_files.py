"""Finds and reads body model files: SMPL under its official names, or the free body.

SMPL's own file does not hold the regressors that the evaluation protocols use, so with a real body they are read from
real files beside it. A regressor belongs to one mesh: it is tried on the body and refused where it puts joints at
wrong places, as the free body's does on SMPL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.contracts import GENDERS
from body_models.free_body.arrays import (
    free_body_arrays,
    free_body_regressors,
    is_free_body_model,
    is_free_body_regressor,
)
from body_models.joint_sets import mirror_permutation
from body_models.safe_pickle import NUMPY_ERRORS, ModelFileError, load_pickle
from body_models.spec import SMPL

NUM_VERTICES, NUM_FACES = SMPL.num_vertices, 13776
# What runs and label tables of earlier versions name as their body.
OLD_BODY = "standin"

# Lower case: the official downloads differ in it, and so do file systems.
BODY_NAMES = {
    gender: tuple(
        f"{stem}.{ending}"
        for stem in (
            f"smpl_{gender}",
            f"basicmodel_{letter}_lbs_10_207_0_v1.1.0",
            f"basicmodel_{letter}_lbs_10_207_0_v1.0.0",
        )
        for ending in ("npz", "pkl")
    )
    for gender, letter in zip(GENDERS, ("neutral", "m", "f"), strict=True)
}
REGRESSOR_NAMES = {
    "J_regressor_h36m": ("j_regressor_h36m.npy", "j_regressor_h36m_correct.npy"),
    "J_regressor_extra": ("j_regressor_extra.npy",),
}
SOURCES = {
    "neutral": "https://smplify.is.tue.mpg.de or SMPL 1.1.0 at https://smpl.is.tue.mpg.de (free registration)",
    "male": "https://smpl.is.tue.mpg.de (free registration)",
    "female": "https://smpl.is.tue.mpg.de (free registration)",
    "J_regressor_h36m": "not part of the SMPL file; in the data archive of SPIN, https://github.com/nkolot/SPIN",
    "J_regressor_extra": "not part of the SMPL file; in the data archive of SPIN, https://github.com/nkolot/SPIN",
}

SHAPES = {
    "v_template": (NUM_VERTICES, 3),
    "f": (NUM_FACES, 3),
    "shapedirs": (NUM_VERTICES, 3, SMPL.shape_size),
    "posedirs": (NUM_VERTICES, 3, 9 * SMPL.num_rotations),
    "J_regressor": (len(SMPL.joints), NUM_VERTICES),
    "weights": (NUM_VERTICES, len(SMPL.joints)),
    "kintree_table": (2, len(SMPL.joints)),
}

# Rows that have a counterpart among SMPL's joints, and how far from it they may lie: the definitions differ by a few
# centimetres, a regressor of another mesh is off by decimetres.
_COUNTERPARTS = {
    "h36m_pelvis": "pelvis",
    **{
        f"{prefix}_{side}_{part}": f"{side}_{part}"
        for prefix, parts in (("h36m", ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")), ("lsp", ("hip",)))
        for part in parts
        for side in ("left", "right")
    },
    "lsp_neck": "neck",
    "mpii_pelvis": "pelvis",
    "mpii_thorax": "neck",
}
_TOLERANCE = 0.15


@dataclass(frozen=True)
class ModelFiles:
    """A body model as read.

    Attributes:
        arrays: keys and shapes of SMPL's files, see :func:`body_models.free_body.arrays.free_body_arrays`.
        J_regressor_h36m: (17, V), rows in the order of :data:`body_models.joint_sets.H36M_JOINTS`.
        J_regressor_extra: (9, V), rows in the order of :data:`body_models.joint_sets.EXTRA_JOINTS`.
        is_free_body: whether this is the free body, not SMPL, which every result must say.
    """

    arrays: dict[str, NDArray[Any]]
    J_regressor_h36m: NDArray[Any]
    J_regressor_extra: NDArray[Any]
    is_free_body: bool


def read_model_files(body_models: Path | str = "free", gender: str = "neutral") -> ModelFiles:
    """Read one gender's body model and the regressors that belong to it.

    Args:
        body_models: a folder with the files in their official names (or in its subfolder ``smpl``), or "free"
            for the free body.
        gender: neutral, male or female.

    Raises:
        ModelFileError: files are missing (all of them are named), damaged, of another model, or do not belong together.
    """
    if gender not in GENDERS:
        msg = f"gender {gender!r} is none of {', '.join(GENDERS)}"
        raise ValueError(msg)
    if str(body_models) == "free":
        return ModelFiles(arrays=free_body_arrays(gender), **free_body_regressors(), is_free_body=True)

    found = find_model_files(body_models, gender)
    arrays = _read_body(found[gender])
    free_body = is_free_body_model(arrays)
    joints = arrays["J_regressor"] @ arrays["v_template"]
    regressors = {}
    for key, names in SMPL.regressors.items():
        path = found[key]
        regressor = _read_regressor(path, len(names))
        if is_free_body_regressor(regressor) and not free_body:
            msg = (
                f"{path}: this is the free body's regressor, which means nothing on the body {found[gender].name}; "
                f"put the real one there ({SOURCES[key]})"
            )
            raise ModelFileError(msg)
        regressor = _in_our_order(regressor, names, arrays["v_template"])
        _check_places(path, regressor @ arrays["v_template"], names, joints)
        regressors[key] = regressor
    return ModelFiles(arrays=arrays, **regressors, is_free_body=free_body)


def find_model_files(body_models: Path | str, gender: str) -> dict[str, Path]:
    """Paths of one gender's body (under the gender's name) and of its regressors.

    Raises:
        ModelFileError: names every file that is missing and where to get it.
    """
    folder = Path(body_models)
    if not folder.is_dir():
        msg = f"{folder}: no such folder of body models; give a folder with SMPL files, or free"
        if str(body_models) == OLD_BODY:
            msg = (
                f"{OLD_BODY}: the made-up body of earlier versions is no longer there, and what was made on it fits no "
                "other body; make it again with paths.body_models=free, or look at it with the version that made it"
            )
        raise ModelFileError(msg)
    there = {
        path.name.lower(): path
        for place in (folder / "smpl", folder)  # what lies in the folder itself comes first
        if place.is_dir()
        for path in sorted(place.iterdir(), reverse=True)
    }
    wanted = {gender: BODY_NAMES[gender], **REGRESSOR_NAMES}
    found = {key: next((there[name] for name in names if name in there), None) for key, names in wanted.items()}
    missing = [
        f"{f'SMPL_{key.upper()}.npz or .pkl' if key == gender else f'{key}.npy'} ({SOURCES[key]})"
        for key, path in found.items()
        if path is None
    ]
    if missing:
        msg = f"{folder}: missing " + "; ".join(missing)
        raise ModelFileError(msg)
    return {key: path for key, path in found.items() if path is not None}


def _load_numpy(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except NUMPY_ERRORS as error:
        msg = f"{path}: no readable NumPy file, truncated or damaged ({error}); fetch it again"
        raise ModelFileError(msg) from error


def _read_body(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix.lower() == ".npz":
        with _load_numpy(path) as file:
            try:
                content = {key: file[key] for key in SHAPES if key in file.files}
            except NUMPY_ERRORS as error:
                msg = f"{path}: an array in it cannot be read ({error}); fetch it again"
                raise ModelFileError(msg) from error
    else:
        content = load_pickle(path)
        if not isinstance(content, dict):
            msg = f"{path}: holds a {type(content).__name__}, but a body model is a dict of arrays"
            raise ModelFileError(msg)
    arrays = {}
    for key, shape in SHAPES.items():
        if key not in content:
            msg = f"{path}: no {key} in it, so this is no SMPL model"
            raise ModelFileError(msg)
        array = np.asarray(content[key])
        if key == "shapedirs" and array.ndim:
            array = array[..., : SMPL.shape_size]  # version 1.1.0 has 300
        if array.shape != shape or array.dtype.kind not in "iuf":
            msg = f"{path}: {key} is {array.shape} {array.dtype}, but SMPL's is {shape}; SMPL-H and SMPL-X do not fit"
            raise ModelFileError(msg)
        whole = key in ("f", "kintree_table")
        arrays[key] = np.ascontiguousarray(array, dtype=np.int64 if whole else np.float64)
        if not np.isfinite(arrays[key]).all():
            msg = f"{path}: {key} holds NaN or infinite numbers"
            raise ModelFileError(msg)
    if tuple(arrays["kintree_table"][0, 1:]) != SMPL.parents[1:]:
        msg = f"{path}: kintree_table is not SMPL's joint tree"
        raise ModelFileError(msg)
    if arrays["f"].min() < 0 or arrays["f"].max() >= NUM_VERTICES:
        msg = f"{path}: f names vertices outside 0 to {NUM_VERTICES - 1}"
        raise ModelFileError(msg)
    return arrays


def _read_regressor(path: Path, rows: int) -> NDArray[np.float64]:
    regressor = _load_numpy(path)
    shape = (rows, NUM_VERTICES)
    if not isinstance(regressor, np.ndarray) or regressor.shape != shape or regressor.dtype.kind not in "iuf":
        msg = f"{path}: is not a {shape} array of numbers, but {getattr(regressor, 'shape', type(regressor).__name__)}"
        raise ModelFileError(msg)
    if not np.isfinite(regressor).all():
        msg = f"{path}: holds NaN or infinite numbers"
        raise ModelFileError(msg)
    return regressor.astype(np.float64)


def _in_our_order(regressor: NDArray[Any], names: tuple[str, ...], template: NDArray[Any]) -> NDArray[Any]:
    """Swap left and right limbs whose rows come in the other order.

    J_regressor_h36m is in circulation with the left leg first and with the right leg first (the latter often as
    ``_correct``). SMPL's x axis points to the body's left, so the body itself tells which row is which.
    """
    x = (regressor @ template)[:, 0]
    rows = np.arange(len(names))
    mirror = mirror_permutation(names)
    for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
        left = [i for i, name in enumerate(names) if "left" in name and name.endswith(limb)]
        if left and (x[left] < x[mirror[left]]).all():
            rows[left], rows[mirror[left]] = mirror[left], left
    return regressor[rows]


def _check_places(path: Path, places: NDArray[Any], names: tuple[str, ...], joints: NDArray[Any]) -> None:
    """Refuse a regressor of another mesh."""
    for name, place in zip(names, places, strict=True):
        if name not in _COUNTERPARTS:
            continue
        counterpart = _COUNTERPARTS[name]
        distance = float(np.linalg.norm(place - joints[SMPL.index[counterpart]]))
        if distance > _TOLERANCE:
            msg = (
                f"{path}: puts {name} {100 * distance:.0f} cm from the body's {counterpart}, so it belongs to another "
                f"mesh; put the body's own regressor there ({SOURCES['J_regressor_h36m']})"
            )
            raise ModelFileError(msg)
