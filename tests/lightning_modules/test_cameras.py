"""Cameras on crops against independent projections in NumPy, in double precision, on the full image."""

import numpy as np
import pytest
import torch

from body_models.camera import apply_affine, crop_affine, crop_camera_to_image, project
from lightning_modules.annotator import AnnotatorModule
from lightning_modules.cameras import CAMERAS, CropCamera, find_camera, full_image, known, on_crop, virtual

SIZE = 48
IMAGE_SIZE = np.array([640.0, 480.0])
BOX = np.array([400.0, 90.0, 200.0, 200.0])


def on_image(points: np.ndarray, focal: np.ndarray, princpt: np.ndarray) -> np.ndarray:
    return points[:, :2] / points[:, 2:] * focal + princpt


def people(make_batch, change: tuple = (), focal=(500.0, 520.0), princpt=(300.0, 250.0)) -> dict:
    """A batch whose people are seen by a camera of the full image, their crops changed by (scale, degrees, flip)."""
    batch = make_batch()
    count = len(batch["id"])
    for name, value in {
        "box": BOX,
        "image_size": IMAGE_SIZE,
        "affine": crop_affine(BOX, (SIZE, SIZE), *change),
        "focal": focal,
        "princpt": princpt,
    }.items():
        batch[name] = torch.tensor(np.asarray(value)).repeat(count, *[1] * np.ndim(value))
    return batch


@pytest.mark.parametrize(
    ("change", "focal"),
    [
        ((), (500.0, 530.0)),
        ((1.2, 0.0, True), (500.0, 530.0)),
        ((0.8, 25.0, False), (510.0, 510.0)),
        ((1.1, -40.0, True), (510.0, 510.0)),
        ((1.0, 90.0, True), (500.0, 530.0)),
    ],
)
def test_a_turned_body_seen_on_the_crop_is_the_body_seen_on_the_image(make_batch, change, focal) -> None:
    batch = people(make_batch, change, focal)
    points = np.random.default_rng(0).normal([0.3, -0.2, 4.0], 0.4, (20, 3))
    expected = apply_affine(batch["affine"][0].numpy(), on_image(points, np.array(focal), batch["princpt"][0].numpy()))
    _, degrees, flip = change or (1.0, 0.0, False)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = points @ turn.T * [-1 if flip else 1, 1, 1]
    camera = known(batch, SIZE)
    assert (camera.focal > 0).all()
    np.testing.assert_allclose(
        on_image(turned, camera.focal[0].numpy(), camera.princpt[0].numpy()), expected, atol=1e-9
    )


@pytest.mark.parametrize("name", CAMERAS)
def test_the_way_back_to_the_image_is_exact(make_batch, name: str) -> None:
    batch = people(make_batch)
    camera = find_camera(name)(batch, SIZE)
    focal, princpt = crop_camera_to_image(camera.focal, camera.princpt, batch["box"], SIZE)
    true_focal, true_princpt = {
        "virtual": ([5000 * 200 / 256] * 2, BOX[:2] + 100),
        "full_image": ([800.0, 800.0], IMAGE_SIZE / 2),
        "known": ([500.0, 520.0], [300.0, 250.0]),
    }[name]
    np.testing.assert_allclose(focal[0], true_focal, rtol=1e-6)
    np.testing.assert_allclose(princpt[0], true_princpt, rtol=1e-6)
    batch["has_camera"][1] = 0
    if name == "known":
        guessed = full_image(batch, SIZE)
        torch.testing.assert_close(known(batch, SIZE).focal[1], guessed.focal[1])
        torch.testing.assert_close(known(batch, SIZE).princpt[1], guessed.princpt[1])


def test_translation_and_box_information_agree_with_cliff(make_batch) -> None:
    """The formulas as CLIFF's code has them, from box and image alone."""
    camera = full_image(people(make_batch), SIZE)
    out = torch.tensor([[0.1, -0.2, 0.7]], dtype=torch.float64).repeat(4, 1)
    side, centre, diagonal = 200.0, BOX[:2] + 100, 800.0
    share = 1 / (1 + np.exp(-0.7))
    scale = 2 / (2.5 * share)
    offset = 2 * (centre - IMAGE_SIZE / 2) / (scale * side)
    expected = [0.1 + offset[0], -0.2 + offset[1], 2 * diagonal / (scale * side)]
    np.testing.assert_allclose(camera.translation(out)[0], expected, rtol=1e-9)
    info = [*((centre - IMAGE_SIZE / 2) / diagonal * 2.8), (side - 0.24 * diagonal) / (0.06 * diagonal)]
    np.testing.assert_allclose(camera.box_info[0], info, rtol=1e-9)


def test_the_same_outputs_show_the_body_at_the_same_place_through_every_camera(make_batch) -> None:
    batch = people(make_batch)
    out = torch.tensor([[0.0, 0.0, 0.5]]).repeat(4, 1)
    for camera in (make(batch, SIZE) for make in CAMERAS.values()):
        pelvis = project(camera.translation(out).unsqueeze(1), camera.focal, camera.princpt)
        torch.testing.assert_close(pelvis, torch.full_like(pelvis, SIZE / 2), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", CAMERAS)
def test_joints_of_a_prediction_project_onto_the_full_image(make_batch, name: str) -> None:
    batch = {key: value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
             for key, value in people(make_batch).items()}  # fmt: skip
    prediction = AnnotatorModule("slim", SIZE, camera=name).eval()(batch)
    focal, princpt = crop_camera_to_image(prediction.focal, prediction.princpt, batch["box"], SIZE)
    joints = prediction.joints_3d[0].detach().numpy().astype(np.float64)
    seen = on_image(joints, focal[0].numpy().astype(np.float64), princpt[0].numpy().astype(np.float64))
    affine = batch["affine"][0].numpy().astype(np.float64)
    np.testing.assert_allclose(apply_affine(affine, seen), prediction.joints_2d[0].detach(), atol=2e-3)


def test_mirrored_crops_get_the_mirrored_camera(make_batch) -> None:
    batch = people(make_batch)
    plain, mirrored = full_image(batch, SIZE), full_image(people(make_batch, (1.0, 0.0, True)), SIZE)
    torch.testing.assert_close(mirrored.princpt, plain.princpt * torch.tensor([-1.0, 1.0]) + torch.tensor([SIZE, 0.0]))
    torch.testing.assert_close(mirrored.focal, plain.focal)


def test_the_virtual_camera_needs_the_crop_alone(make_batch) -> None:
    camera = virtual({"image": make_batch()["image"]}, SIZE)
    assert isinstance(camera, CropCamera)
    assert camera.focal.unique().tolist() == [937.5]


def test_unknown_camera_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="the nearest is full_image"):
        find_camera("fullimage")


def test_on_crop_of_the_whole_image_changes_nothing() -> None:
    focal, princpt = torch.tensor([[500.0, 510.0]]), torch.tensor([[20.0, 30.0]])
    camera = on_crop(focal, princpt, torch.eye(2, 3).unsqueeze(0), SIZE)
    torch.testing.assert_close((camera.focal, camera.princpt), (focal, princpt))
