"""A mirrored batch is what the crops' own augmentation makes of the same people, pixel for pixel."""

from __future__ import annotations

from pathlib import Path

import pytest
import roma
import torch

from body_models.contracts import Batch
from body_models.mirror import mirror_batch, mirror_pose
from body_models.spec import SMPL
from datamodules.crops import Augmentation
from datamodules.dataset import PeopleDataset, collate
from datamodules.sources import open_source
from datamodules.synthetic.world import WORLD_SIZES, make_world

_FLIP_ALONE = Augmentation(scale=0, rotation_deg=0, rotation_probability=0, colour=0, flip_probability=1)


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Batch, Batch]]:
    """People with 2D joints alone, and people with bodies: as they are, and mirrored by the augmentation."""
    root = tmp_path_factory.mktemp("mirror")
    world = make_world(root / "world", WORLD_SIZES["tiny"], num_workers=0)
    made = []
    for kind, folder in (("coco", "coco"), ("threedpw", "3dpw")):
        table = open_source(kind=kind, root=str(Path(world) / folder), split="train", cache_dir=str(root / "cache"))
        people = PeopleDataset(table, kind, 48, _FLIP_ALONE)
        plain, mirrored = (collate([people[i, seed] for i in range(4)]) for seed in (None, 0))
        made.append((plain, mirrored))
    return made


def test_it_is_the_augmentations_mirror_image(batches: list[tuple[Batch, Batch]]) -> None:
    """But for a pixel: the augmentation mirrors about W / 2, so that the warped picture lies a pixel to the right."""
    for plain, mirrored in batches:
        found = mirror_batch(plain, SMPL)
        assert list(found) == list(mirrored)
        shifted = found["image"][..., :-1].float() - mirrored["image"][..., 1:].float()
        # Warped again instead of flipped: the same up to rounding.
        assert shifted.abs().max() <= 2
        found["affine"][:, 0, 2] += 1
        found["joints_2d"][..., 0] += found["joints_2d_conf"] > 0
        for key, value in found.items():
            if isinstance(value, torch.Tensor) and key != "image":
                torch.testing.assert_close(value, mirrored[key], atol=1e-4, rtol=0)
            elif key != "image":
                assert value == mirrored[key]


def test_twice_is_the_batch_itself(batches: list[tuple[Batch, Batch]]) -> None:
    for plain, _ in batches:
        for key, value in mirror_batch(mirror_batch(plain, SMPL), SMPL).items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(value, plain[key], atol=1e-4, rtol=0)


def test_mirror_pose_is_an_involution_for_arrays_and_tensors() -> None:
    pose = roma.random_rotmat((3, 24))
    mirrored = mirror_pose(pose, SMPL)
    torch.testing.assert_close(mirror_pose(mirrored, SMPL), pose)
    assert torch.linalg.det(mirrored).min() > 0.999
    assert (mirror_pose(pose.numpy(), SMPL) == mirrored.numpy()).all()
