"""The Trainer that benches run networks with: one device, and nothing printed or kept."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

_EXPECTED = (
    ".*LeafSpec.*",
    ".*does not have many workers.*",
    ".*your dataloader is not resumable.*",
    ".*have no `val_dataloader`.*",
    ".*is smaller than the logging interval.*",
)
"""Lightning's warnings about what benches do on purpose."""


def bench_trainer(folder: Path, callbacks: Sequence[pl.Callback], **settings: Any) -> pl.Trainer:
    """A Trainer on the GPU, or on the CPU where there is none.

    Args:
        folder: for whatever it writes.
        callbacks: what happens around the run.
        **settings: of :class:`pytorch_lightning.Trainer`, beside those that all benches share.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for text in _EXPECTED:
        warnings.filterwarnings("ignore", text)
    return pl.Trainer(
        accelerator="auto", devices=1, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, callbacks=list(callbacks), default_root_dir=folder, **settings,
    )  # fmt: skip
