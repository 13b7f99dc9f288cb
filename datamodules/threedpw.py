"""ThreeDPWDataModule: 3DPW, true bodies in the wild; what everything is evaluated on."""

from __future__ import annotations

from typing import Any

from datamodules.people_module import PeopleDataModule


class ThreeDPWDataModule(PeopleDataModule):
    """Trains on the training split, validates on the validation split and tests on the test split.

    Anything trained with it has seen 3DPW-train, which must be said beside each of its results.

    Args:
        root: folder with sequenceFiles and imageFiles.
        frames: which frames count, see :func:`datamodules.sources.threedpw.open_threedpw`.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(self, root: str, frames: str = "lsp14", **settings: Any) -> None:
        def source(split: str) -> dict[str, str]:
            return {"kind": "threedpw", "root": root, "split": split, "frames": frames}

        super().__init__({"threedpw": source("train")}, val=source("validation"), test=source("test"), **settings)
