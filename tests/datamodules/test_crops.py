"""Crops against what they show: joints lie on their blobs, turned and mirrored bodies project onto turned images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from body_models.camera import apply_affine, crop_affine, crop_camera_to_image, crop_focal, invert_affine, process_box
from body_models.contracts import Batch
from body_models.joint_sets import SMPL_JOINTS, mirror_permutation
from body_models.mirror import mirror_pose
from body_models.rotations import rotation_about_z
from body_models.smpl import BodyModel
from body_models.spec import SMPL
from datamodules.crops import Augmentation, CropCache, PixelChange, choose_reduction, draw_change, read_image, warp
from datamodules.dataset import JoinedDataset, PeopleDataset, collate
from datamodules.files import ImageError
from datamodules.people import PeopleTable
from datamodules.sources.coco import open_coco
from datamodules.sources.mpi_inf_3dhp import open_mpi_inf_3dhp
from datamodules.sources.threedpw import open_threedpw

TURN_ONLY = Augmentation(scale=0.2, rotation_deg=30.0, rotation_probability=1.0, colour=0.0, flip_probability=0.5)


@pytest.fixture
def coco(coco_root: Path, tmp_path: Path) -> PeopleTable:
    return open_coco(str(coco_root), "train", str(tmp_path / "cache"))


def test_labelled_joints_lie_on_their_blobs_whatever_the_augmentation(coco: PeopleTable) -> None:
    dataset = PeopleDataset(coco, "coco", 192, TURN_ONLY)
    green = []
    for index in range(len(coco)):
        for seed in (None, 1, 2, 3, 4):
            sample = dataset[index, seed]
            inside = (sample["joints_2d"] > 3).all(1) & (sample["joints_2d"] < 188).all(1)
            for x, y in sample["joints_2d"][inside & (sample["joints_2d_conf"] > 0)]:
                green.append(sample["image"][:, round(float(y)), round(float(x))].astype(int))
    red, greens, blue = np.array(green).T
    assert len(green) > 300
    assert (greens - np.maximum(red, blue) > 100).mean() > 0.99


def test_mirrored_joints_change_their_names(coco: PeopleTable) -> None:
    dataset = PeopleDataset(coco, "coco", 96, Augmentation(0, 0, 0, 0, 1.0))
    plain, mirrored = dataset[0], dataset[0, 5]
    np.testing.assert_array_equal(
        mirrored["joints_2d_conf"], plain["joints_2d_conf"][mirror_permutation(SMPL.body_joints)]
    )
    left, right = SMPL.body_joints.index("left_shoulder"), SMPL.body_joints.index("right_shoulder")
    if plain["joints_2d_conf"][left]:
        x, y = plain["joints_2d"][left]
        np.testing.assert_allclose(mirrored["joints_2d"][right], [96 - x, y], atol=1e-4)


def test_three_d_joints_turn_with_the_image(mpi_inf_3dhp_root: Path, tmp_path: Path) -> None:
    """Seen by a weak-perspective camera, turned 3D joints are the turned picture: an affine of the crop's joints."""
    table = open_mpi_inf_3dhp(str(mpi_inf_3dhp_root), "train", str(tmp_path / "cache"))
    dataset = PeopleDataset(table, "mpi_inf_3dhp", 64, TURN_ONLY)
    for seed in range(12):
        sample, change = dataset[1, seed], draw_change(TURN_ONLY, seed)
        known = sample["joints_3d_conf"] > 0
        assert (known == (sample["joints_2d_conf"] > 0)).all()
        metres = table.column("joints_3d")[1, dataset._from, :2]
        flat = np.zeros((len(SMPL.body_joints), 2))
        flat[dataset._to] = metres * 100
        # The affine of a box that makes one metre a hundred pixels, changed in the same way.
        affine = crop_affine((-32, -32, 64, 64), (64, 64), 1.0, change.rotation_deg, change.flip)
        expected = flat @ affine[:, :2].T
        if change.flip:
            expected = expected[mirror_permutation(SMPL.body_joints)]
        np.testing.assert_allclose(sample["joints_3d"][known, :2] * 100, expected[known], atol=1e-3)


def test_bodies_turn_with_their_joints(threedpw_root: Path, tmp_path: Path) -> None:
    """The augmented pose gives the augmented joints, for the same body; a mirrored one for a body that is symmetric."""
    table = open_threedpw(str(threedpw_root), "train", str(tmp_path / "cache"))
    body = BodyModel("free", "male")
    asymmetry = np.abs(_smpl_joints(body, _identity()) - _mirrored(_smpl_joints(body, _identity()))).max()
    for seed in range(8):
        sample = PeopleDataset(table, "threedpw", 64, TURN_ONLY)[0, seed]
        flip = draw_change(TURN_ONLY, seed).flip
        joints = _smpl_joints(body, sample)
        true = sample["joints_3d"][:24] - sample["joints_3d"][0]
        np.testing.assert_allclose(joints, true, atol=1e-4 + (4 * asymmetry if flip else 0))


def test_pose_changes_agree_with_the_torch_rotations(threedpw_root: Path, tmp_path: Path) -> None:
    table = open_threedpw(str(threedpw_root), "train", str(tmp_path / "cache"))
    dataset = PeopleDataset(table, "threedpw", 64, TURN_ONLY)
    plain = dataset[3]
    pose = torch.from_numpy(np.concatenate((plain["global_orient"][None], plain["body_pose"])))
    for seed in range(6):
        sample, change = dataset[3, seed], draw_change(TURN_ONLY, seed)
        turned = pose.clone()
        turned[0] = rotation_about_z(torch.tensor(change.rotation_deg, dtype=torch.float32).deg2rad()) @ pose[0]
        expected = mirror_pose(turned, SMPL) if change.flip else turned
        torch.testing.assert_close(torch.from_numpy(sample["global_orient"]), expected[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.from_numpy(sample["body_pose"]), expected[1:], atol=1e-5, rtol=0)


def test_a_crop_is_a_pure_function_of_person_and_seed(coco: PeopleTable) -> None:
    changes = Augmentation(occlusion=0.5, low_resolution=0.5, blur=0.5)
    one, two = (PeopleDataset(coco, "coco", 48, changes) for _ in range(2))
    for seed in (7, 8, 9):
        two[5, seed + 100]
        _assert_equal(one[3, seed], two[3, seed])
    assert (one[3, 7]["image"] != one[3, 8]["image"]).any()


def test_collate_is_the_default_collate(coco: PeopleTable, mpi_inf_3dhp_root: Path, tmp_path: Path) -> None:
    studio = open_mpi_inf_3dhp(str(mpi_inf_3dhp_root), "train", str(tmp_path / "cache"))
    joined = JoinedDataset([PeopleDataset(coco, "coco", 48), PeopleDataset(studio, "studio", 48)])
    samples = [joined[0], joined[3, 5], joined[len(coco)], joined[len(joined) - 1, 6]]
    assert [sample["source"] for sample in samples] == ["coco", "coco", "studio", "studio"]
    batch, default = collate(samples), default_collate(samples)
    assert list(batch) == list(default)
    assert set(batch) == set(Batch.__annotations__)
    for key, value in batch.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == default[key].dtype
            torch.testing.assert_close(value, default[key])
        else:
            assert value == default[key]
    assert batch["has_camera"].tolist() == [0, 0, 1, 1]
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].shape == (4, 3, 48, 48)


def test_colour_changes_each_channel_by_its_own_factor() -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    change = PixelChange(Augmentation(), 8)
    factors = np.array([change(image, seed)[0, 0] for seed in range(200)]) / 100
    assert factors.min() >= 0.79
    assert factors.max() <= 1.21
    assert factors.std(axis=1).mean() > 0.03


def test_each_pixel_change_does_what_it_says_as_often_as_asked() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), np.uint8), (0, 0), 1.0)

    def sharpness(picture: np.ndarray) -> float:
        return float(cv2.Laplacian(picture.astype(np.float32), cv2.CV_32F).std())

    def changed(**shares: float) -> list[np.ndarray]:
        change = PixelChange(Augmentation(colour=0.0, **shares), 96)
        return [change(image, seed) for seed in range(200)]

    assert all((crop == image).all() for crop in changed())
    for name in ("occlusion", "low_resolution", "blur"):
        crops = changed(**{name: 0.3})
        assert 0.2 < np.mean([(crop != image).any() for crop in crops]) < 0.4, name
    assert all(sharpness(crop) < 0.8 * sharpness(image) for crop in changed(low_resolution=1.0))
    assert all(sharpness(crop) < 0.8 * sharpness(image) for crop in changed(blur=1.0))
    for crop in changed(occlusion=1.0)[:40]:
        hidden = (crop != image).any(axis=2)
        assert 0.005 < hidden.mean() < 0.33
        assert len(np.unique(crop[hidden], axis=0)) <= 2


def test_a_change_switched_on_does_not_shift_the_others() -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    colour, both = (PixelChange(Augmentation(occlusion=share), 64) for share in (0.0, 1.0))
    for seed in (0, 3, 2**32 - 1):
        patched = both(image, seed)
        assert (patched == colour(image, seed)).all(axis=2).mean() > 0.6
        np.testing.assert_array_equal(patched, PixelChange(Augmentation(occlusion=1.0), 64)(image, seed))


@pytest.mark.parametrize("seed", range(20))
def test_what_an_augmented_crop_shows_is_found_on_the_image(seed: int) -> None:
    """To 0.01 px: the body turned and mirrored in the crop's camera, and mapped back to the image by the crop's affine,
    is the body as it stood before the image camera of the box, for any box, rotation, scale and flip."""
    rng = np.random.default_rng(seed)
    size, image_size = (48, 256)[seed % 2], (4000, 3000)
    box = process_box((*rng.uniform(0, 2500, 2), *rng.uniform(30, 1400, 2)), image_size)
    change = draw_change(Augmentation(rotation_deg=180.0, rotation_probability=0.8), seed)
    affine = crop_affine(box, (size, size), *change).astype(np.float32)
    points = rng.normal(size=(40, 3)) * [0.5, 0.9, 0.3] + [0.1, -0.2, 40.0]

    angle = np.deg2rad(change.rotation_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    seen = points @ turn.T * ([-1, 1, 1] if change.flip else [1, 1, 1])
    crop_points = seen[:, :2] / seen[:, 2:] * crop_focal(size) + size / 2
    found = apply_affine(invert_affine(affine), crop_points)

    whole = torch.tensor([[box[0] + box[2] / 2, box[1] + box[3] / 2, *(box[2:] * change.scale)]])
    whole[:, :2] -= whole[:, 2:] / 2
    crop_camera = (torch.full((1, 2), value, dtype=torch.float64) for value in (crop_focal(size), size / 2))
    focal, princpt = (value.numpy() for value in crop_camera_to_image(*crop_camera, whole, size))
    np.testing.assert_allclose(found, points[:, :2] / points[:, 2:] * focal + princpt, atol=0.01)


@pytest.mark.parametrize("side", [1900, 1000, 500])
def test_reduced_decoding_changes_little(side: int, tmp_path: Path) -> None:
    """On a picture with as much detail at each scale as photographs have, the mean difference is below 12 % of the
    crop's contrast: the softness that interpolation gives every crop of a person no larger than the crop."""
    rng = np.random.default_rng(1)
    image = np.zeros((2000, 2000, 3))
    for cells in (4, 16, 64, 256, 1000):
        image += cv2.resize(rng.normal(size=(cells, cells, 3)), (2000, 2000), interpolation=cv2.INTER_CUBIC) * 22
    path = tmp_path / "detail.jpg"
    cv2.imwrite(str(path), np.clip(image + 128, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])
    affine = crop_affine(process_box((20, 30, side, side), (2000, 2000), scale=1.0), (224, 224), 1.0, 20.0)
    reduction = choose_reduction(affine, (2000, 2000))
    assert reduction == {1900: 8, 1000: 4, 500: 2}[side]
    full = warp(read_image(path, (2000, 2000)), affine, 224).astype(float)
    reduced = warp(read_image(path, (2000, 2000), reduction), affine, 224, reduction)
    assert np.abs(full - reduced).mean() < 0.12 * full.std()


def test_cached_crops_show_the_same(coco: PeopleTable, tmp_path: Path) -> None:
    augmentation = Augmentation(colour=0.0)
    cache = CropCache(coco, 96, augmentation.reach, str(tmp_path / "cache"))
    direct = PeopleDataset(coco, "coco", 96, augmentation)
    cached = PeopleDataset(coco, "coco", 96, augmentation, cache)
    for index in range(len(coco)):
        plain = np.abs(direct[index]["image"].astype(int) - cached[index]["image"])
        assert plain.mean() < 1.0
        changed = np.abs(direct[index, index]["image"].astype(int) - cached[index, index]["image"])
        assert changed.mean() < 6.0
        np.testing.assert_array_equal(direct[index, index]["joints_2d"], cached[index, index]["joints_2d"])
    # A view of the table finds its own people in the same cache.
    view = coco.select(np.array([4, 2]))
    viewed = PeopleDataset(
        view, "coco", 96, augmentation, CropCache(view, 96, augmentation.reach, str(tmp_path / "cache"))
    )
    _assert_equal(viewed[1, 3], cached[2, 3])


@pytest.mark.parametrize("side", [700, 400, 230, 90])
def test_reduced_decoding_and_averaging_do_not_move_the_picture(side: int, tmp_path: Path) -> None:
    """The centre of a blob lands where the affine says, to a twentieth of a crop pixel, at every reduction."""
    size = (900, 800)
    centre = np.array([431.3, 377.8])
    image = np.zeros((size[1], size[0], 3), np.uint8)
    cv2.circle(
        image, tuple(round(float(v) * 256) for v in centre), round(side / 8 * 256), (255, 255, 255), -1, cv2.LINE_AA, 8
    )
    path = tmp_path / "blob.jpg"
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 99])
    box = process_box((centre[0] - side / 2 + 7, centre[1] - side / 2 - 5, side, side), size)
    affine = crop_affine(box, (64, 64), 1.1, 20.0)
    reduction = choose_reduction(affine, size)
    crop = warp(read_image(path, size, reduction), affine, 64, reduction)[..., 0].astype(float)
    ys, xs = np.mgrid[:64, :64]
    found = np.array([(crop * xs).sum(), (crop * ys).sum()]) / crop.sum()
    np.testing.assert_allclose(found, affine[:, :2] @ centre + affine[:, 2], atol=0.05)


def test_bad_images_are_named(coco_root: Path, tmp_path: Path) -> None:
    image = coco_root / "train2017" / "000000000002.jpg"
    data = image.read_bytes()
    for content, message in (
        (data[: len(data) // 2], "truncated"),
        (b"", "does not decode"),
        (b"GIF", "does not decode"),
    ):
        image.write_bytes(content)
        with pytest.raises(ImageError, match=rf"{image.name}.*{message}"):
            read_image(image, (320, 240))
    table = open_coco(str(coco_root), "train", str(tmp_path / "cache"))
    with pytest.raises(ImageError, match=rf"1 of 6 images(.|\n)*{image.name}"):
        CropCache(table, 48, 1.5, str(tmp_path / "cache"))
    image.write_bytes(data)
    with pytest.raises(ImageError, match="another size"):
        read_image(image, (640, 480))
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path / "no.jpg", (640, 480))


def _identity() -> dict[str, np.ndarray]:
    eye = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
    return {"global_orient": eye[0], "body_pose": eye[1:], "betas": np.zeros(10, np.float32)}


def _smpl_joints(body: BodyModel, sample: dict) -> np.ndarray:
    arguments = [torch.from_numpy(sample[name])[None] for name in ("global_orient", "body_pose", "betas")]
    joints = body.joints(*arguments)[0, :24].numpy()
    return joints - joints[0]


def _mirrored(joints: np.ndarray) -> np.ndarray:
    return joints[mirror_permutation(SMPL_JOINTS)] * [-1, 1, 1]


def _assert_equal(one: dict, two: dict) -> None:
    for key, value in one.items():
        np.testing.assert_array_equal(value, two[key], err_msg=key)
