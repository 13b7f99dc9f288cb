"""A NumPy z-buffer: draws meshes on any machine, without a display, a GPU or a graphics library.

It serves the synthetic world and the overlays alike. Faces are drawn only from outside (counter-clockwise seen from
there, as SMPL's are), so meshes have to be closed or one-sided. A pixel is covered if its centre is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

NEAR = 0.05  # metres; a face with a vertex nearer than this is left out
BODY_COLOR = (0.65, 0.74, 0.86)
LIGHT = (-0.4, -0.6, -0.7)
AMBIENT = 0.35
VIEW_METRES = 2.2
# So far away that perspective no longer shows: side views measure alike at every depth.
VIEW_DISTANCE = 200.0


class Fragments(NamedTuple):
    """What is seen, one row for each of the P covered pixels.

    Attributes:
        pixels: (P,) index into the flattened image, row by row.
        faces: (P,) index of the face that is seen there.
        barycentrics: (P, 3) float32 weights of the face's three vertices, correct under perspective.
        depth: (P,) float32 metres along z.
    """

    pixels: NDArray[np.int64]
    faces: NDArray[np.int64]
    barycentrics: NDArray[np.float32]
    depth: NDArray[np.float32]


class Rendering(NamedTuple):
    """A shaded picture.

    Attributes:
        rgb: (H, W, 3) uint8, black where nothing is seen.
        mask: (H, W) bool.
        depth: (H, W) float32 metres along z, infinite where nothing is seen.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    depth: NDArray[np.float32]


def rasterize(
    vertices: NDArray[Any], faces: NDArray[Any], focal: ArrayLike, princpt: ArrayLike, size: tuple[int, int]
) -> Fragments:
    """Find the face that each pixel sees.

    Args:
        vertices: (V, 3) metres, camera frame (x right, y down, z forward).
        faces: (F, 3) vertex numbers.
        focal: (2,) pixels.
        princpt: (2,) pixels; the image spans [0, width] x [0, height], so the first pixel's centre is (0.5, 0.5).
        size: width, height in pixels.
    """
    width, height = size
    depth = vertices[:, 2]
    inverse_depth = 1 / np.where(depth > NEAR, depth, np.inf)
    points = vertices[:, :2] * inverse_depth[:, None] * np.asarray(focal) + np.asarray(princpt)

    corners = points[faces]
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # With y down, a face that is counter-clockwise from outside has a negative area when seen from there.
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    first = np.ceil(np.clip(corners.min(1), 0, size) - 0.5)
    last = np.floor(np.clip(corners.max(1), 0, size) - 0.5)
    in_front = (inverse_depth > 0)[faces].all(1)
    seen = np.flatnonzero((area < -1e-9) & in_front & (last >= first).all(1))

    # One candidate for each pixel in the bounding box of each face.
    first, last = first[seen].astype(np.int32), last[seen].astype(np.int32)
    columns, rows = (last - first + 1).T
    counts = columns * rows
    starts = np.cumsum(counts) - counts
    triangle = np.repeat(np.arange(len(seen), dtype=np.int32), counts)
    step = np.arange(len(triangle), dtype=np.int32) - starts.astype(np.int32)[triangle]
    down = step // columns[triangle]
    y = first[triangle, 1] + down
    x = first[triangle, 0] + step - down * columns[triangle]

    # Barycentrics relative to the first corner: exact enough in single precision, also far from the image's origin.
    a, ab, ac, inverse_area = a[seen], ab[seen], ac[seen], 1 / area[seen, None]
    gradient = np.concatenate([ac[:, ::-1] * inverse_area, ab[:, ::-1] * inverse_area], 1).astype(np.float32)
    offset_x = (first[:, 0] + 0.5 - a[:, 0]).astype(np.float32)[triangle] + (x - first[triangle, 0])
    offset_y = (first[:, 1] + 0.5 - a[:, 1]).astype(np.float32)[triangle] + down
    slope = gradient[triangle]
    weight_b = offset_x * slope[:, 0] - offset_y * slope[:, 1]
    weight_c = offset_y * slope[:, 3] - offset_x * slope[:, 2]
    weight_a = 1 - weight_b - weight_c
    inside = np.flatnonzero((weight_a >= 0) & (weight_b >= 0) & (weight_c >= 0))

    face = seen[triangle[inside]]
    weights = np.stack([weight_a[inside], weight_b[inside], weight_c[inside]], 1)
    weights *= inverse_depth.astype(np.float32)[faces[face]]
    nearness = weights.sum(1)
    # Written from far to near, so that the nearest fragment of a pixel stays.
    order = np.argsort(nearness, kind="stable")
    front = np.full(width * height, -1, dtype=np.int64)
    front[y[inside[order]].astype(np.int64) * width + x[inside[order]]] = order
    pixels = np.flatnonzero(front >= 0)
    front = front[pixels]
    nearness = nearness[front]
    return Fragments(pixels, face[front], weights[front] / nearness[:, None], (1 / nearness).astype(np.float32))


def vertex_normals(vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[np.float64]:
    """(V, 3) outward unit normals, averaged over the faces around a vertex by their area."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    corner = faces.ravel()
    total = np.stack(
        [np.bincount(corner, np.repeat(normals[:, i], 3), minlength=len(vertices)) for i in range(3)], axis=1
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def render_mesh(
    vertices: NDArray[Any],
    faces: NDArray[Any],
    focal: ArrayLike,
    princpt: ArrayLike,
    size: tuple[int, int],
    color: ArrayLike = BODY_COLOR,
    light: ArrayLike = LIGHT,
) -> Rendering:
    """Draw a smoothly shaded mesh.

    Args:
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3).
        focal: (2,) pixels.
        princpt: (2,) pixels.
        size: width, height in pixels.
        color: (3,) or (V, 3) red, green, blue in [0, 1].
        light: (3,) direction towards the light, camera frame; (-0.4, -0.6, -0.7) is left, above, behind the camera.
    """
    width, height = size
    fragments = rasterize(vertices, faces, focal, princpt, size)
    corners = faces[fragments.faces]
    weights = fragments.barycentrics
    towards_light = np.asarray(light, dtype=float) / np.linalg.norm(light)
    normals = np.einsum("pk,pkc->pc", weights, vertex_normals(vertices, faces).astype(np.float32)[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    shade = AMBIENT + (1 - AMBIENT) * np.clip(normals @ towards_light, 0, 1)
    base = np.asarray(color, dtype=np.float32)
    if base.ndim == 2:
        base = np.einsum("pk,pkc->pc", weights, base[corners])

    rgb = np.zeros((height * width, 3), dtype=np.uint8)
    rgb[fragments.pixels] = np.clip(shade[:, None] * base * 255 + 0.5, 0, 255).astype(np.uint8)
    mask = np.zeros(height * width, dtype=bool)
    mask[fragments.pixels] = True
    depth = np.full(height * width, np.inf, dtype=np.float32)
    depth[fragments.pixels] = fragments.depth
    return Rendering(rgb.reshape(height, width, 3), mask.reshape(height, width), depth.reshape(height, width))


def overlay(
    image: NDArray[np.uint8],
    vertices: NDArray[Any],
    faces: NDArray[Any],
    focal: ArrayLike,
    princpt: ArrayLike,
    color: ArrayLike = BODY_COLOR,
    opacity: float = 0.9,
) -> NDArray[np.uint8]:
    """Draw a mesh on a picture, with smooth edges.

    Args:
        image: (H, W, 3) uint8 RGB; left as it is.
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3).
        focal: (2,) pixels of this picture.
        princpt: (2,) pixels of this picture.
        color: (3,) or (V, 3) in [0, 1].
        opacity: 1 hides the person under the mesh.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    drawn = render_mesh(vertices, faces, np.multiply(focal, 2), np.multiply(princpt, 2), (2 * width, 2 * height), color)
    # Four samples a pixel; black outside the mesh, so that the mean is already weighted by how much is covered.
    covered = cv2.resize(drawn.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)[..., None]
    mesh = cv2.resize(drawn.rgb.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(image * (1 - opacity * covered) + opacity * mesh + 0.5, 0, 255).astype(np.uint8)


def side_view(
    vertices: NDArray[Any],
    faces: NDArray[Any],
    size: tuple[int, int],
    color: ArrayLike = BODY_COLOR,
    angle: float = 90.0,
    background: int = 255,
    centre: ArrayLike | None = None,
) -> NDArray[np.uint8]:
    """Draw a mesh as seen from another side, without perspective, where errors in depth show.

    The picture's height always spans :data:`VIEW_METRES`, so that bodies in several pictures compare in size.

    Args:
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3).
        size: width, height in pixels.
        color: (3,) or (V, 3) in [0, 1].
        angle: degrees that the camera walks around the mesh, towards its own right; 0 is the front view.
        background: grey value.
        centre: (3,) the point that is drawn in the middle, camera frame; None takes the middle of the mesh, which
            moves with its arms.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    width, height = size
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    turned = vertices @ turn.T
    middle = (turned.min(0) + turned.max(0)) / 2 if centre is None else turn @ np.asarray(centre)
    turned = turned - middle + [0, 0, VIEW_DISTANCE]
    focal = VIEW_DISTANCE * height / VIEW_METRES
    plain = np.full((height, width, 3), background, dtype=np.uint8)
    return overlay(plain, turned, faces, (focal, focal), (width / 2, height / 2), color, opacity=1.0)
