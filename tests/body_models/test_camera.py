"""Boxes, crops and cameras: the rule for boxes, and that a crop's camera is exact on the full image."""

import numpy as np
import pytest
import torch

from body_models import camera


def test_process_box_follows_the_rule_by_hand() -> None:
    # 100 x 40 at (10, 20) in a 300 x 200 image: edges 10..109 and 20..59, size 99 x 39, made square, x1.25.
    x, y, w, h = camera.process_box([10, 20, 100, 40], (300, 200))
    assert w == h == pytest.approx(99 * 1.25)
    assert (x + w / 2, y + h / 2) == pytest.approx((10 + 99 / 2, 20 + 39 / 2))


def test_process_box_clips_to_the_image_and_keeps_the_aspect() -> None:
    _, _, w, h = camera.process_box([-50, -50, 1000, 1000], (200, 100), aspect=0.75)
    assert w / h == pytest.approx(0.75)
    assert w == pytest.approx(199 * 1.25)


@pytest.mark.parametrize("box", [[0, 0, 0, 10], [5, 5, -3, 4], [500, 0, 10, 10], [np.nan, 0, 5, 5], [0, 0, 1, 1]])
def test_process_box_refuses_boxes_without_area(box: list[float]) -> None:
    with pytest.raises(camera.BoxError, match="no area"):
        camera.process_box(box, (200, 100))


def test_crop_maps_the_edges_of_the_box_to_the_edges_of_the_crop() -> None:
    affine = camera.crop_affine([10, 20, 80, 80], (64, 64))
    corners = camera.apply_affine(affine, np.array([[10, 20], [90, 100]]))
    np.testing.assert_allclose(corners, [[0, 0], [64, 64]], atol=1e-9)


def test_flip_and_rotation_keep_the_centre_and_invert_exactly() -> None:
    affine = camera.crop_affine([10, 20, 80, 60], (64, 48), scale=1.2, rotation_deg=25, flip=True)
    np.testing.assert_allclose(camera.apply_affine(affine, np.array([50.0, 50.0])), [32, 24], atol=1e-9)
    points = np.random.default_rng(0).uniform(0, 100, (20, 2))
    back = camera.apply_affine(camera.invert_affine(affine), camera.apply_affine(affine, points))
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_positive_rotation_is_clockwise_on_the_screen() -> None:
    affine = camera.crop_affine([0, 0, 64, 64], (64, 64), rotation_deg=90)
    right_of_centre = camera.apply_affine(affine, np.array([60.0, 32.0]))
    np.testing.assert_allclose(right_of_centre, [32, 60], atol=1e-9)  # now below the centre: y points down


def test_crop_camera_is_the_same_camera_on_the_full_image() -> None:
    size = 64
    box = np.array([37.5, -12.0, 210.0, 210.0])
    points = torch.randn(1, 30, 3, dtype=torch.float64) * 0.5 + torch.tensor([0.2, -0.1, 40.0])
    focal = torch.full((1, 2), camera.crop_focal(size))
    princpt = torch.full((1, 2), size / 2)
    on_crop = camera.project(points, focal, princpt)[0].numpy()
    focal_image, princpt_image = camera.crop_camera_to_image(focal, princpt, torch.tensor(box)[None], size)
    on_image = camera.project(points, focal_image, princpt_image)[0].numpy()
    expected = camera.apply_affine(camera.crop_affine(box, (size, size)), on_image)
    np.testing.assert_allclose(on_crop, expected, atol=1e-2)


def test_project_agrees_with_numpy_and_stays_finite_behind_the_camera() -> None:
    points = np.random.default_rng(0).normal([0, 0, 5], size=(2, 5, 3))
    expected = points[..., :2] / points[..., 2:] * [[[500, 510]]] + [[[30, 40]]]
    ours = camera.project(torch.tensor(points), torch.tensor([[500.0, 510.0]] * 2), torch.tensor([[30.0, 40.0]] * 2))
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-4)
    behind = camera.project(torch.tensor([[[0.1, 0.1, -1.0]]]), torch.ones(1, 2), torch.zeros(1, 2))
    assert torch.isfinite(behind).all()
