"""Refines what an annotator says by optimisation, and keeps the result only where it is better by two measures.

Fitting 2D joints ever harder makes 3D worse, so a lower 2D error alone is no reason to believe a refined body: its pose
must also be as plausible as before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from body_models.contracts import Batch, Prediction
from body_models.rotations import matrix_to_axis_angle
from lightning_modules.priors.pose_mixture import PoseMixture


def choose_people(first: Tensor, one: Prediction, other: Prediction) -> Prediction:
    """People of one prediction where ``first`` (B,) is true, of the other elsewhere.

    Codes of a prior that only one of the two has stay for its own people, NaN for the rest, if ``other`` is that one;
    else there are none. Outputs that only the other's network knows (``extra``) stay the other's.
    """

    def pick(mine: Tensor, theirs: Tensor) -> Tensor:
        return torch.where(first.view(-1, *[1] * (theirs.ndim - 1)), mine, theirs)

    chosen: dict[str, Any] = {}
    for name in (field.name for field in fields(other)):
        mine, theirs = getattr(one, name), getattr(other, name)
        if not isinstance(theirs, Tensor):
            chosen[name] = theirs
        else:
            chosen[name] = pick(torch.full_like(theirs, torch.nan) if mine is None else mine, theirs)
    return Prediction(**chosen)


def error_2d(batch: Batch, prediction: Prediction) -> Tensor:
    """(B,) mean distance of the annotated joints in crop sides; NaN for people without any."""
    visible = batch["joints_2d_conf"] > 0
    distance = torch.linalg.vector_norm(prediction.joints_2d - batch["joints_2d"], dim=-1) / batch["image"].shape[-1]
    # What is not annotated may hold anything; 0 / 0 is NaN.
    return distance.where(visible, 0.0).sum(dim=1) / visible.sum(dim=1)


class Refiner(nn.Module):
    """Refines predictions person by person; each is accepted by itself.

    Args:
        optimiser: (batch, prediction to start from) -> prediction, for example
            :class:`lightning_modules.fitting.smplify.SMPLify`.
        mixture: says how plausible a pose is.
        tolerance: nats by which -log density may rise.
    """

    def __init__(
        self, optimiser: Callable[[Batch, Prediction], Prediction], mixture: PoseMixture, tolerance: float = 0.0
    ) -> None:
        super().__init__()
        self.optimiser, self.mixture, self.tolerance = optimiser, mixture, tolerance

    def forward(self, batch: Batch, prediction: Prediction) -> tuple[Prediction, Tensor]:
        """The prediction with refined people in it, and who they are: (B,) bool.

        Accepted are those whose mean 2D error falls and whose pose is not less plausible by more than the tolerance;
        never people without annotated joints.
        """
        refined = self.optimiser(batch, prediction)
        closer = error_2d(batch, refined) < error_2d(batch, prediction)
        plausible = self._implausibility(refined) <= self._implausibility(prediction) + self.tolerance
        accepted = closer & plausible
        return choose_people(accepted, refined, prediction), accepted

    def _implausibility(self, prediction: Prediction) -> Tensor:
        _, body_pose, _ = prediction.parameters()
        return self.mixture.neg_log_density(matrix_to_axis_angle(body_pose.float()).flatten(1))
