"""Pose2DDataModule: the data of the pose2d stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from datamodules.people import PeopleTable
from datamodules.people_module import PeopleDataModule, Source

_HASHES = 2**32


class Pose2DDataModule(PeopleDataModule):
    """Trains a 2D pose network on sources with 2D joints; all of them share the superset of body joints.

    A part of each source is held out: whole images (of videos whole sequences), always the same ones. Prediction is
    over these people.

    Args:
        sources: name -> source.
        quotas: name -> share of a batch; by number of people if None.
        min_joints: people with fewer annotated joints teach little, and are left out.
        holdout: share of the images that is held out.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        quotas: Mapping[str, float] | None = None,
        min_joints: int = 3,
        holdout: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(sources, quotas, min_joints=min_joints, target_min_joints=min_joints, **settings)
        self.holdout = holdout

    def train_table(self, name: str) -> PeopleTable:
        """The people of a source that are trained on."""
        table = super().train_table(name)
        return table.select(~self._held_out(table), "held out")

    def target_table(self, name: str) -> PeopleTable:
        """The people of a source that are held out."""
        table = super().target_table(name)
        return table.select(self._held_out(table))

    def _held_out(self, table: PeopleTable) -> NDArray[np.bool_]:
        groups = table.groups().tolist()
        return np.array([crc32(group) < self.holdout * _HASHES for group in groups], dtype=bool)
