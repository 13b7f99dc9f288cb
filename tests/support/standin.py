"""A made-up body in SMPL's exact file layout, in the role of the licensed SMPL in tests that need a second body.

It was drawn from capsules: its shapes are invented, its mesh, skin weights and regressors are in ``standin_mesh.npz``.

* Shape directions stretch bones: each bone has a linear map about its joint (along and across the bone), joints move
  with the bones before them, and the skin blends the maps by its skinning weights. Soft parts are added on top.
* Pose directions counter what linear blend skinning does wrong: at a bent joint the skin collapses, so it is pushed
  out again, and the far side of hinges (elbow tip, kneecap) stands out further.
* Male and female bodies are the neutral one moved along the same kind of directions.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import EXTRA_JOINTS, H36M_JOINTS, SMPL_JOINTS, SMPL_PARENTS

Array = NDArray[np.float64]

STORED = Path(__file__).with_name("standin_mesh.npz")
QUANTUM = 5e-5  # metres per unit of the stored vertices

NUM_JOINTS = len(SMPL_JOINTS)
LEGS = ("hip", "knee")
FEET = ("ankle", "foot")
ARMS = ("shoulder", "elbow")
HANDS = ("wrist", "hand")
TRUNK = ("pelvis", "spine1", "spine2", "spine3")
SKULL = ("head",)

# Each shape is a table: part of the body -> relative stretch along x, y, z of the bones of that part; at rest the
# arms lie along x, all else along y (feet along z). One unit of a beta is one standard deviation between adults.
Stretches = dict[tuple[str, ...], tuple[float, float, float]]
# (centre on the left, radius, displacement): soft parts that grow by a bump; mirrored to the right.
Bumps = tuple[tuple[tuple[float, float, float], float, tuple[float, float, float]], ...]

BELLY = (0.0, -0.07, 0.11)
WAIST_SIDE = (0.14, -0.05, 0.01)
BREAST = (0.075, 0.115, 0.11)
BUTTOCK = (0.085, -0.30, -0.11)
HIP_SIDE = (0.17, -0.29, 0.0)
SHOULDER_CAP = (0.185, 0.225, -0.015)

SHAPES: tuple[tuple[str, Stretches, Bumps], ...] = (
    (
        "stature",
        {(*TRUNK, "neck", "collar", *LEGS, *FEET, *ARMS, *HANDS): (0.036, 0.036, 0.036), SKULL: (0.015, 0.015, 0.015)},
        (),
    ),
    (
        "girth",
        {TRUNK: (0.085, 0, 0.11), LEGS: (0.10, 0, 0.10), ARMS: (0, 0.10, 0.10), ("neck",): (0.07, 0, 0.07),
         SKULL: (0.02, 0, 0.02), FEET: (0.03, 0.02, 0.01), HANDS: (0.01, 0.04, 0.04)},
        ((BELLY, 0.13, (0, 0, 0.014)), (WAIST_SIDE, 0.10, (0.008, 0, 0)), (BUTTOCK, 0.10, (0, 0, -0.008))),
    ),
    ("leg length", {LEGS: (0, 0.035, 0), TRUNK: (0, -0.02, 0)}, ()),
    ("arm length", {ARMS: (0.035, 0, 0), HANDS: (0.03, 0.01, 0.02)}, ()),
    ("shoulder width", {("collar",): (0.07, 0, 0), ("spine3",): (0.05, 0, 0)}, ((SHOULDER_CAP, 0.08, (0.003, 0, 0)),)),
    ("hip width", {("pelvis",): (0.055, 0, 0.02), ("hip",): (0.03, 0, 0.02)}, ((HIP_SIDE, 0.11, (0.008, 0, 0)),)),
    ("torso length", {TRUNK: (0, 0.035, 0), LEGS: (0, -0.008, 0)}, ()),
    ("belly", {}, ((BELLY, 0.14, (0, -0.003, 0.024)), (WAIST_SIDE, 0.10, (0.010, 0, 0)))),
    ("head size", {SKULL: (0.035, 0.035, 0.035), ("neck",): (0.02, 0.06, 0.02)}, ()),
    (
        "muscle",
        {("shoulder",): (0, 0.08, 0.08), ("elbow",): (0, 0.05, 0.05), ("hip",): (0.04, 0, 0.05),
         ("knee",): (0.03, 0, 0.04), ("spine3", "collar"): (0.03, 0, 0.03), ("neck",): (0.06, 0, 0.06)},
        ((BREAST, 0.09, (0, 0.002, 0.008)), (SHOULDER_CAP, 0.08, (0.004, 0.004, 0)), (BELLY, 0.12, (0, 0, -0.010)),
         (WAIST_SIDE, 0.10, (-0.007, 0, 0))),
    ),
)  # fmt: skip

# What a man's and a woman's body differ by from the neutral one, as such a shape and as amounts of the shapes above.
GENDERED: dict[str, tuple[Stretches, Bumps, dict[str, float]]] = {
    "neutral": ({}, (), {}),
    "male": (
        {("pelvis",): (-0.03, 0, 0)},
        ((BREAST, 0.09, (0, 0, -0.006)), (BUTTOCK, 0.10, (0, 0, 0.008)), (HIP_SIDE, 0.11, (-0.006, 0, 0))),
        {"stature": 0.7, "shoulder width": 0.9, "hip width": -0.5, "muscle": 1.0, "arm length": 0.3},
    ),
    "female": (
        {("pelvis",): (0.03, 0, 0)},
        (
            (BREAST, 0.07, (0.003, -0.005, 0.024)),
            (BUTTOCK, 0.10, (0, 0, -0.010)),
            (HIP_SIDE, 0.11, (0.006, 0, 0)),
            (WAIST_SIDE, 0.12, (-0.010, 0, 0)),
        ),
        {"stature": -0.8, "shoulder width": -0.9, "hip width": 0.5, "muscle": -1.0, "arm length": -0.3},
    ),
}

# Pose correctives by joint: the share of the collapse that is undone (the wider the joint, the less, as the skin of the
# trunk slides), the radius in metres within which, and how far the far side of a hinge stands out, in metres.
COLLAPSE_UNDONE = {
    "elbow": (0.42, 0.10), "knee": (0.42, 0.14), "wrist": (0.40, 0.07), "ankle": (0.30, 0.10), "shoulder": (0.30, 0.15),
    "hip": (0.22, 0.20), "neck": (0.20, 0.12), "head": (0.20, 0.14), "collar": (0.15, 0.15), "spine1": (0.20, 0.22),
    "spine2": (0.20, 0.22), "spine3": (0.20, 0.22), "foot": (0.30, 0.07), "hand": (0.30, 0.07),
}  # fmt: skip
HINGE_REACH = {"elbow": 0.009, "knee": 0.011, "ankle": 0.005, "wrist": 0.003, "hip": 0.008}


def part_of(joint: str) -> str:
    """Name of a joint without its side."""
    return joint.removeprefix("left_").removeprefix("right_")


@cache
def _stored() -> tuple[Array, NDArray[np.uint32], Array, Array]:
    """Vertices (V, 3) metres, faces (F, 3), weights (V, 24), all regressor rows (50, V) of the neutral body."""
    with np.load(STORED) as file:
        vertices = file["vertices"] * QUANTUM
        count = len(vertices)
        weights = np.zeros((count, NUM_JOINTS))
        np.put_along_axis(weights, file["weight_joints"].astype(np.int64), file["weights"].astype(np.float64), 1)
        rows = np.zeros((NUM_JOINTS + len(H36M_JOINTS) + len(EXTRA_JOINTS), count))
        rows[file["regressor_row"], file["regressor_column"]] = file["regressor_value"]
        faces = file["faces"].astype(np.uint32)
    # Stored rounded, so that sums are 1 only after this.
    return (
        vertices,
        faces,
        weights / weights.sum(1, keepdims=True),
        rows / rows.sum(1, keepdims=True),
    )


def _shape_direction(stretches: Stretches, bumps: Bumps) -> Array:
    """(V, 3) metres: how the neutral body's vertices move under a shape."""
    vertices, _, weights, regressors = _stored()
    joints = regressors[:NUM_JOINTS] @ vertices
    stretch = np.zeros((NUM_JOINTS, 3))
    for parts, amount in stretches.items():
        stretch[[part_of(joint) in parts for joint in SMPL_JOINTS]] += amount
    moved = np.zeros((NUM_JOINTS, 3))
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            moved[joint] = moved[parent] + stretch[parent] * (joints[joint] - joints[parent])
    direction = weights @ moved
    direction += np.einsum("vj,jc,vjc->vc", weights, stretch, vertices[:, None] - joints)
    for centre, radius, displacement in bumps:
        for mirror in ((1.0, 1.0, 1.0), (-1.0, 1.0, 1.0)):
            near = np.exp(-0.5 * (np.linalg.norm(vertices - np.multiply(centre, mirror), axis=1) / (radius / 2)) ** 2)
            # A bump on the midline meets its own mirror image: half of it from each side.
            direction += near[:, None] * np.multiply(displacement, mirror) * (0.5 if centre[0] == 0 else 1.0)
    return direction


def _pose_directions(vertices: Array, joints: Array) -> Array:
    """(V, 3, 207): how vertices move, before skinning, per entry of (R - I) of joints 1 to 23, row by row.

    At joint j with offset p of a vertex from the joint, the corrective is ``-a (S + S^T) / 2 p - r (R - I) b`` with
    S = R - I, b the direction of the bone that turns and r the hinge's reach: the first term is an outward push that
    grows with 1 - cos(angle), in any direction of bending and for twists; the second moves the skin against the bend.
    Both fade with the distance from the joint and from the seam between the two bones.
    """
    _, _, weights, _ = _stored()
    descendants = np.eye(NUM_JOINTS)
    for joint in range(NUM_JOINTS - 1, 0, -1):
        descendants[SMPL_PARENTS[joint]] += descendants[joint]
    directions = np.zeros((len(vertices), 3, NUM_JOINTS - 1, 3, 3))
    for joint in range(1, NUM_JOINTS):
        beyond = np.clip(weights @ descendants[joint], 0, 1)
        seam = (4 * beyond * (1 - beyond))[:, None]
        part = part_of(SMPL_JOINTS[joint])
        share, radius = COLLAPSE_UNDONE[part]
        offset = vertices - joints[joint]
        near = np.exp(-((np.linalg.norm(offset, axis=1) / radius) ** 2))
        push = share * seam * near[:, None] * offset
        block = directions[:, :, joint - 1]  # (V, 3, 3, 3): output axis, row and column of S
        for axis in range(3):
            # (S + S^T) / 2 p: row of S by p's column, and column of S by p's row.
            block[:, axis, axis, :] -= push / 2
            block[:, axis, :, axis] -= push / 2
        if part in HINGE_REACH:
            child = joints[SMPL_PARENTS.index(joint)] - joints[joint]
            reach = HINGE_REACH[part] * child / np.linalg.norm(child)
            for axis in range(3):
                block[:, axis, axis, :] -= seam * near[:, None] * reach
    return directions.reshape(len(vertices), 3, -1)


@cache
def _body(gender: str) -> dict[str, NDArray[Any]]:
    vertices, faces, weights, regressors = _stored()
    shapes = {name: _shape_direction(stretches, bumps) for name, stretches, bumps in SHAPES}
    stretches, bumps, amounts = GENDERED[gender]
    template = vertices + _shape_direction(stretches, bumps)
    for name, amount in amounts.items():
        template = template + amount * shapes[name]
    regressor = regressors[:NUM_JOINTS]
    parents = np.array(SMPL_PARENTS, dtype=np.int64)
    parents[0] = 2**32 - 1  # as in SMPL's own files
    return {
        "v_template": template,
        "f": faces,
        "shapedirs": np.stack(list(shapes.values()), axis=-1),
        "posedirs": _pose_directions(template, regressor @ template),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.stack([parents, np.arange(NUM_JOINTS)]),
    }


def standin_arrays(gender: str = "neutral") -> dict[str, NDArray[Any]]:
    """The stand-in body under the keys and in the layout of SMPL's files.

    Args:
        gender: neutral, male or female.

    Returns:
        v_template (6890, 3) metres, f (13776, 3) uint32, shapedirs (6890, 3, 10), posedirs (6890, 3, 207), J_regressor
        (24, 6890), weights (6890, 24), kintree_table (2, 24). The arrays are the caller's own.
    """
    if gender not in GENDERED:
        msg = f"gender {gender!r} is none of {', '.join(GENDERED)}"
        raise ValueError(msg)
    return {name: array.copy() for name, array in _body(gender).items()}


def standin_regressors() -> dict[str, NDArray[Any]]:
    """J_regressor_h36m (17, 6890) and J_regressor_extra (9, 6890) of the stand-in body."""
    regressors = _stored()[3]
    first_extra = NUM_JOINTS + len(H36M_JOINTS)
    return {
        "J_regressor_h36m": regressors[NUM_JOINTS:first_extra].copy(),
        "J_regressor_extra": regressors[first_extra:].copy(),
    }


def write_standin(folder: Path | str) -> Path:
    """Write the stand-in as model files in SMPL's official names, for users who want to look and for tests."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for gender in GENDERED:
        np.savez_compressed(folder / f"SMPL_{gender.upper()}.npz", allow_pickle=False, **standin_arrays(gender))
    for name, regressor in standin_regressors().items():
        np.save(folder / f"{name}.npy", regressor)
    return folder
