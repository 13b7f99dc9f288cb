"""Makes what is drawn in a training step depend on seed, step and process alone.

Dropout, drawn codes and drawn poses follow torch's random state, which nobody keeps when a training is interrupted.
Set anew before each step, it makes a resumed training draw what it would have drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


class StepSeed(pl.Callback):
    """Seeds torch before each training step; from the seed that torch has when the training starts."""

    def __init__(self) -> None:
        self._seed = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seed = torch.initial_seed()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        entropy = (self._seed, trainer.global_step, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))
