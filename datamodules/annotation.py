"""AnnotationDataModule: the data of the annotate and dump stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

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
        # A process may have nobody left to predict.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._done: dict[str, NDArray[np.bool_]] = {}

    @property
    def target_ids(self) -> dict[str, list[str]]:
        """Name of each target -> ids of the people that get a pseudo-GT, in the order of the table."""
        return {name: self.target_table(name).ids() for name in self.targets}

    def leave_out(self, done: Mapping[str, NDArray[np.bool_]]) -> None:
        """Predict only the rest from now on.

        Args:
            done: name of a target's table (``dataset-split``) -> (N,) mask of its people who need no prediction.
        """
        self._done = dict(done)

    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each target: everybody who is not left out, once over all processes."""
        tables = {name: self.target_table(name) for name in self.targets}
        return [
            self._plain_loader(table, name, self._crops(name), self._done.get(table.name))
            for name, table in tables.items()
        ]
