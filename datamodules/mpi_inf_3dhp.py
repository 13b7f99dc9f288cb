"""MPIINF3DHPDataModule: views of MPI-INF-3DHP's studio, 2D and 3D joints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datamodules.people_module import PeopleDataModule
from datamodules.sources.mpi_inf_3dhp import CAMERAS


class MPIINF3DHPDataModule(PeopleDataModule):
    """Trains on and predicts the views of the training set; tests on the official test set where its root is given.

    Args:
        root: folder with S1, S2, ... or with the json layout.
        test_root: folder with TS1, TS2, ...; no test if None.
        variant: ``annot3`` or ``univ_annot3``, of training and test.
        cameras: numbers of the training cameras to use.
        frame_step: use every n-th training frame.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(
        self,
        root: str,
        test_root: str | None = None,
        variant: str = "annot3",
        cameras: Sequence[int] = CAMERAS,
        frame_step: int = 1,
        **settings: Any,
    ) -> None:
        source = {"kind": "mpi_inf_3dhp", "root": root, "variant": variant, "cameras": list(cameras)}
        if test_root is not None:
            settings["test"] = {"kind": "mpi_inf_3dhp", "root": test_root, "split": "test", "variant": variant}
        super().__init__({"mpi_inf_3dhp": {**source, "frame_step": frame_step}}, **settings)
