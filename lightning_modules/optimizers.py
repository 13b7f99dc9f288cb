"""The optimiser that every module here uses: Adam, and a learning rate that falls in steps near the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler

from body_models.names import unknown


@dataclass(frozen=True)
class AdamSettings:
    """How a mesh network is optimised.

    Attributes:
        lr: Adam's learning rate.
        lr_milestones: fractions of the training after which the rate falls.
        lr_gamma: factor by which it falls.
        weight_decay: L2 penalty on all weights.
    """

    lr: float = 1e-4
    lr_milestones: Sequence[float] = (0.7, 0.9)
    lr_gamma: float = 0.1
    weight_decay: float = 0.0

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> AdamSettings:
        """From plain values by name; what is not named keeps its default.

        Raises:
            ValueError: an unknown name.
        """
        known = [field.name for field in fields(cls)]
        for name in given or {}:
            if name not in known:
                raise ValueError(unknown("setting of the optimiser", name, known))
        return cls(**(given or {}))

    def plain(self) -> dict[str, Any]:
        """Values that a checkpoint can hold and ``weights_only`` reads."""
        return {**asdict(self), "lr_milestones": [float(part) for part in self.lr_milestones]}


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
