"""The optimiser that every module here uses: Adam, and a learning rate that falls in steps near the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler


def adam_with_steps(
    module: pl.LightningModule, lr: float, lr_milestones: Sequence[float], lr_gamma: float, weight_decay: float = 0.0
) -> OptimizerLRScheduler:
    """What ``configure_optimizers`` returns.

    Args:
        module: attached to a trainer, which knows the number of steps.
        lr: learning rate at the start.
        lr_milestones: fractions of the training, in [0, 1], after each of which the rate is multiplied by ``lr_gamma``.
            An endless training (max_steps=-1 and max_epochs=-1) keeps the first rate.
        lr_gamma: factor.
        weight_decay: L2 penalty.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay)
    steps = module.trainer.estimated_stepping_batches
    if math.isinf(steps):
        return {"optimizer": optimizer}
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [round(part * steps) for part in lr_milestones], lr_gamma
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
