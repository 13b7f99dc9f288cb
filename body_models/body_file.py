"""A body in one file: a .npz that holds its mesh, its skin and its names, so that a new body needs no code.

With V vertices, F faces, 1 + R joints that are turned, S numbers of shape, L landmarks:

===================== ================ ==========================================================================
key                   shape            content
===================== ================ ==========================================================================
kind                  text             name of this kind of body
joints                (1 + R,) text    names, parents before their children, the root first; left and right in pairs
parents               (1 + R,)         place of each joint's parent, -1 for the root
v_template            (V, 3)           metres, unposed, x to the body's left, y up, z forward
f                     (F, 3)           vertices of each face, counter-clockwise seen from outside
shapedirs             (V, 3, S)        metres for one of each number of shape
posedirs              (V, 3, 9 R)      metres for each entry of (rotation - identity), row by row; may be left out
J_regressor           (1 + R, V)       joints from the unposed vertices
weights               (V, 1 + R)       of the skin, which sum to 1
landmark_names        (L,) text        may be left out, with the next
landmark_vertices     (L,)             vertex of each landmark
regressor_NAME        (K, V)           joints from the posed vertices; any number of such regressors
regressor_NAME_joints (K,) text        their names
===================== ================ ==========================================================================

Names that SMPL's joints have too (:data:`body_models.spec.SMPL`) mean the same joints: they are compared with the data
sets' joints of that definition. One file is the body of all genders.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import mirror_permutation
from body_models.safe_pickle import NUMPY_ERRORS, ModelFileError
from body_models.smpl import SkinnedBody, SkinnedFiles
from body_models.spec import BODY_PART, ROOT_PART, BodySpec

_PREFIX, _JOINTS = "regressor_", "_joints"
_NEEDED = ("kind", "joints", "parents", "v_template", "f", "shapedirs", "J_regressor", "weights")


def open_body_file(path: str, gender: str = "neutral") -> SkinnedBody:
    """The body of a file, the same for every gender.

    Raises:
        ModelFileError: the file is missing, damaged, lacks something or contradicts itself.
    """
    return SkinnedBody(_read(path, gender))


def read_spec(path: str) -> BodySpec:
    """What the body of a file is; raises as :func:`open_body_file` does."""
    return _read(path, "neutral").spec


def find_body_file(path: str) -> dict[str, Path]:
    """The file, under the name ``body``; raises a ModelFileError where there is none."""
    if not Path(path).is_file():
        msg = f"{path}: no such body file; give a .npz (its keys: body_models/body_file.py), or free"
        raise ModelFileError(msg)
    return {"body": Path(path)}


def _read(path: str, gender: str) -> SkinnedFiles:
    find_body_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {key: file[key] for key in file.files}
    except (*NUMPY_ERRORS, zipfile.BadZipFile) as error:
        msg = f"{path}: no readable NumPy file, truncated or damaged ({error}); make it again"
        raise ModelFileError(msg) from error
    missing = [key for key in _NEEDED if key not in content]
    if missing:
        msg = f"{path}: a body file has {', '.join(_NEEDED)}; this one lacks {', '.join(missing)}"
        raise ModelFileError(msg)
    try:
        spec = _spec(content)
    except (KeyError, ValueError, TypeError) as error:
        msg = f"{path}: its names do not describe a body ({error}); every left joint has a right one"
        raise ModelFileError(msg) from error
    arrays, regressors = _arrays(path, content, spec)
    return SkinnedFiles(spec, arrays, regressors, gender)


def _texts(values: NDArray[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values.ravel().tolist())


def _spec(content: dict[str, NDArray[Any]]) -> BodySpec:
    joints = _texts(content["joints"])
    names = _texts(content.get("landmark_names", np.array([], dtype=str)))
    places = content.get("landmark_vertices", np.array([], dtype=np.int64))
    regressors = {
        key.removeprefix(_PREFIX): _texts(content[f"{key}{_JOINTS}"])
        for key in sorted(content)
        if key.startswith(_PREFIX) and not key.endswith(_JOINTS)
    }
    return BodySpec(
        kind=str(content["kind"]),
        joints=joints,
        parents=tuple(int(parent) for parent in content["parents"].ravel()),
        parts=(ROOT_PART, *[BODY_PART] * (len(joints) - 1)),
        mirror=tuple(mirror_permutation(joints).tolist()),
        shape_size=content["shapedirs"].shape[-1] if content["shapedirs"].ndim else 0,
        num_vertices=len(content["v_template"]),
        landmarks=dict(zip(names, (int(place) for place in places.ravel()), strict=True)),
        regressors=regressors,
    )


def _arrays(
    path: str, content: dict[str, NDArray[Any]], spec: BodySpec
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    vertices, joints = spec.num_vertices, len(spec.joints)
    shapes = {
        "v_template": (vertices, 3),
        "f": (-1, 3),
        "shapedirs": (vertices, 3, spec.shape_size),
        "posedirs": (vertices, 3, 9 * spec.num_rotations),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
    }
    content.setdefault("posedirs", np.zeros(shapes["posedirs"]))
    arrays = {key: _numbers(path, key, content[key], shape) for key, shape in shapes.items()}
    regressors = {
        name: _numbers(path, f"{_PREFIX}{name}", content[f"{_PREFIX}{name}"], (len(names), vertices))
        for name, names in spec.regressors.items()
    }
    numbered = {"f": arrays["f"], "landmark_vertices": np.array(list(spec.landmarks.values()))}
    for key, values in numbered.items():
        if values.size and (values.min() < 0 or values.max() >= vertices):
            msg = f"{path}: {key} names vertices outside 0 to {vertices - 1}"
            raise ModelFileError(msg)
    return arrays, regressors


def _numbers(path: str, key: str, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of a stated shape, whose first size may be any (-1)."""
    wanted = values.shape[:1] + shape[1:] if shape[0] < 0 else shape
    if values.shape != wanted or values.dtype.kind not in "iuf":
        msg = f"{path}: {key} is {values.shape} {values.dtype}, but its names and the other arrays want {shape}"
        raise ModelFileError(msg)
    if not np.isfinite(values).all():
        msg = f"{path}: {key} holds NaN or infinite numbers"
        raise ModelFileError(msg)
    return values.astype(np.int64 if key == "f" else np.float64)
