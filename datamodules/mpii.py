"""MPIIDataModule: people of MPII Human Pose, 2D joints only."""

from __future__ import annotations

from typing import Any

from datamodules.people_module import PeopleDataModule


class MPIIDataModule(PeopleDataModule):
    """Trains on and predicts the annotated people of MPII's training set.

    Args:
        root: folder with the official .mat or the COCO-style train.json, and ``images/``.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(self, root: str, **settings: Any) -> None:
        super().__init__({"mpii": {"kind": "mpii", "root": root, "split": "train"}}, **settings)
