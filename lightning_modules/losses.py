"""Loss terms by name, each as per-sample sums and counts, normalised by the global count over all processes.

A term is a function (prediction, batch) -> :class:`TermSums`. To add one: write it, and give it a line in
:data:`LOSS_TERMS`; its weight is then a setting. Terms that compare with annotations do so by L1, or in the shape that
:func:`shaped_terms` gives them. Unknown values are masked before any arithmetic, so a NaN that stands
for "unknown" reaches neither the loss nor a gradient, and every output stays in the graph of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from body_models.contracts import GENDERS, Batch, Prediction
from body_models.names import unknown

_NEUTRAL = GENDERS.index("neutral")


class TermSums(NamedTuple):
    """One loss term of a batch.

    Attributes:
        total: (B,) sum over each sample's valid elements.
        valid: (B,) how many these are (or the sum of their confidences).
    """

    total: Tensor
    valid: Tensor


Penalty = Callable[[Tensor], Tensor]
"""From differences to what they cost, element by element; 0 at 0."""
LossTerm = Callable[[Prediction, Batch], TermSums]


def masked_error(pred: Tensor, target: Tensor, mask: Tensor, penalty: Penalty = torch.abs) -> TermSums:
    """Mean penalty over the last dimension, for elements with mask > 0, weighted by it.

    Args:
        pred: (B, ..., C).
        target: (B, ..., C); may hold anything where the mask is 0.
        mask: (B, ...) weights.
        penalty: of each difference.
    """
    mask = mask.to(pred)
    known = (mask > 0).unsqueeze(-1)
    error = penalty(pred - target.to(pred).where(known, 0.0)).mean(dim=-1) * mask
    batch = len(pred)
    return TermSums(error.view(batch, -1).sum(dim=1), mask.reshape(batch, -1).sum(dim=1))


def nothing(prediction: Prediction) -> TermSums:
    """The term of a network that has not got what it is about."""
    zero = prediction.transl.new_zeros(len(prediction.transl))
    return TermSums(zero, zero)


def masked_l1(pred: Tensor, target: Tensor, mask: Tensor) -> TermSums:
    """:func:`masked_error` by L1."""
    return masked_error(pred, target, mask)


def joints_2d(prediction: Prediction, batch: Batch, penalty: Penalty = torch.abs, tolerance: float = 0.0) -> TermSums:
    """Projected joints, in units of the crop's side (the mean of both axes).

    Args:
        prediction: of the batch.
        batch: with the annotated joints.
        penalty: of each difference.
        tolerance: a joint whose distance is not above it, in crop sides, costs nothing and gets no gradient, as in
            TokenHMR: pulling it closer under a camera that is only nearly right would worsen the pose. It still
            counts in the mean, so that the others pull no harder.
    """
    side = batch["image"].shape[-1]
    pred, target, conf = prediction.joints_2d / side, batch["joints_2d"] / side, batch["joints_2d_conf"]
    if tolerance > 0:
        far = (pred.detach() - target).norm(dim=-1, keepdim=True) > tolerance
        # A joint whose target is its own place costs nothing, and every penalty is flat there.
        target = target.where(far, pred.detach())
    return masked_error(pred, target, conf, penalty)


def joints_3d(prediction: Prediction, batch: Batch, penalty: Penalty = torch.abs) -> TermSums:
    """Joints in metres, relative to the source's own root; nothing where that root is unknown."""
    sample = torch.arange(len(prediction.joints_3d), device=prediction.joints_3d.device)
    root = batch["root_index"]
    pred = prediction.joints_3d - prediction.joints_3d[sample, root].unsqueeze(1)
    target = batch["joints_3d"] - batch["joints_3d"][sample, root].unsqueeze(1)
    mask = batch["joints_3d_conf"]
    return masked_error(pred, target, mask * (mask[sample, root] > 0).unsqueeze(1), penalty)


def smpl_pose(prediction: Prediction, batch: Batch, penalty: Penalty = torch.abs) -> TermSums:
    """Entries of the 24 rotation matrices; nothing for networks without them."""
    if prediction.global_orient is None or prediction.body_pose is None:
        return nothing(prediction)
    pred = torch.cat((prediction.global_orient.unsqueeze(1), prediction.body_pose), dim=1).flatten(2)
    target = torch.cat((batch["global_orient"].unsqueeze(1), batch["body_pose"]), dim=1).flatten(2)
    return masked_error(pred, target, batch["has_pose"].unsqueeze(1).expand(pred.shape[:2]), penalty)


def smpl_betas(prediction: Prediction, batch: Batch, penalty: Penalty = torch.abs) -> TermSums:
    """Betas, of neutral bodies only: betas of a gendered model mean another body. Nothing without betas."""
    if prediction.betas is None:
        return nothing(prediction)
    known = batch["has_betas"] * (batch["gender"] == _NEUTRAL)
    return masked_error(prediction.betas, batch["betas"], known, penalty)


def latent_l2(prediction: Prediction, batch: Batch) -> TermSums:
    """Mean square of the prior's latent code; nothing for networks without one."""
    if prediction.latent is None:
        return nothing(prediction)
    total = prediction.latent.square().mean(dim=1)
    return TermSums(total, torch.ones_like(total))


def betas_l2(prediction: Prediction, batch: Batch) -> TermSums:
    """Mean square of betas; nothing for networks without them."""
    if prediction.betas is None:
        return nothing(prediction)
    total = prediction.betas.square().mean(dim=1)
    return TermSums(total, torch.ones_like(total))


LOSS_TERMS: dict[str, LossTerm] = {
    "joints_2d": joints_2d,
    "joints_3d": joints_3d,
    "smpl_pose": smpl_pose,
    "smpl_betas": smpl_betas,
    "latent_l2": latent_l2,
    "betas_l2": betas_l2,
}


LOSS_SHAPES = ("l1", "l2", "robust")
SHAPE_SCALES = {"joints_2d": 0.1, "joints_3d": 0.1, "smpl_pose": 0.5, "smpl_betas": 1.0}
"""Difference at which all shapes cost the same: crop sides, metres, matrix entries, shape coefficients."""


def make_penalty(shape: str, scale: float) -> Penalty:
    """A penalty that is ``scale`` at ``scale``, so that weights chosen for one shape serve the others.

    Args:
        shape: "l1" is abs(x); "l2" is x^2 / scale; "robust" 2 scale x^2 / (x^2 + scale^2), of Geman and McClure, which
            never costs more than 2 scale.
        scale: in the term's unit.

    Raises:
        ValueError: no such shape.
    """
    if shape not in LOSS_SHAPES:
        msg = f"no loss of the shape {shape!r}; there are: {', '.join(LOSS_SHAPES)}"
        raise ValueError(msg)
    return torch.abs if shape == "l1" else partial(_squared if shape == "l2" else _geman_mcclure, scale)


def _squared(scale: float, difference: Tensor) -> Tensor:
    return difference.square() / scale


def _geman_mcclure(scale: float, difference: Tensor) -> Tensor:
    square = difference.square()
    return 2 * scale * square / (square + scale**2)


def shaped_terms(shape: str = "l1", tolerance_2d: float = 0.0) -> dict[str, LossTerm]:
    """:data:`LOSS_TERMS`, with those that compare with annotations in another shape.

    Args:
        shape: one of :data:`LOSS_SHAPES`.
        tolerance_2d: of :func:`joints_2d`, in crop sides.

    Raises:
        ValueError: no such shape.
    """
    penalties = {name: make_penalty(shape, scale) for name, scale in SHAPE_SCALES.items()}
    return {
        **LOSS_TERMS,
        "joints_2d": partial(joints_2d, penalty=penalties["joints_2d"], tolerance=tolerance_2d),
        "joints_3d": partial(joints_3d, penalty=penalties["joints_3d"]),
        "smpl_pose": partial(smpl_pose, penalty=penalties["smpl_pose"]),
        "smpl_betas": partial(smpl_betas, penalty=penalties["smpl_betas"]),
    }


def check_weights(weights: Mapping[str, float], known: Mapping[str, object] = LOSS_TERMS) -> dict[str, float]:
    """A plain copy of loss weights.

    Raises:
        ValueError: an unknown term; names the nearest one.
    """
    for name in weights:
        if name not in known:
            raise ValueError(unknown("loss term", name, known))
    return {name: float(weight) for name, weight in weights.items()}


def combine(
    terms: Mapping[str, TermSums], weights: Mapping[str, float], over_processes: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the terms' global means.

    Each mean is over the valid elements of all processes, so a sample weighs the same wherever it is computed. DDP
    averages gradients over processes, hence the factor of the world size.

    Args:
        terms: the terms of this process's batch, the same names on every process.
        weights: weight of each term.
        over_processes: False outside training, where processes may have different numbers of batches and would wait
            for each other for ever; the means are then this process's own.

    Returns:
        The loss of this process, to be differentiated; and each term's global mean with the weighted sum as "loss",
        detached, equal on every process.
    """
    totals = torch.stack([term.total.sum() for term in terms.values()])
    counts = torch.stack([term.valid.sum() for term in terms.values()])
    # One message a step for all terms, and the logged values come along: they need no reduction of their own.
    sums = torch.cat((totals.detach(), counts.detach()))
    world = 1
    if over_processes and dist.is_available() and dist.is_initialized():
        world = dist.get_world_size()
        dist.all_reduce(sums)
    global_totals, global_counts = sums.chunk(2)
    divisor = global_counts.where(global_counts > 0, 1.0)
    # Not waited for, as new_tensor would on a GPU: for the forward pass, while nothing of the backward pass is queued.
    factors = torch.tensor([weights[name] for name in terms]).to(totals, non_blocking=True)
    means = global_totals / divisor
    logged = dict(zip(terms, means.unbind(), strict=True)) | {"loss": (means * factors).sum()}
    return world * (totals / divisor * factors).sum(), logged
