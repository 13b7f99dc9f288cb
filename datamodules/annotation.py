"""AnnotationDataModule: the data of the annotate and dump stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datamodules.people_module import PeopleDataModule, Source


class AnnotationDataModule(PeopleDataModule):
    """Trains on the targets mixed with auxiliary 3D sources; predicts the targets.

    Args:
        targets: name -> source that gets pseudo-GTs; one prediction loader each, in this order.
        auxiliary: name -> source that only helps in training.
        quotas: name -> share of a batch, for targets and auxiliary sources; by number of people if None.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(
        self,
        targets: Mapping[str, Source],
        auxiliary: Mapping[str, Source] | None = None,
        quotas: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__({**targets, **(auxiliary or {})}, quotas, targets=list(targets), **settings)

    @property
    def target_ids(self) -> dict[str, list[str]]:
        """Name of each target -> ids of the people that get a pseudo-GT, in the order of the table."""
        return {name: self.target_table(name).ids() for name in self.targets}
