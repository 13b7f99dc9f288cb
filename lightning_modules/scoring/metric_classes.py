"""The formulas of :mod:`lightning_modules.scoring.metrics` as torchmetrics classes, for loops that repeat people.

``update(ids, pred, target)`` takes a batch; ``compute()`` gives the mean over people, each of whom counts once, also
over processes: loaders pad the last batch of a distributed evaluation with people that were there already. What was
seen stands in ``n_seen``, ``n_excluded`` and ``n_repeated`` after ``compute()``.

    metric = PAMPJPE()
    for batch in loader:
        metric.update(batch["id"], predicted_joints, true_joints)  # (N, J, 3) metres
    print(metric.compute(), metric.n_seen)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.scoring import metrics


class PersonMetric(Metric):
    """Mean over distinct people of an error that is one number each.

    Args:
        **options: of torchmetrics.Metric.

    Attributes:
        n_seen: distinct people at the last ``compute()``, over all processes.
        n_excluded: those of them whose error is NaN, which the mean leaves out.
        n_repeated: people that were seen again and dropped.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Numbers instead of strings, because processes exchange tensors: two of 10 million ids are the same number
        # with a probability of 3 in a million.
        self.add_state("people", default=[], dist_reduce_fx="cat")
        self.add_state("errors", default=[], dist_reduce_fx="cat")
        self.n_seen = self.n_excluded = self.n_repeated = 0

    people: list[Tensor]
    errors: list[Tensor]

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        """(N,) one value a person."""
        raise NotImplementedError

    def update(self, ids: Sequence[str], pred: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            ids: N names of people.
            pred: as :meth:`error` takes it.
            target: as :meth:`error` takes it.
        """
        if len(ids) != len(pred):
            msg = f"{len(ids)} ids for {len(pred)} predictions"
            raise ValueError(msg)
        self.people.append(torch.tensor([_number(name) for name in ids], dtype=torch.int64, device=pred.device))
        self.errors.append(self.error(pred, target).detach())

    def values(self) -> tuple[Tensor, Tensor]:
        """Numbers of the distinct people (M,), sorted, and the error that each had when first seen (M,)."""
        if len(self.people) == 0:
            return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64)
        people, order = dim_zero_cat(self.people).sort(stable=True)
        errors = dim_zero_cat(self.errors)[order]
        first = torch.ones_like(people, dtype=torch.bool)
        first[1:] = people[1:] != people[:-1]
        self.n_repeated = int((~first).sum())
        return people[first], errors[first]

    def compute(self) -> Tensor:
        """Mean over the people whose error is not NaN; NaN where there is nobody."""
        self.n_repeated = 0
        _, errors = self.values()
        self.n_seen, self.n_excluded = len(errors), int(errors.isnan().sum())
        return errors.nanmean()


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), signed=True)


class MPJPE(PersonMetric):
    """Mean distance per joint in mm.

    Args:
        root: joint that both are taken relative to, or several to average; None for as is.
        **options: of torchmetrics.Metric.
    """

    def __init__(self, root: int | Sequence[int] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.root = root

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        return metrics.mpjpe(pred, target, self.root)


class PAMPJPE(PersonMetric):
    """Mean distance per joint in mm after Procrustes alignment; with vertices it is PA-MPVPE."""

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        return metrics.pa_mpjpe(pred, target)


class MPVPE(MPJPE):
    """Mean distance per vertex in mm, (N, V, 3); ``root`` is a vertex, so align meshes before, as protocols do."""


class PAMPVPE(PAMPJPE):
    """Mean distance per vertex in mm after Procrustes alignment of the vertices."""


class PCK(MPJPE):
    """Share of joints within a threshold, in [0, 1].

    Args:
        threshold_mm: the threshold.
        strict: ``<`` (MPI-INF-3DHP) instead of ``<=`` (3DPW).
        root: as of :class:`MPJPE`.
        **options: of torchmetrics.Metric.
    """

    higher_is_better = True

    def __init__(
        self, threshold_mm: float, strict: bool = False, root: int | Sequence[int] | None = None, **options: Any
    ) -> None:
        super().__init__(root, **options)
        self.threshold_mm, self.strict = threshold_mm, strict

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        return metrics.pck(*_aligned(pred, target, self.root), self.threshold_mm, self.strict)


class AUC(MPJPE):
    """Area under the PCK curve, in [0, 1].

    Args:
        thresholds_mm: the curve's abscissae.
        strict: as of :func:`lightning_modules.scoring.metrics.auc`.
        root: as of :class:`MPJPE`.
        **options: of torchmetrics.Metric.
    """

    higher_is_better = True

    def __init__(
        self,
        thresholds_mm: Sequence[float] = metrics.AUC_3DPW,
        strict: bool = False,
        root: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.thresholds_mm, self.strict = tuple(thresholds_mm), strict

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        return metrics.auc(*_aligned(pred, target, self.root), self.thresholds_mm, self.strict)


class MPJAE(PersonMetric):
    """Mean angle in degrees between rotations (N, J, 3, 3)."""

    def error(self, pred: Tensor, target: Tensor) -> Tensor:
        return metrics.mpjae(pred, target)


def _aligned(pred: Tensor, target: Tensor, root: int | Sequence[int] | None) -> tuple[Tensor, Tensor]:
    if root is None:
        return pred, target
    return metrics.align_root(pred, root), metrics.align_root(target, root)
