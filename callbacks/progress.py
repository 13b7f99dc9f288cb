"""Progress with rate and remaining time: Lightning's rich bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar

SECONDS_BETWEEN_LINES = 10.0


def progress_bar(label: str) -> ProgressBar:
    """The progress bar that suits where the output goes.

    Args:
        label: what is going on, e.g. the stage's name; begins each line of a log.
    """
    return RichProgressBar(leave=False) if sys.stdout.isatty() else LineProgress(label)


class LineProgress(ProgressBar):
    """Prints ``annotate: 300/1500 steps, 640 people/s, 45 s left, loss 0.123`` every ten seconds.

    Args:
        label: beginning of each line.
        seconds: least time between two lines.
    """

    def __init__(self, label: str, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        super().__init__()
        self.label, self.seconds = label, seconds
        self._enabled = True
        self._begin(0)

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin(trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self._step(trainer, trainer.global_step, trainer.estimated_stepping_batches, batch, loss)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin(0)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._step(trainer, batch_idx + 1, trainer.num_predict_batches[dataloader_idx], batch, None)

    def _begin(self, step: int) -> None:
        self._first_step, self._people = step, 0
        self._started = self._printed = time.monotonic()

    def _step(self, trainer: pl.Trainer, step: int, total: int | float, batch: Any, loss: Any) -> None:
        if isinstance(batch, Mapping) and "id" in batch:
            self._people += len(batch["id"]) * trainer.world_size
        now = time.monotonic()
        if not self._enabled or (now - self._printed < self.seconds and step < total):
            return
        self._printed = now
        rate = (step - self._first_step) / max(now - self._started, 1e-6)
        people = self._people / max(now - self._started, 1e-6)
        line = f"{self.label}: {step}/{total} steps, " + (f"{people:.0f} people/s" if people else f"{rate:.1f} steps/s")
        if rate > 0 and total != float("inf"):
            line += f", {(total - step) / rate:.0f} s left"
        # Reading the loss waits for the device, so only when it is printed.
        print(line if loss is None else f"{line}, loss {float(loss):.4g}", flush=True)
