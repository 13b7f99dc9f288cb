"""A start that knows people but not poses: the stand-in for ImageNet weights, which do not come with this project.

The same backbone sees the same people for as long as the 2D pose network does, and is asked for what it can see without
knowing where a joint is: :mod:`lightning_modules.starts.appearance_labels`. So a comparison of the two says what 2D
poses bring, and not what a longer training brings. It is no ImageNet: a real one has seen a million kinds of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from body_models.contracts import Batch
from lightning_modules.backbones import ImageNormalization, make_backbone
from lightning_modules.losses import TermSums, combine
from lightning_modules.optimizers import adam_with_steps
from lightning_modules.starts.appearance_labels import CLASSES, UNKNOWN, appearance_labels


class GenericModule(pl.LightningModule):
    """Sorts people by appearance with one linear layer a label on the backbone's mean feature.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        input_size: side of the square crops in pixels.
        lr: Adam's learning rate.
        lr_milestones: fractions of the training after which the rate falls.
        lr_gamma: factor by which it falls.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        input_size: int = 256,
        lr: float = 1e-3,
        lr_milestones: Sequence[float] = (0.7, 0.9),
        lr_gamma: float = 0.1,
    ) -> None:
        super().__init__()
        lr_milestones = [float(part) for part in lr_milestones]
        self.save_hyperparameters()
        self.normalize = ImageNormalization()
        self.backbone = make_backbone(backbone)
        self.heads = nn.ModuleDict({name: nn.Linear(self.backbone.out_channels, n) for name, n in CLASSES.items()})

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """(B, classes) scores of each label."""
        features = self.backbone(self.normalize(batch["image"])).mean(dim=(2, 3))
        return {name: head(features) for name, head in self.heads.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        labels, scores = appearance_labels(batch), self(batch)
        terms = {name: _cross_entropy(scores[name], labels[name]) for name in CLASSES}
        loss, logged = combine(terms, dict.fromkeys(CLASSES, 1.0))
        self.log_dict({f"train/all/{name}": value for name, value in logged.items()}, batch_size=len(batch["id"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Share of the known labels that are right."""
        labels, scores = appearance_labels(batch), self(batch)
        for name, found in scores.items():
            known = labels[name] != UNKNOWN
            right = (found.argmax(dim=1) == labels[name])[known].float().sum() / known.sum().clamp(min=1)
            self.log(f"val/all/{name}", right, batch_size=int(known.sum()), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        names = ("lr", "lr_milestones", "lr_gamma")
        return adam_with_steps(self, **{name: self.hparams[name] for name in names})


def _cross_entropy(scores: Tensor, labels: Tensor) -> TermSums:
    error = F.cross_entropy(scores.float(), labels, ignore_index=UNKNOWN, reduction="none")
    return TermSums(error, (labels != UNKNOWN).to(error))
