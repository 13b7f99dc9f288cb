"""The downstream network, trained on pseudo-GTs to see what they are worth: any family, HMR's by default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from body_models.contracts import Batch, Prediction
from lightning_modules.families import find_family
from lightning_modules.mesh_module import MeshModule
from lightning_modules.networks.network import make_network
from lightning_modules.optimizers import AdamSettings
from lightning_modules.weights.checkpoints import MIN_COVERAGE


class MeshRegressorModule(MeshModule):
    """Regresses SMPL pose, shape and a crop camera from a crop; or, in a family without parameters, the mesh.

    Args:
        backbone: name in :data:`lightning_modules.backbones.BACKBONES`.
        input_size: side of the square crops in pixels.
        body_models: reference of the bodies, see :mod:`body_models.bodies`.
        family: name in :data:`lightning_modules.families.FAMILIES`.
        losses: weights that replace those of the family, by name.
        optimizer: settings of :class:`lightning_modules.optimizers.AdamSettings` by name.
        backbone_weights: checkpoint to start the backbone from; not a hyperparameter.
        min_coverage: least share of the backbone that ``backbone_weights`` must fill.

    Raises:
        ValueError: an unknown name, or a backbone that the family cannot look at.
        CheckpointError: weights that cannot be read or do not fit.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        input_size: int = 256,
        body_models: str = "free",
        family: str = "hmr",
        losses: Mapping[str, float] | None = None,
        optimizer: Mapping[str, Any] | None = None,
        backbone_weights: str | Path | None = None,
        min_coverage: float = MIN_COVERAGE,
    ) -> None:
        row, body_models = find_family(family), str(body_models)
        losses = {**row.default_losses(), **(losses or {})}
        optimizer = AdamSettings.of(optimizer).plain()
        super().__init__(make_network(backbone, row.head, row.camera, input_size, body_models), losses)
        self.save_hyperparameters(
            "backbone", "input_size", "body_models", "family", "losses", "optimizer"
        )  # what is needed to make it again
        self.target_maker = row.targets
        if backbone_weights is not None:
            self.start_from(backbone_weights, min_coverage)

    def targets(self, batch: Batch, prediction: Prediction) -> Batch:
        return self.target_maker(batch, prediction, self.body)
