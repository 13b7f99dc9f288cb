"""Pose2DDataModule: the data of the pose2d stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datamodules.people_module import PeopleDataModule, Source


class Pose2DDataModule(PeopleDataModule):
    """Trains a 2D pose network on sources with 2D joints; all of them share the superset of body joints.

    Args:
        sources: name -> source.
        quotas: name -> share of a batch; by number of people if None.
        min_joints: people with fewer annotated joints teach little, and are left out.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        quotas: Mapping[str, float] | None = None,
        min_joints: int = 3,
        **settings: Any,
    ) -> None:
        super().__init__(sources, quotas, min_joints=min_joints, **settings)
