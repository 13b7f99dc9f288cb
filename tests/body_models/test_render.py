"""The renderer against plain geometry: where a triangle lands, what hides what, and what a side view shows."""

import numpy as np
import pytest

from body_models.free_body.arrays import free_body_arrays
from body_models.render import VIEW_METRES, overlay, rasterize, render_mesh, side_view, vertex_normals

FOCAL, PRINCPT, SIZE = (200.0, 210.0), (63.0, 51.0), (128, 96)
# Counter-clockwise when seen from the camera, as the camera has y pointing down.
TRIANGLE = np.array([[-0.5, 0.4, 2.0], [0.55, 0.3, 2.6], [0.1, -0.45, 1.7]])
FACE = np.array([[0, 1, 2]])


def body_before_camera(depth: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices in the camera frame, facing the camera, and faces of the free body."""
    arrays = free_body_arrays()
    return arrays["v_template"] * [1, -1, -1] + [0, -0.3, depth], arrays["f"].astype(np.int64)


def test_fragments_lie_on_the_triangle_along_the_pixels_own_rays() -> None:
    if np.cross(TRIANGLE[1] - TRIANGLE[0], TRIANGLE[2] - TRIANGLE[0])[2] > 0:
        pytest.fail("the triangle looks away")
    fragments = rasterize(TRIANGLE, FACE, FOCAL, PRINCPT, SIZE)
    points = fragments.barycentrics @ TRIANGLE
    np.testing.assert_allclose(points[:, 2], fragments.depth, rtol=1e-5)
    projected = points[:, :2] / points[:, 2:] * FOCAL + PRINCPT
    centres = np.stack([fragments.pixels % SIZE[0], fragments.pixels // SIZE[0]], 1) + 0.5
    np.testing.assert_allclose(projected, centres, atol=2e-3)


def test_covers_exactly_the_pixels_whose_centre_is_inside() -> None:
    corners = TRIANGLE[:, :2] / TRIANGLE[:, 2:] * FOCAL + PRINCPT
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    inside = np.ones(x.shape, dtype=bool)
    for i in range(3):
        (ax, ay), (bx, by) = corners[i], corners[(i + 1) % 3]
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) <= 0
    fragments = rasterize(TRIANGLE, FACE, FOCAL, PRINCPT, SIZE)
    np.testing.assert_array_equal(fragments.pixels, np.flatnonzero(inside))


def test_nearest_face_wins_in_any_order_and_backs_are_not_drawn() -> None:
    vertices = np.concatenate([TRIANGLE, TRIANGLE * 0.5, TRIANGLE * 0.25])
    faces = np.array([[0, 1, 2], [3, 4, 5], [6, 8, 7]])  # the nearest one is turned away
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        fragments = rasterize(vertices, faces[order], FOCAL, PRINCPT, SIZE)
        assert len(fragments.faces)
        assert (np.array(order)[fragments.faces] == 1).all()


def test_what_is_behind_the_camera_or_out_of_the_picture_is_left_out() -> None:
    behind = TRIANGLE * [1, 1, -1]
    beside = TRIANGLE + np.array([50, 0, 0])
    for vertices in (behind, behind[:, [1, 0, 2]], beside):
        assert len(rasterize(vertices, FACE, FOCAL, PRINCPT, SIZE).pixels) == 0
    rendering = render_mesh(behind, FACE, FOCAL, PRINCPT, SIZE)
    assert not rendering.mask.any()


def test_large_pictures_have_no_holes_in_the_body() -> None:
    vertices, faces = body_before_camera()
    size = (1500, 2400)
    rendering = render_mesh(vertices, faces, (5000, 5000), (750, 1200), size)
    # Every pixel's column of sight through a closed body meets a front first: single missing pixels would be cracks.
    inner = rendering.mask[1:-1, 1:-1]
    around = rendering.mask[:-2, 1:-1] & rendering.mask[2:, 1:-1] & rendering.mask[1:-1, :-2] & rendering.mask[1:-1, 2:]
    assert not (around & ~inner).any()


def test_normals_point_outwards() -> None:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(24)], 1)
    vertices = np.concatenate([ring, [[0, 0, 1.0], [0, 0, -1.0]]])
    next_one = (np.arange(24) + 1) % 24
    faces = np.concatenate(
        [
            np.stack([np.arange(24), next_one, np.full(24, 24)], 1),
            np.stack([next_one, np.arange(24), np.full(24, 25)], 1),
        ]
    )
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(normals, vertices, atol=1e-6)


def test_light_falls_on_the_side_that_it_comes_from() -> None:
    vertices, faces = body_before_camera()
    left, right = (
        render_mesh(vertices, faces, (400, 400), (64, 64), (128, 128), light=light).rgb.astype(float)
        for light in ((-1, 0, -0.1), (1, 0, -0.1))
    )
    assert left[:, :64].sum() > 1.2 * right[:, :64].sum()
    assert right[:, 64:].sum() > 1.2 * left[:, 64:].sum()


def test_vertex_colors_and_overlay_leave_the_rest_alone() -> None:
    vertices, faces = body_before_camera()
    color = np.where(vertices[:, 1:2] < -0.3, [1.0, 0, 0], [0, 0, 1.0])
    rendering = render_mesh(vertices, faces, (300, 300), (64, 64), (128, 128), color)
    rows = np.flatnonzero(rendering.mask.any(1))
    assert rendering.rgb[rows[2]][rendering.mask[rows[2]]][:, 2].max() == 0
    assert rendering.rgb[rows[-3]][rendering.mask[rows[-3]]][:, 0].max() == 0

    image = np.full((128, 128, 3), 90, dtype=np.uint8)
    drawn = overlay(image, vertices, faces, (300, 300), (64, 64))
    assert (image == 90).all()
    far = np.ones((128, 128), dtype=bool)
    ys, xs = np.nonzero(rendering.mask)
    far[max(0, ys.min() - 2) : ys.max() + 3, max(0, xs.min() - 2) : xs.max() + 3] = False
    np.testing.assert_array_equal(drawn[far], image[far])
    assert (drawn[rendering.mask] != 90).any(-1).mean() > 0.9


def test_side_view_keeps_one_scale_and_shows_depth() -> None:
    vertices, faces = body_before_camera()
    size = (300, 330)
    for depth in (0.0, 40.0):
        for angle in (0.0, 90.0, 180.0):
            view = side_view(vertices + np.array([3.0, 0, depth]), faces, size, angle=angle)
            rows = np.flatnonzero((view != 255).any((1, 2)))
            expected = np.ptp(vertices[:, 1]) * size[1] / VIEW_METRES
            assert abs(len(rows) - expected) < 3
    # From the camera's right one sees what is nearer to the camera on the left of the picture.
    nearer = vertices[:, 2:] < np.median(vertices[:, 2])
    side = side_view(vertices, faces, size, np.where(nearer, [1.0, 0, 0], [0, 0, 1.0]), angle=90.0).astype(int)
    red, blue = (np.argwhere((side[..., i] > 80) & (side[..., 2 - i] < 40))[:, 1] for i in (0, 2))
    assert red.mean() + 5 < blue.mean()
