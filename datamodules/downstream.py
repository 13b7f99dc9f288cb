"""DownstreamDataModule: the data of the downstream stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datamodules.people_module import PeopleDataModule, Source


class DownstreamDataModule(PeopleDataModule):
    """Trains on people with pseudo-GTs; validates and tests on 3DPW.

    Args:
        sources: name -> source; those with ``labels`` get the SMPL parameters of that label table.
        threedpw: root of 3DPW, whose validation and test splits are evaluated on; None for no evaluation.
        quotas: name -> share of a batch; by number of people if None.
        **settings: of :class:`datamodules.people_module.PeopleDataModule`.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        threedpw: str | None = None,
        quotas: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        def evaluation(split: str) -> Source | None:
            return None if threedpw is None else {"kind": "threedpw", "root": threedpw, "split": split}

        super().__init__(sources, quotas, val=evaluation("validation"), test=evaluation("test"), **settings)
