"""A batch of random people in the Batch contract: noise for images, but true bodies, joints and projections."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from body_models.camera import crop_focal, project
from body_models.contracts import Batch
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from datamodules.crops import Augmentation
from datamodules.dataset import PeopleDataset, collate
from datamodules.sources import open_source
from datamodules.synthetic.world import WORLD_SIZES, make_world
from lightning_modules.priors.pose_prior import PosePrior


def random_batch(size: int = 4, input_size: int = 48, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    rotations = axis_angle_to_matrix(0.3 * torch.randn(size, 24, 3, generator=generator))
    upright = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    global_orient, body_pose = upright @ rotations[:, 0], rotations[:, 1:]
    betas = torch.randn(size, 10, generator=generator)
    transl = torch.tensor([0.0, 0.2, 41.0]).repeat(size, 1) + 0.1 * torch.randn(size, 3, generator=generator)
    joints = BodyModel().joints(global_orient, body_pose, betas, transl)
    focal = torch.full((size, 2), crop_focal(input_size))
    princpt = torch.full((size, 2), input_size / 2)
    ones = torch.ones(joints.shape[:2])
    return {
        "id": [f"random/train/{index}" for index in range(size)],
        "source": ["random"] * size,
        "image": torch.randint(0, 256, (size, 3, input_size, input_size), generator=generator, dtype=torch.uint8),
        "box": torch.tensor([0.0, 0.0, input_size, input_size]).repeat(size, 1),
        "image_size": torch.full((size, 2), float(input_size)),
        "affine": torch.eye(2, 3).repeat(size, 1, 1),
        "joints_2d": project(joints, focal, princpt),
        "joints_2d_conf": ones.clone(),
        "joints_3d": joints,
        "joints_3d_conf": ones.clone(),
        "root_index": torch.zeros(size, dtype=torch.long),
        "global_orient": global_orient,
        "body_pose": body_pose,
        "betas": betas,
        "transl": transl,
        "has_pose": torch.ones(size),
        "has_betas": torch.ones(size),
        "gender": torch.zeros(size, dtype=torch.long),
        "focal": focal,
        "princpt": princpt,
        "has_camera": torch.ones(size),
    }


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    return random_batch


@pytest.fixture
def prior_file(tmp_path: Path) -> Path:
    """Weights of an untrained, small pose prior in a published layout."""
    torch.manual_seed(0)
    path = tmp_path / "prior.pt"
    torch.save({"state_dict": {f"vp_model.{k}": v for k, v in PosePrior(64).state_dict().items()}}, path)
    return path


@pytest.fixture(scope="session")
def eight_people(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Batch]:
    """A function (input_size=48, seed=None) -> batch of the same 8 people with true bodies; augmented with a seed."""
    folder: Path = tmp_path_factory.mktemp("eight")
    world = make_world(folder / "world", WORLD_SIZES["tiny"], num_workers=0)
    table = open_source("threedpw", str(folder / "cache"), root=str(world / "3dpw"), split="train")

    def make(input_size: int = 48, seed: int | None = None) -> Batch:
        people = PeopleDataset(table, "threedpw", input_size, Augmentation())
        return collate([people[3 * row, None if seed is None else seed + row] for row in range(8)])

    return make
