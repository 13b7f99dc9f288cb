"""PosePriorDataModule: poses without images, for the pose prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.files import AnnotationError
from datamodules.people_module import make_loader
from datamodules.samplers import MixtureSampler, UnpaddedSampler
from datamodules.sources.poses import open_poses


class PoseDataset(Dataset[Any]):
    """Poses (K, 3), fetched a batch at a time: a sample alone is too small to be worth a call.

    Args:
        poses: (N, K, 3) axis-angle.
        rows: (M,) those to use.
    """

    def __init__(self, poses: NDArray[Any], rows: NDArray[Any]) -> None:
        self.poses, self.rows = poses, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | tuple[int, int]) -> Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int | tuple[int, int]]) -> Tensor:
        # The sampler of trainings gives each a seed, which a pose has no use for.
        places = np.array(indices).reshape(len(indices), -1)[:, 0]
        return torch.from_numpy(self.poses[self.rows[places]])


def _as_fetched(batch: Tensor) -> Tensor:
    return batch


def hold_out(root: str, sequence: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """Which poses are held out: those of some whole sequences.

    Args:
        root: where they are from, for the error.
        sequence: (N,) that each pose is of.
        share: of the sequences.
        seed: of the choice.

    Raises:
        AnnotationError: there would be nothing left.
    """
    names = np.unique(sequence)
    count = max(1, round(share * len(names)))
    if count >= len(names):
        msg = f"{root} has {len(names)} pose sequences: too few to hold out {share:.0%}"
        raise AnnotationError(msg)
    return np.isin(sequence, np.random.default_rng(seed).permutation(names)[:count])


class PosePriorDataModule(pl.LightningDataModule):
    """Batches of poses (B, K, 3), axis-angle of SMPL's joints that sequences know; whole sequences are held out.

    Args:
        root: folder of AMASS, or of ASF/AMC clips.
        batch_size: poses per step and process.
        samples_per_epoch: poses seen in an epoch over all processes, each once before any is seen again; as many as
            there are if None.
        val_share: share of the sequences that are validated on.
        fps: poses a second that are used.
        num_workers: loader processes for each process.
        cache_dir: folder for caches.
        seed: of the held-out sequences and the order.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 256,
        samples_per_epoch: int | None = None,
        val_share: float = 0.1,
        fps: float = 10.0,
        num_workers: int = 0,
        cache_dir: str = "cache",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.root, self.batch_size, self.samples_per_epoch, self.val_share = (
            root,
            batch_size,
            samples_per_epoch,
            val_share,
        )
        self.fps, self.num_workers, self.cache_dir, self.seed = fps, num_workers, cache_dir, seed

    def prepare_data(self) -> None:
        """Read the sequences into the cache."""
        open_poses(self.root, self.cache_dir, self.fps)

    def setup(self, stage: str | None = None) -> None:
        """Split the sequences."""
        poses, sequence, self.dropped = open_poses(self.root, self.cache_dir, self.fps)
        held_out = hold_out(self.root, sequence, self.val_share, self.seed)
        self.train_data = PoseDataset(poses, np.flatnonzero(~held_out))
        self.val_data = PoseDataset(poses, np.flatnonzero(held_out))

    def train_dataloader(self) -> DataLoader[Any]:
        """Random poses; a training that is resumed within an epoch gets those that it has not seen yet."""
        ranks, rank = self._ranks()
        sampler = MixtureSampler(
            sizes=[len(self.train_data)],
            quotas=[1.0],
            batch_size=self.batch_size,
            samples_per_epoch=self.samples_per_epoch or max(len(self.train_data), self.batch_size * ranks),
            seed=self.seed,
            num_replicas=ranks,
            rank=rank,
        )
        if self.trainer:
            sampler.start_step = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return make_loader(self.train_data, sampler, self.batch_size, self.num_workers, _as_fetched, True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Every held-out pose once over all processes."""
        sampler = UnpaddedSampler(self.val_data, *self._ranks())
        return make_loader(self.val_data, sampler, self.batch_size, self.num_workers, _as_fetched, False)

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
