"""CocoDataModule: people of COCO, 2D joints only."""

from __future__ import annotations

from typing import Any

from datamodules.people_module import PeopleDataModule


class CocoDataModule(PeopleDataModule):
    """Trains on and predicts the people of one split of COCO.

    Args:
        root: folder with ``annotations/`` and the images, or the keypoints json itself.
        split: to train on and to predict.
        val_split: to validate on, or None.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(self, root: str, split: str = "train", val_split: str | None = None, **settings: Any) -> None:
        def source(name: str) -> dict[str, str]:
            return {"kind": "coco", "root": root, "split": name}

        super().__init__({"coco": source(split)}, val=source(val_split) if val_split else None, **settings)
