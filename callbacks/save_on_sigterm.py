"""Saves a training that a scheduler ends: what was learned since the last saved part would be lost.

Schedulers send SIGTERM and wait some seconds. Lightning notes it down and ends the training after the step. Of several
processes each may be at another step when the signal comes, and a checkpoint needs all of them: there the training goes
on at its last part, as after a crash.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl


class SaveOnSigterm(pl.Callback):
    """Writes the checkpoint that the training resumes from, at the end of the step in which SIGTERM came.

    Args:
        path: of that checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.received_sigterm and trainer.world_size == 1:
            trainer.save_checkpoint(self.path)
