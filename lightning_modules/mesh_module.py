"""What the annotator and the downstream regressors share: a network that is trained, loss terms, steps.

A subclass chooses the network's parts and says what its targets are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from body_models.bodies import Body
from body_models.contracts import Batch, Prediction
from lightning_modules.backbones import load_backbone
from lightning_modules.losses import LossTerm, check_weights, combine, shaped_terms
from lightning_modules.networks.network import MeshNetwork
from lightning_modules.optimizers import adam_with_steps
from lightning_modules.weights.checkpoints import MIN_COVERAGE, Coverage

_NAMES_BEFORE = {
    "backbone.": "network.encoder.backbone.",
    "prior.": "network.decoder.prior.",
    **{part: f"network.head.{part}" for part in ("pose_net.", "pose2feat.", "mesh_stages.", "mesh_net.")},
}
"""Beginnings of names in checkpoints of version 0.1, when a network's parts lay in the module itself."""


class MeshModule(pl.LightningModule):
    """Base of the trained mesh networks.

    Args:
        network: of :func:`lightning_modules.networks.network.make_network`.
        losses: weights by name of :meth:`loss_terms`.
        loss: one of :data:`lightning_modules.losses.LOSS_SHAPES`, of the terms that compare with annotations.
        tolerance_2d: crop sides within which a joint gets no gradient from the 2D loss; 0 is none.

    Attributes:
        mirror_tells: whether the prediction for a mirrored crop says something new, which an optimiser's does not.
        start_coverage: share of the head that the start filled beside the backbone; None where there is nothing to
            fill, or no start.

    Raises:
        ValueError: an unknown name.
    """

    mirror_tells: ClassVar[bool] = True

    def __init__(
        self, network: MeshNetwork, losses: Mapping[str, float], loss: str = "l1", tolerance_2d: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self._shaped_terms = {**shaped_terms(loss, tolerance_2d), **network.head.loss_terms(network.body)}
        self.loss_weights = check_weights(losses, self.loss_terms())
        self._full_weights = dict(self.loss_weights)
        self.start_coverage: float | None = None

    @property
    def evidence(self) -> str:
        """What it looks at: image, joints or both."""
        return self.network.evidence

    @property
    def body(self) -> Body:
        """The neutral body."""
        return self.network.body

    @property
    def backbone(self) -> nn.Module:
        """What a start fills.

        Raises:
            ValueError: the network looks at joints alone.
        """
        backbone = self.network.backbone
        if backbone is None:
            msg = "a network that looks at joints alone has no backbone to start from a file"
            raise ValueError(msg)
        return backbone

    def start_from(self, path: str | Path, min_coverage: float = MIN_COVERAGE) -> Coverage:
        """Fill the backbone from a file, and what the head can take from it.

        Raises:
            CheckpointError: it cannot be read, or fills less than ``min_coverage`` of the backbone.
        """
        coverage = load_backbone(self.backbone, path, min_coverage)
        self.backbone_started(path)
        return coverage

    def backbone_started(self, path: str | Path) -> None:
        """The same for a backbone that somebody else has filled from this file."""
        found = self.network.head.backbone_started(self.backbone, path)
        self.start_coverage = None if found is None else found.share

    def loss_terms(self) -> Mapping[str, LossTerm]:
        """Loss terms by name, those of the head among them."""
        return self._shaped_terms

    def targets(self, batch: Batch, prediction: Prediction) -> Batch:
        """The batch that the losses compare with."""
        return batch

    def forward(self, batch: Batch) -> Prediction:
        """Bodies and crop cameras for the people of a batch (:meth:`MeshNetwork.forward`)."""
        prediction: Prediction = self.network(batch)
        return prediction

    def loss(
        self, prediction: Prediction, batch: Batch, over_processes: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """This process's loss, and the mean of each term (:func:`lightning_modules.losses.combine`)."""
        targets, known = self.targets(batch, prediction), self.loss_terms()
        terms = {name: known[name](prediction, targets) for name in self.loss_weights}
        return combine(terms, self.loss_weights, over_processes)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # From the step alone, so that a resumed training goes on as it would have.
        for name, share in self.network.head.loss_stages.items():
            held = self.global_step < share * self.trainer.estimated_stepping_batches
            self.loss_weights[name] = self._full_weights[name] if held else 0.0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, logged = self.loss(self(batch), batch)
        # The keys are the same in every step and process: a differing set would hang a distributed run.
        self.log_dict({f"train/all/{name}": value for name, value in logged.items()}, batch_size=len(batch["id"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Log the loss; the predictions go on to callbacks such as the 3DPW evaluator."""
        prediction = self(batch)
        _, logged = self.loss(prediction, batch, over_processes=False)
        self.log("val/all/loss", logged["loss"], batch_size=len(batch["id"]), sync_dist=True)
        return {"id": batch["id"], "source": batch["source"], "prediction": prediction}

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        return self.predict_step(batch, batch_idx, dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """``{"id", "source", "prediction"}``: ids and sources as in the batch, and a :class:`Prediction`."""
        return {"id": batch["id"], "source": batch["source"], "prediction": self(batch)}

    def special_groups(self) -> Sequence[Mapping[str, Any]]:
        """Parameter groups with settings of their own."""
        return ()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return adam_with_steps(self, **self.hparams["optimizer"], special=self.special_groups())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = _renamed(checkpoint["state_dict"])


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of version 0.1 under the names of today; those of today as they are."""
    if any(name.startswith("network.") for name in state):
        return dict(state)
    head = "network.head.depth." if any(name.startswith("pose_net.") for name in state) else "network.head."
    before = {**_NAMES_BEFORE, "head.": head}
    renamed = {}
    for name, value in state.items():
        old = next((part for part in before if name.startswith(part)), "")
        renamed[before.get(old, "") + name.removeprefix(old)] = value
    return renamed
