"""Averages BatchNorm's running statistics over processes, whenever somebody is about to use them.

DDP would copy rank zero's buffers to all others before each step, the body model's 19 MB among them. With
``broadcast_buffers=False`` each process keeps the statistics of its own people instead, and they are averaged before
validation and before checkpoints, so that every process evaluates, and the checkpoint holds, the same network.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import nn


def average_batchnorm(module: nn.Module) -> None:
    """Replace running means and variances by their mean over all processes, in place; one message for all layers."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    buffers = [
        buffer
        for layer in module.modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats
        for buffer in (layer.running_mean, layer.running_var)
        if buffer is not None
    ]
    if not buffers:
        return
    with torch.no_grad():
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for buffer, mean in zip(buffers, flat.split([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(mean.view_as(buffer))


class BatchNormAverage(pl.Callback):
    """Calls :func:`average_batchnorm` before validation, at the ends of epochs and of training, and for checkpoints."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        average_batchnorm(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        average_batchnorm(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        average_batchnorm(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # The checkpoint's state dict already refers to these very buffers; they are changed in place.
        average_batchnorm(pl_module)
