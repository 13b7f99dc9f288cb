"""LiftDataModule: projections of recorded poses, for what reads 2D joints without a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from body_models.bodies import FREE_BODY, open_body
from body_models.joint_sets import JointSet
from body_models.spec import BodySpec
from datamodules.people_module import make_loader
from datamodules.pose_prior import hold_out
from datamodules.projections import Projections, Views, pose_bodies
from datamodules.samplers import MixtureSampler, UnpaddedSampler
from datamodules.sources.poses import open_poses

ELSEWHERE = Views(
    frontal=0.0, pitch_deg=30.0, roll_deg=15.0, tilt_deg=20.0, lying=0.3, nearest=1.2, farthest=20.0, box_scale=0.2,
    box_shift=0.08, shape=1.5,
)  # fmt: skip
"""Views that nothing is trained on: what is learned must hold where other people point their cameras."""


def joints_seen(joint_sets: Sequence[JointSet], spec: BodySpec) -> NDArray[np.bool_]:
    """(M, J) which of a body's joints each joint set has."""
    seen = np.zeros((len(joint_sets), len(spec.body_joints)), dtype=bool)
    for number, joint_set in enumerate(joint_sets):
        rows = spec.rows(joint_set)
        seen[number, rows[rows >= 0]] = True
    return seen


class LiftDataModule(pl.LightningDataModule):
    """Batches of :class:`body_models.contracts.Batch` without pictures; whole sequences are held out.

    Args:
        root: folder of AMASS, or of ASF/AMC clips.
        joint_sets: of the people that will be annotated; each sample has the joints of one of them.
        body_models: reference of the body.
        input_size: side of the crops that joints are given on, pixels.
        batch_size: people per step and process.
        samples_per_epoch: people seen in an epoch over all processes.
        bodies: posed at once and kept; each is seen from anew every time.
        views: fields of :class:`datamodules.projections.Views` that differ from its defaults.
        val_share: share of the sequences that are held out.
        val_bodies: of them, for each of the two validations: on these views, and on :data:`ELSEWHERE`.
        cache_dir: folder for caches.
        seed: of all draws.
    """

    def __init__(
        self,
        root: str,
        joint_sets: Sequence[JointSet],
        body_models: str = FREE_BODY,
        input_size: int = 256,
        batch_size: int = 256,
        samples_per_epoch: int = 65_536,
        bodies: int = 50_000,
        views: Mapping[str, float] | None = None,
        val_share: float = 0.1,
        val_bodies: int = 2000,
        cache_dir: str = "cache",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.root, self.joint_sets, self.body_models = root, list(joint_sets), body_models
        self.input_size, self.batch_size, self.samples_per_epoch = input_size, batch_size, samples_per_epoch
        self.bodies, self.val_bodies, self.val_share = bodies, val_bodies, val_share
        self.views, self.cache_dir, self.seed = Views(**(views or {})), cache_dir, seed

    def prepare_data(self) -> None:
        """Read the sequences into the cache."""
        open_poses(self.root, self.cache_dir)

    def setup(self, stage: str | None = None) -> None:
        """Pose the bodies."""
        poses, sequence, self.dropped = open_poses(self.root, self.cache_dir)
        held_out = hold_out(self.root, sequence, self.val_share, self.seed)
        body = open_body(self.body_models)
        seen = joints_seen(self.joint_sets, body.spec)

        def make(rows: NDArray[np.bool_], count: int, views: Views, seed: int) -> Projections:
            bodies = pose_bodies(body, poses[np.flatnonzero(rows)], count, views.shape, seed)
            return Projections(bodies, body.spec, seen, self.input_size, views)

        self.train_data = make(~held_out, self.bodies, self.views, self.seed)
        self.val_data = {
            "held_out": make(held_out, self.val_bodies, self.views, self.seed),
            "elsewhere": make(held_out, self.val_bodies, ELSEWHERE, self.seed),
        }

    def train_dataloader(self) -> DataLoader[Any]:
        """Bodies in random order, each seen from anew; resumed within an epoch, those that were not seen yet."""
        ranks, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = MixtureSampler(
            sizes=[len(self.train_data)],
            quotas=[1.0],
            batch_size=self.batch_size,
            samples_per_epoch=max(self.samples_per_epoch, self.batch_size * ranks),
            seed=self.seed,
            num_replicas=ranks,
            rank=rank,
        )
        if self.trainer:
            sampler.start_step = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return make_loader(self.train_data, sampler, self.batch_size, 0, as_fetched, True)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Held-out bodies once over all processes: seen as in the training, and from elsewhere."""
        ranks, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        return [
            make_loader(data, _Seeded(UnpaddedSampler(data, ranks, rank)), self.batch_size, 0, as_fetched, False)
            for data in self.val_data.values()
        ]


class _Seeded(UnpaddedSampler):
    """Every index once, each with a seed of its own."""

    def __init__(self, indices: UnpaddedSampler) -> None:
        self._indices = indices._indices

    def __iter__(self) -> Any:
        return iter([(row, row) for row in self._indices.tolist()])


def as_fetched(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch that the dataset has drawn at once."""
    return batch
