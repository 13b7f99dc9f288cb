"""The optimiser that every module here uses: Adam, and a learning rate that falls in steps near the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler


def adam_with_steps(
    module: pl.LightningModule,
    lr: float,
    lr_milestones: Sequence[float],
    lr_gamma: float,
    weight_decay: float = 0.0,
    special: Sequence[Mapping[str, Any]] = (),
) -> OptimizerLRScheduler:
    """What ``configure_optimizers`` returns.

    Args:
        module: attached to a trainer, which knows the number of steps.
        lr: learning rate at the start.
        lr_milestones: fractions of the training, in [0, 1], after each of which the rate is multiplied by ``lr_gamma``.
            An endless training (max_steps=-1 and max_epochs=-1) keeps the first rate.
        lr_gamma: factor.
        weight_decay: L2 penalty.
        special: parameter groups (``params`` and their own settings) that these values are not for; their rates fall
            alike.
    """
    own = {id(parameter) for group in special for parameter in group["params"]}
    parameters = [each for each in module.parameters() if each.requires_grad and id(each) not in own]
    optimizer = torch.optim.Adam([{"params": parameters}, *map(dict, special)], lr=lr, weight_decay=weight_decay)
    steps = module.trainer.estimated_stepping_batches
    if math.isinf(steps):
        return {"optimizer": optimizer}
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [round(part * steps) for part in lr_milestones], lr_gamma
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
