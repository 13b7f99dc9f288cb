"""Rebuilds ``standin_mesh.npz``, the stored part of the stand-in body: mesh, skin weights and joint regressors.

Users never run this: the file is in the repository, so that every machine has the same body and nobody needs mesh
tools. Developers run ``pip install -e .[standin]`` and ``python -m body_models.standin_build``.

The body is drawn from scratch, from proportions of an average adult: lofts through elliptical cross-sections,
ellipsoids and round cones, joined by a smooth union [1]. No scan, no licensed mesh and no fitted model went into it, so
no licence but the repository's own covers it. Only the left half is drawn; the right one is its mirror image.

Axes are those of the unposed SMPL body: x to the body's left, y up, z forward, metres.

[1] Quilez, Smooth minimum, https://iquilezles.org/articles/smin.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import map_coordinates
from scipy.optimize import nnls
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from body_models.joint_sets import EXTRA_JOINTS, H36M_JOINTS, SMPL_JOINTS, SMPL_PARENTS, VERTEX_JOINTS, mirror_name
from body_models.standin import QUANTUM

Points = NDArray[np.float64]
Solid = Callable[[Points], NDArray[np.float64]]

NUM_VERTICES, NUM_FACES = 6890, 13776
GRID = 0.004  # metres between samples of the drawing
ROUGHNESS = 0.0003  # metres
MIRROR = np.array([-1.0, 1.0, 1.0])
# (pivot, direction in which the detailed part lies): how much larger the simplification sees it.
DETAILED = {
    ((0.0, 0.30, 0.0), (0, 1, 0)): 1.7,
    ((0.67, 0.219, -0.045), (1, 0, 0)): 1.7,
    ((0.09, -1.09, 0.0), (0, -1, 0)): 1.6,
}

# Rest positions of an average adult with arms held out, rounded to 5 mm; the right side is mirrored.
JOINTS = {
    "pelvis": (0.0, -0.22, 0.03), "left_hip": (0.07, -0.315, 0.02), "spine1": (0.0, -0.115, 0.0),
    "left_knee": (0.105, -0.695, 0.015), "spine2": (0.0, 0.02, 0.0), "left_ankle": (0.09, -1.09, -0.03),
    "spine3": (0.0, 0.075, 0.025), "left_foot": (0.115, -1.145, 0.095), "neck": (0.0, 0.29, -0.015),
    "left_collar": (0.08, 0.195, -0.01), "head": (0.0, 0.355, 0.035), "left_shoulder": (0.175, 0.225, -0.015),
    "left_elbow": (0.43, 0.21, -0.04), "left_wrist": (0.68, 0.22, -0.045), "left_hand": (0.765, 0.215, -0.055),
}  # fmt: skip

# Surface landmarks that smplx picks by vertex number.
LANDMARKS = {
    "nose": (0.0, 0.401, 0.15), "left_eye": (0.032, 0.431, 0.12), "left_ear": (0.1, 0.42, 0.0),
    "left_big_toe": (0.092, -1.155, 0.2), "left_small_toe": (0.155, -1.16, 0.15), "left_heel": (0.087, -1.16, -0.1),
    "left_thumb": (0.775, 0.195, 0.05), "left_index": (0.9, 0.213, 0.01), "left_middle": (0.9, 0.215, -0.036),
    "left_ring": (0.9, 0.213, -0.072), "left_pinky": (0.85, 0.21, -0.13),
}  # fmt: skip

# Joint centres of the two regressors. Motion-capture hips lie further out than SMPL's; hips clicked by annotators
# (LSP) lower and further out still; their shoulders, elbows and wrists nearer to the surface that one sees.
REGRESSED = {
    "h36m_pelvis": (0.0, -0.265, 0.015), "h36m_left_hip": (0.115, -0.285, 0.012),
    "h36m_left_knee": (0.107, -0.70, 0.02), "h36m_left_ankle": (0.092, -1.10, -0.022),
    "h36m_spine": (0.0, 0.0, 0.01), "h36m_neck": (0.0, 0.25, -0.01), "h36m_nose": (0.0, 0.36, 0.07),
    "h36m_head_top": (0.0, 0.46, 0.02), "h36m_left_shoulder": (0.165, 0.215, -0.012),
    "h36m_left_elbow": (0.425, 0.208, -0.036), "h36m_left_wrist": (0.675, 0.219, -0.046),
    "lsp_left_hip": (0.105, -0.36, 0.02), "lsp_neck": (0.0, 0.265, -0.005), "lsp_head_top": (0.0, 0.53, 0.01),
    "mpii_pelvis": (0.0, -0.30, 0.012), "mpii_thorax": (0.0, 0.225, -0.005), "extra_spine": (0.0, -0.01, 0.0),
    "extra_jaw": (0.0, 0.345, 0.06), "extra_head": (0.0, 0.47, 0.03),
}  # fmt: skip


def both_sides(left: dict[str, tuple[float, float, float]]) -> dict[str, NDArray[np.float64]]:
    """Add the mirror image of every name with "left" in it."""
    points = {name: np.array(point) for name, point in left.items()}
    return points | {mirror_name(name): point * MIRROR for name, point in points.items() if "left" in name}


# ---------------------------------------------------------------------------------------------- the drawing


def round_cone(a: ArrayLike, b: ArrayLike, radius_a: float, radius_b: float) -> Solid:
    """A capsule from a to b (3,) whose radius changes linearly."""
    start, axis = np.asarray(a, dtype=float), np.asarray(b, dtype=float) - np.asarray(a, dtype=float)

    def distance(points: Points) -> NDArray[np.float64]:
        t = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
        return np.linalg.norm(points - start - t[..., None] * axis, axis=-1) - (radius_a + (radius_b - radius_a) * t)

    return distance


def ellipsoid(centre: ArrayLike, radii: ArrayLike) -> Solid:
    """An ellipsoid with axes along x, y, z."""

    def distance(points: Points) -> NDArray[np.float64]:
        offset = points - np.asarray(centre)
        scaled = np.maximum(np.linalg.norm(offset / np.asarray(radii), axis=-1), 1e-3)
        return np.linalg.norm(offset, axis=-1) * (1 - 1 / scaled)

    return distance


def loft(axis: int, stations: ArrayLike, power: float = 2.0) -> Solid:
    """A tube through superelliptical cross-sections.

    Args:
        axis: 0, 1 or 2: the direction along which it runs; u and v are the two other axes, in order.
        stations: (S, 5) rows of position along the axis, centre u, centre v, half width u, half width v.
        power: 2 for ellipses, more for boxier sections.
    """
    rows = np.asarray(sorted(map(tuple, np.asarray(stations))))
    profile = PchipInterpolator(rows[:, 0], rows[:, 1:])
    across = [i for i in range(3) if i != axis]

    def distance(points: Points) -> NDArray[np.float64]:
        t = points[..., axis]
        inside = np.clip(t, rows[0, 0], rows[-1, 0])
        section = profile(inside)
        offset = points[..., across] - section[..., :2]
        scaled = np.maximum((np.abs(offset / section[..., 2:]) ** power).sum(-1) ** (1 / power), 1e-3)
        radial = np.linalg.norm(offset, axis=-1) * (1 - 1 / scaled)
        beyond = np.abs(t - inside)
        return np.where(beyond > 0, np.hypot(np.maximum(radial, 0), beyond), radial)

    return distance


def left_half() -> list[tuple[Solid, float]]:
    """The left half of the body: solids, each with the width in metres over which it blends with those before it."""
    torso = [
        (-0.37, 0, 0.0, 0.10, 0.07), (-0.32, 0, -0.004, 0.150, 0.098), (-0.26, 0, -0.002, 0.168, 0.108),
        (-0.20, 0, 0.003, 0.163, 0.108), (-0.13, 0, 0.009, 0.150, 0.103), (-0.05, 0, 0.013, 0.137, 0.098),
        (0.03, 0, 0.010, 0.140, 0.101), (0.10, 0, 0.005, 0.151, 0.108), (0.16, 0, -0.002, 0.157, 0.106),
        (0.21, 0, -0.012, 0.148, 0.090), (0.25, 0, -0.020, 0.105, 0.064), (0.28, 0, -0.020, 0.062, 0.055),
    ]  # fmt: skip
    leg = [
        (-0.21, 0.080, 0.0, 0.050, 0.060), (-0.26, 0.085, 0.002, 0.074, 0.082), (-0.30, 0.089, 0.003, 0.081, 0.088),
        (-0.36, 0.094, 0.004, 0.084, 0.089), (-0.42, 0.098, 0.008, 0.080, 0.084), (-0.50, 0.103, 0.012, 0.071, 0.076),
        (-0.58, 0.106, 0.014, 0.061, 0.066), (-0.65, 0.107, 0.016, 0.053, 0.058), (-0.70, 0.106, 0.018, 0.049, 0.055),
        (-0.75, 0.104, 0.008, 0.047, 0.053), (-0.82, 0.102, -0.008, 0.052, 0.057),
        (-0.88, 0.099, -0.014, 0.049, 0.054), (-0.95, 0.096, -0.020, 0.041, 0.044),
        (-1.02, 0.092, -0.028, 0.032, 0.036), (-1.07, 0.090, -0.032, 0.030, 0.036),
        (-1.11, 0.090, -0.032, 0.031, 0.038),
    ]  # fmt: skip
    arm = [
        (0.13, 0.222, -0.014, 0.040, 0.040), (0.17, 0.222, -0.016, 0.050, 0.049), (0.22, 0.220, -0.020, 0.050, 0.049),
        (0.28, 0.218, -0.026, 0.047, 0.046), (0.34, 0.215, -0.032, 0.044, 0.043), (0.40, 0.212, -0.038, 0.038, 0.039),
        (0.43, 0.211, -0.041, 0.036, 0.039), (0.47, 0.212, -0.042, 0.039, 0.041), (0.52, 0.214, -0.043, 0.037, 0.040),
        (0.58, 0.216, -0.044, 0.031, 0.035), (0.64, 0.218, -0.045, 0.024, 0.030), (0.68, 0.219, -0.045, 0.020, 0.028),
        (0.71, 0.219, -0.046, 0.018, 0.031), (0.75, 0.217, -0.048, 0.016, 0.040), (0.775, 0.216, -0.048, 0.014, 0.041),
    ]  # fmt: skip
    foot = [
        (-0.075, 0.088, -1.142, 0.020, 0.024), (-0.055, 0.088, -1.136, 0.030, 0.036),
        (-0.03, 0.089, -1.126, 0.033, 0.046), (0.0, 0.092, -1.128, 0.034, 0.043), (0.04, 0.098, -1.138, 0.038, 0.034),
        (0.08, 0.106, -1.147, 0.044, 0.025), (0.12, 0.111, -1.153, 0.046, 0.018), (0.14, 0.112, -1.156, 0.042, 0.014),
    ]  # fmt: skip
    neck = [
        (0.24, 0, -0.024, 0.066, 0.060), (0.29, 0, -0.016, 0.056, 0.056), (0.34, 0, -0.004, 0.053, 0.057),
        (0.40, 0, 0.0, 0.055, 0.060),
    ]  # fmt: skip
    fingers = [  # base, tip, radii
        ((0.765, 0.217, -0.018), (0.855, 0.213, 0.004), 0.0095, 0.0075),
        ((0.770, 0.217, -0.040), (0.866, 0.214, -0.036), 0.0095, 0.0075),
        ((0.768, 0.217, -0.060), (0.855, 0.213, -0.072), 0.0092, 0.0072),
        ((0.760, 0.216, -0.078), (0.828, 0.211, -0.106), 0.0085, 0.0068),
    ]
    toes = [
        ((0.088, -1.157, 0.125), (0.086, -1.159, 0.168), 0.014, 0.012),
        ((0.108, -1.159, 0.125), (0.110, -1.161, 0.168), 0.010, 0.009),
        ((0.122, -1.160, 0.120), (0.125, -1.162, 0.158), 0.009, 0.008),
        ((0.134, -1.160, 0.112), (0.138, -1.162, 0.145), 0.009, 0.008),
        ((0.145, -1.160, 0.100), (0.149, -1.162, 0.130), 0.009, 0.008),
    ]
    solids: list[tuple[Solid, float]] = [
        (loft(1, torso, power=2.3), 0.0),
        (loft(1, leg), 0.05),
        (ellipsoid((0.078, -0.295, -0.045), (0.080, 0.090, 0.075)), 0.05),  # buttock
        (ellipsoid((0.072, 0.130, 0.070), (0.072, 0.055, 0.036)), 0.06),  # breast
        (ellipsoid((0.085, 0.150, -0.075), (0.055, 0.075, 0.030)), 0.06),  # shoulder blade
        (round_cone((0.02, 0.275, -0.032), (0.16, 0.236, -0.020), 0.030, 0.040), 0.05),  # trapezius
        (loft(0, arm), 0.05),
        (ellipsoid((0.182, 0.220, -0.017), (0.056, 0.056, 0.056)), 0.03),  # deltoid
        (loft(2, foot, power=2.3), 0.03),
        (loft(1, neck), 0.03),
        (ellipsoid((0.0, 0.460, 0.008), (0.077, 0.096, 0.098)), 0.02),  # skull
        (ellipsoid((0.0, 0.380, 0.052), (0.061, 0.066, 0.066)), 0.03),  # jaw
        (ellipsoid((0.0, 0.328, 0.094), (0.024, 0.018, 0.018)), 0.02),  # chin
        (round_cone((0.0, 0.440, 0.102), (0.0, 0.402, 0.121), 0.007, 0.012), 0.012),  # nose
        (round_cone((0.0, 0.450, 0.095), (0.040, 0.448, 0.081), 0.012, 0.009), 0.015),  # brow
        (round_cone((0.042, 0.402, 0.076), (0.056, 0.410, 0.050), 0.016, 0.012), 0.020),  # cheek
        (ellipsoid((0.032, 0.429, 0.091), (0.014, 0.011, 0.012)), 0.006),  # eye
        (ellipsoid((0.0, 0.364, 0.112), (0.024, 0.009, 0.008)), 0.010),  # lips
        (ellipsoid((0.076, 0.418, 0.0), (0.009, 0.031, 0.019)), 0.010),  # ear
    ]
    solids += [(round_cone(*finger), 0.008) for finger in fingers]
    solids += [(round_cone((0.700, 0.212, -0.022), (0.735, 0.205, 0.006), 0.016, 0.012), 0.015)]
    solids += [(round_cone((0.735, 0.205, 0.006), (0.762, 0.201, 0.026), 0.012, 0.008), 0.006)]
    solids += [(round_cone(*toe), 0.008) for toe in toes]
    return solids


# ----------------------------------------------------------------------------------------------- the mesh


def signed_distance() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Distances on a grid over the left half, and the grid's origin; each solid is evaluated around itself only."""
    low, high = np.array([0.0, -1.24, -0.20]), np.array([0.94, 0.60, 0.26])
    axes = [np.arange(a, b, GRID) for a, b in zip(low, high, strict=True)]
    coarse_step = 6
    coarse = np.stack(np.meshgrid(*(axis[::coarse_step] for axis in axes), indexing="ij"), -1)
    grid = np.full([len(axis) for axis in axes], 1.0, dtype=np.float32)
    for solid, blend in left_half():
        near = np.argwhere(solid(coarse) < blend + 2 * coarse_step * GRID)
        box = tuple(
            slice(max(0, (a - 1) * coarse_step), (b + 2) * coarse_step)
            for a, b in zip(near.min(0), near.max(0), strict=True)
        )
        points = np.stack(np.meshgrid(*(axis[s] for axis, s in zip(axes, box, strict=True)), indexing="ij"), -1)
        new, old = solid(points), grid[box]
        union = np.minimum(old, new)
        if blend:
            union -= np.maximum(blend - np.abs(old - new), 0) ** 2 / (4 * blend)
        grid[box] = union
    return grid, low


def magnified(points: Points) -> Points:
    """Enlarge head, hand and foot, so that the simplification takes their details for important."""
    large = points.copy()
    for (pivot, outwards), factor in DETAILED.items():
        offset = points - np.array(pivot)
        share = np.clip(offset @ np.array(outwards) / 0.06, 0, 1)
        large += (factor - 1) * (share**2 * (3 - 2 * share))[:, None] * offset
    return large


def simplified_half(grid: NDArray[np.float32], low: NDArray[np.float64]) -> tuple[Points, NDArray[np.int64]]:
    """Open mesh of the left half with half of the body's faces, its rim at x = 0; near the surface, not yet on it."""
    import fast_simplification
    from skimage.measure import marching_cubes

    vertices, faces, normals, _ = marching_cubes(grid, 0.0)
    on_rim = vertices[:, 0] == 0
    vertices = vertices * GRID + low
    large = magnified(vertices)
    # Edges on the rim collapse along the rim only, so the half stays cut at x = 0. Whether the count of faces can be
    # even depends on the rim's, so another roughness is tried where it is not.
    for seed in range(100):
        # Quadrics spend nearly all triangles on what is curved. A little roughness makes flat parts worth some too,
        # as skin needs them where it bends.
        rough = normals * np.random.default_rng(seed).normal(scale=ROUGHNESS, size=(len(vertices), 1))
        rough[on_rim, 0] = 0
        half, half_faces = fast_simplification.simplify(
            (large + rough).astype(np.float32), faces.astype(np.int32), target_count=NUM_FACES // 2, agg=3
        )[:2]
        if len(half_faces) == NUM_FACES // 2:
            break
    else:
        msg = f"no start ends at {NUM_FACES // 2} faces, the last had {len(half_faces)}"
        raise RuntimeError(msg)
    rim = half[:, 0] < 1e-6
    distance, near = cKDTree(large).query(half, k=4)
    share = 1 / (distance + 1e-4)
    half = half - np.einsum("vk,vkc->vc", share / share.sum(1, keepdims=True), (large - vertices)[near])
    half[rim, 0] = 0
    return half, half_faces


def settled(
    half: Points, faces: NDArray[np.int64], grid: NDArray[np.float32], low: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Put vertices back on the surface, and those of trunk and limbs evenly among their neighbours."""
    on_rim = half[:, 0] == 0
    drifting = ~on_rim & (magnified(half) == half).all(1)
    pairs = np.concatenate([faces[:, [i, j]] for i in range(3) for j in range(3) if i != j])
    neighbours = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(half), len(half))).tocsr()
    neighbours = diags(1 / np.asarray(neighbours.sum(1)).ravel()) @ neighbours
    slopes = [np.asarray(slope) for slope in np.gradient(grid, GRID)]
    for step in range(14):
        where = ((half - low) / GRID).T
        distance = map_coordinates(grid, where, order=1, mode="nearest")
        slope = np.stack([map_coordinates(slope, where, order=1, mode="nearest") for slope in slopes], 1)
        slope[on_rim, 0] = 0
        squared = np.maximum((slope**2).sum(1, keepdims=True), 0.1)
        half = half - distance[:, None] * slope / squared
        if step < 10:  # the last rounds only settle
            drift = neighbours @ half - half
            drift -= (drift * slope).sum(1, keepdims=True) * slope / squared
            half[drifting] += 0.4 * drift[drifting]
        half[on_rim, 0] = 0
    return half


def mirrored_mesh() -> tuple[Points, NDArray[np.int64]]:
    """Closed mesh of 6890 vertices and 13776 faces, its own mirror image, with outward faces."""
    grid, low = signed_distance()
    half, half_faces = simplified_half(grid, low)
    half = settled(half, half_faces, grid, low)
    half = np.round(half / QUANTUM) * QUANTUM
    on_rim = np.abs(half[:, 0]) < QUANTUM / 2
    twin = np.where(on_rim, np.arange(len(half)), 0)
    twin[~on_rim] = len(half) + np.arange((~on_rim).sum())
    vertices = np.concatenate([half, half[~on_rim] * MIRROR])
    faces = np.concatenate([half_faces, twin[half_faces][:, ::-1]]).astype(np.int64)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if np.einsum("fi,fi->", a, np.cross(b, c)) < 0:
        faces = faces[:, ::-1]
    return vertices, faces


def renumber(vertices: Points, faces: NDArray[np.int64]) -> tuple[Points, NDArray[np.int64]]:
    """Swap vertices so that those which smplx picks by number lie at the places that their names say."""
    order = np.lexsort(np.round(vertices, 4).T[[0, 2, 1]])  # by height first: neighbours compress well
    for name, place in both_sides(LANDMARKS).items():
        wanted = VERTEX_JOINTS[name]
        off_midline = 1e3 * (vertices[order, 0] != 0) if place[0] == 0 else 0
        nearest = int(np.argmin(np.linalg.norm(vertices[order] - place, axis=1) + off_midline))
        order[[wanted, nearest]] = order[[nearest, wanted]]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    faces = number[faces]
    # Faces start at their smallest vertex and are sorted: one form for one mesh, and it compresses.
    faces = np.stack([np.roll(face, -int(np.argmin(face))) for face in faces])
    return vertices[order], faces[np.lexsort(faces.T[::-1])]


def mirror_vertices(vertices: Points) -> NDArray[np.int64]:
    """(V,) number of each vertex's mirror image."""
    distance, index = cKDTree(vertices).query(vertices * MIRROR)
    assert distance.max() < QUANTUM, "the mesh is not its own mirror image"
    return index


# ------------------------------------------------------------------------------------------- skin and joints


def bones(joints: dict[str, NDArray[np.float64]]) -> list[list[tuple[NDArray[Any], NDArray[Any]]]]:
    """For each of the 24 joints the segments that move with it."""
    ends: dict[str, list[ArrayLike]] = {name: [] for name in SMPL_JOINTS}
    for name, parent in zip(SMPL_JOINTS[1:], SMPL_PARENTS[1:], strict=True):
        ends[SMPL_JOINTS[parent]].append(joints[name])
    ends["head"] = [(0.0, 0.50, 0.01), (0.0, 0.38, 0.07)]
    ribs: dict[str, list[tuple[ArrayLike, ArrayLike]]] = {name: [] for name in SMPL_JOINTS}
    for side, sign in (("left", 1), ("right", -1)):
        ends[f"{side}_foot"] = [(sign * 0.115, -1.155, 0.16)]
        ends[f"{side}_hand"] = [(sign * 0.855, 0.213, -0.04), (sign * 0.79, 0.205, 0.01)]
        # The trunk is wide: without these its sides would be nearer to the bones of the limbs.
        ribs["spine3"] += [
            ((sign * 0.10, 0.06, 0.0), (sign * 0.11, 0.16, -0.01)),
            ((sign * 0.05, 0.10, 0.06), (sign * 0.05, 0.19, 0.04)),
            ((sign * 0.06, 0.08, -0.06), (sign * 0.07, 0.19, -0.06)),
        ]
        ribs["spine2"] += [((0, 0.015, 0), (sign * 0.09, 0.015, 0))]
        ribs["spine1"] += [((0, -0.085, 0), (sign * 0.09, -0.085, 0))]
        ribs["pelvis"] += [
            ((0, -0.19, 0), (sign * 0.11, -0.19, 0)),
            ((sign * 0.03, -0.25, -0.05), (sign * 0.08, -0.25, -0.06)),
        ]
        ribs["neck"] += [((0, 0.30, -0.01), (sign * 0.02, 0.34, -0.01))]
    return [
        [(joints[name], np.asarray(end, dtype=float)) for end in ends[name]]
        + [(np.asarray(a, dtype=float), np.asarray(b, dtype=float)) for a, b in ribs[name]]
        for name in SMPL_JOINTS
    ]


def skin_weights(vertices: Points, faces: NDArray[np.int64], joints: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """(V, 24) smooth weights, at most four a vertex, by heat that flows from each vertex's nearest bone [2].

    [2] Baran and Popovic, Automatic Rigging and Animation of 3D Characters, SIGGRAPH 2007.
    """
    distance = np.stack(
        [np.min([round_cone(a, b, 0.0, 0.0)(vertices) for a, b in segments], axis=0) for segments in bones(joints)], 1
    )
    nearest = distance.argmin(1)
    count = len(vertices)
    # Cotangent Laplacian and a third of the faces' areas per vertex.
    corners = vertices[faces]
    rows, cols, values = [], [], []
    area = np.zeros(count)
    for i in range(3):
        a, b, c = corners[:, i], corners[:, (i + 1) % 3], corners[:, (i + 2) % 3]
        double_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        cotangent = np.einsum("fi,fi->f", b - a, c - a) / np.maximum(double_area, 1e-12) / 2
        cotangent = np.clip(cotangent, 0.01, 10)
        j, k = faces[:, (i + 1) % 3], faces[:, (i + 2) % 3]
        rows += [j, k]
        cols += [k, j]
        values += [cotangent, cotangent]
        np.add.at(area, faces[:, i], double_area / 6)
    adjacency = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), shape=(count, count))
    laplacian = diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency.tocsr()
    heat = area * 0.2 / np.maximum(distance.min(1), 0.01) ** 2
    source = np.zeros((count, len(SMPL_JOINTS)))
    source[np.arange(count), nearest] = heat
    weights = splu((laplacian + diags(heat)).tocsc()).solve(source)
    mirror = mirror_vertices(vertices)
    swap = [SMPL_JOINTS.index(mirror_name(name)) for name in SMPL_JOINTS]
    weights = (weights + weights[mirror][:, swap]) / 2
    # Lowered by the fifth largest, not cut after the fourth: weights stay continuous where the four change.
    weights = np.maximum(weights - np.sort(weights, axis=1)[:, [-5]], 0)
    weights[weights < 0.002] = 0
    return weights / weights.sum(1, keepdims=True)


def regressor_row(vertices: Points, target: NDArray[np.float64], mirror: NDArray[np.int64]) -> NDArray[np.float64]:
    """(V,) non-negative weights that sum to 1 and place the target, spread over the vertices around it.

    A joint on the midline gets the same weight for a vertex and its mirror image.
    """
    nearest = np.argsort(np.linalg.norm(vertices - target, axis=1), kind="stable")
    for count in (16, 24, 32, 48, 64, 96, 160, 320, 640, 1280):
        chosen = nearest[:count]
        if target[0] == 0:
            chosen = np.unique(np.concatenate([chosen, mirror[chosen]]))
        # As even as the constraints allow: the constraints weigh a million times more than evenness.
        constraints = np.concatenate([vertices[chosen].T - target[:, None], np.ones((1, len(chosen)))])
        goal = np.array([0.0, 0.0, 0.0, 1.0])
        system = np.concatenate([1e4 * constraints, np.eye(len(chosen)) * 0.02])
        solution, _ = nnls(system, np.concatenate([1e4 * goal, np.full(len(chosen), 0.02 / len(chosen))]))
        if np.abs(constraints @ solution - goal).max() < 2e-5:
            break
    else:
        msg = f"no vertices around {target} place it"
        raise RuntimeError(msg)
    row = np.zeros(len(vertices))
    row[chosen] = solution
    if target[0] == 0:
        row = (row + row[mirror]) / 2
    return row / row.sum()


def regressors(vertices: Points, names: tuple[str, ...], places: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """(J, V) rows for the named joints; rows of the right side are the mirrored ones of the left."""
    mirror = mirror_vertices(vertices)
    rows = {}
    for name in names:
        rows[name] = regressor_row(vertices, places[name if "right" not in name else mirror_name(name)], mirror)
        if "right" in name:
            rows[name] = rows[name][mirror]
    return np.stack([rows[name] for name in names])


def build(path: Path) -> None:
    """Write the stored part of the stand-in body to ``path``."""
    joints = both_sides(JOINTS)
    vertices, faces = renumber(*mirrored_mesh())
    assert vertices.shape == (NUM_VERTICES, 3), vertices.shape
    assert faces.shape == (NUM_FACES, 3), faces.shape
    weights = skin_weights(vertices, faces, joints)
    all_rows = np.concatenate(
        [
            regressors(vertices, SMPL_JOINTS, joints),
            regressors(vertices, H36M_JOINTS + EXTRA_JOINTS, both_sides(REGRESSED)),
        ]
    )
    row, column = np.nonzero(all_rows)
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    np.savez_compressed(
        path,
        vertices=np.round(vertices / QUANTUM).astype(np.int16),
        faces=faces.astype(np.uint16),
        weight_joints=strongest.astype(np.uint8),
        weights=np.round(np.take_along_axis(weights, strongest, 1) * 65535).astype(np.uint16),
        regressor_row=row.astype(np.uint8),
        regressor_column=column.astype(np.uint16),
        regressor_value=all_rows[row, column].astype(np.float32),
    )
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {len(np.unique(column))} vertices in regressors")


if __name__ == "__main__":
    build(Path(__file__).with_name("standin_mesh.npz"))
