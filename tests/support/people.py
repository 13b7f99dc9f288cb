"""Synthetic batches and a network that knows the answer, to test callbacks without data or training."""

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from body_models.contracts import Prediction
from body_models.joint_sets import COCO17
from body_models.rotations import axis_angle_to_matrix
from body_models.spec import SMPL
from datamodules.columns import build_or_open
from datamodules.people import PeopleBuilder, PeopleTable

SIZE = 48


class People(Dataset):
    """``count`` random people; the same for the same index in every process."""

    def __init__(self, count, dataset="coco", split="train"):
        self.ids = [f"{dataset}/{split}/seq{i % 3}/{i}" for i in range(count)]

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        pose = torch.tensor(rng.normal(0, 0.3, (24, 3)), dtype=torch.float32)
        pose[0, 0] += torch.pi
        rotations = axis_angle_to_matrix(pose)
        visible = torch.arange(len(SMPL.body_joints)) < (0 if index == 0 else 10)
        return {
            "id": self.ids[index],
            "source": "coco",
            "image": torch.full((3, SIZE, SIZE), 128, dtype=torch.uint8),
            "box": torch.tensor([10.0, 20.0, 96.0, 96.0]),
            "affine": torch.tensor([[1.0, 0.0, -10.0], [0.0, 1.0, -20.0]]),
            "joints_2d": torch.full((len(SMPL.body_joints), 2), 20.0),
            "joints_2d_conf": visible.float(),
            "joints_3d": torch.zeros(len(SMPL.body_joints), 3),
            "joints_3d_conf": torch.zeros(len(SMPL.body_joints)),
            "global_orient": rotations[0],
            "body_pose": rotations[1:],
            "betas": torch.tensor(rng.normal(size=10), dtype=torch.float32),
            "gender": index % 3,
            "has_pose": 1.0,
            "has_betas": 1.0,
        }


def people_table(folder, people):
    """The table that such people would have been read from."""
    dataset, split, _ = people.ids[0].split("/", 2)
    builder = PeopleBuilder(dataset, split, COCO17, folder)
    for i, name in enumerate(people.ids):
        joints = np.full((17, 3), i, dtype=np.float32)
        key = name.removeprefix(f"{dataset}/{split}/")
        builder.add(key, image=f"{i}.jpg", image_size=(640, 480), box=(10, 20, 50 + i, 60), joints_2d=joints)
    return PeopleTable(build_or_open(folder, f"{dataset}-{split}", [], {"ids": people.ids}, 1, builder.finish))


class Oracle(pl.LightningModule):
    """Returns the truth, turned by ``error`` radians at each joint, with the neutral model's camera."""

    def __init__(self, error=0.0):
        super().__init__()
        self.error = error
        self.layer = torch.nn.BatchNorm1d(3)

    def forward(self, batch):
        turn = axis_angle_to_matrix(torch.tensor([0.0, self.error, 0.0]))
        count = len(batch["id"])
        return Prediction(
            global_orient=batch["global_orient"],
            body_pose=batch["body_pose"] @ turn,
            betas=batch["betas"],
            transl=torch.tensor([0.0, 0.0, 40.0]).expand(count, 3),
            focal=torch.full((count, 2), 937.5),
            princpt=torch.full((count, 2), SIZE / 2),
            joints_3d=torch.zeros(count, len(SMPL.body_joints), 3),
            joints_2d=batch["joints_2d"] + torch.tensor([4.8, 0.0]),
        )

    def predict_step(self, batch, batch_idx):
        return {"id": batch["id"], "prediction": self(batch)}

    def validation_step(self, batch, batch_idx):
        return self.predict_step(batch, batch_idx)

    def test_step(self, batch, batch_idx):
        return self.predict_step(batch, batch_idx)


def loader(people, batch_size=4, rank=0, world=1):
    """Unpadded and unshuffled: rank r gets r::world."""
    return DataLoader(people, batch_size=batch_size, sampler=range(len(people))[rank::world])


def trainer(*callbacks, **options):
    """A Trainer without files and bars."""
    return pl.Trainer(
        accelerator="cpu",
        devices=options.pop("devices", 1),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=options.pop("enable_progress_bar", False),
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
        **options,
    )
