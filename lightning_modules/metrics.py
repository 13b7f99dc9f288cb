"""Errors of bodies and poses: (N, J, 3) tensors in metres in, one value per sample out.

Errors are in millimetres, angles in degrees, PCK and AUC fractions in [0, 1]. Which joints, which root and which
thresholds make up a protocol is the evaluator's business; these functions are only the formulas. A sample with NaN in
it gets NaN, never an exception, so that the caller can count it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from body_models.rotations import geodesic_distance

MM_PER_M = 1000.0


def align_root(points: Tensor, root: int | Sequence[int]) -> Tensor:
    """(N, J, 3) relative to joint ``root``, or to the mean of several."""
    indices = [root] if isinstance(root, int) else list(root)
    return points - points[:, indices].mean(dim=1, keepdim=True)


def similarity_align(pred: Tensor, target: Tensor) -> Tensor:
    """Move predictions onto targets by the best rotation, scale and translation, each sample by itself [1].

    Args:
        pred: (N, J, 3).
        target: (N, J, 3).

    Returns:
        (N, J, 3) float64. Never reflected. A prediction with all joints in one point becomes the target's mean; a
        sample with NaN or infinity stays NaN.

    [1] Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns, PAMI 1991.
    """
    with torch.autocast(device_type=pred.device.type, enabled=False):
        pred, target = pred.double(), target.double()
        finite = (pred.isfinite() & target.isfinite()).flatten(1).all(dim=1)[:, None, None]
        pred, target = pred.where(finite, 0.0), target.where(finite, 0.0)
        pred_mean, target_mean = pred.mean(dim=1, keepdim=True), target.mean(dim=1, keepdim=True)
        x, y = pred - pred_mean, target - target_mean
        u, s, vt = torch.linalg.svd(y.transpose(1, 2) @ x)
        # The least singular direction is turned where the best orthogonal map would be a reflection.
        sign = torch.ones_like(s)
        sign[:, -1] = torch.where(torch.linalg.det(u @ vt) < 0, -1.0, 1.0)
        rotation = (u * sign[:, None]) @ vt
        spread = x.square().sum(dim=(1, 2))
        scale = (s * sign).sum(dim=1) / spread.where(spread > 0, 1.0)
        aligned = scale[:, None, None] * x @ rotation.transpose(1, 2) + target_mean
        return aligned.where(finite, torch.nan)


def joint_errors(pred: Tensor, target: Tensor) -> Tensor:
    """(N, J) distances in mm between points (N, J, 3) in metres."""
    return torch.linalg.vector_norm(pred.double() - target.double(), dim=-1) * MM_PER_M


def mpjpe(pred: Tensor, target: Tensor, root: int | Sequence[int] | None = None) -> Tensor:
    """(N,) mean distance per joint in mm, relative to ``root`` if given (a joint, or several to average)."""
    if root is not None:
        pred, target = align_root(pred.double(), root), align_root(target.double(), root)
    return joint_errors(pred, target).mean(dim=1)


def pa_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) mean distance per joint in mm after Procrustes alignment (rotation, scale, translation; no reflection)."""
    return joint_errors(similarity_align(pred, target), target).mean(dim=1)


def mpvpe(pred: Tensor, target: Tensor, pred_root: Tensor | None = None, target_root: Tensor | None = None) -> Tensor:
    """(N,) mean distance per vertex in mm.

    Args:
        pred: (N, V, 3) metres.
        target: (N, V, 3) metres.
        pred_root: (N, 3) point that is moved to the origin with the mesh, e.g. the regressed pelvis; None for as is.
        target_root: (N, 3) the same for the target.
    """
    if pred_root is not None:
        pred = pred.double() - pred_root.double()[:, None]
    if target_root is not None:
        target = target.double() - target_root.double()[:, None]
    return joint_errors(pred, target).mean(dim=1)


def pa_mpvpe(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) mean distance per vertex in mm after Procrustes alignment of the vertices themselves."""
    return pa_mpjpe(pred, target)


def pck(pred: Tensor, target: Tensor, threshold_mm: float, strict: bool = False) -> Tensor:
    """(N,) share of joints within ``threshold_mm``: ``<=`` (3DPW), or ``<`` if ``strict`` (MPI-INF-3DHP)."""
    return _pck_curve(pred, target, torch.tensor([threshold_mm]), strict)[:, 0]


def auc(pred: Tensor, target: Tensor, thresholds_mm: Sequence[float] = range(200), strict: bool = False) -> Tensor:
    """(N,) area under the PCK curve, scaled to [0, 1].

    Args:
        pred: (N, J, 3) metres.
        target: (N, J, 3) metres.
        thresholds_mm: the curve's abscissae: 0..199 for 3DPW, 0:5:150 for MPI-INF-3DHP.
        strict: False: ``<=`` and the trapezoid rule (3DPW). True: ``<`` and the plain mean (MPI-INF-3DHP), so that a
            perfect prediction misses the threshold 0.
    """
    thresholds = torch.tensor([float(value) for value in thresholds_mm])
    curve = _pck_curve(pred, target, thresholds, strict)
    if strict:
        return curve.mean(dim=1)
    return torch.trapezoid(curve, thresholds.to(curve), dim=1) / float(thresholds[-1] - thresholds[0])


def mpjae(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) mean angle in degrees between global rotations (N, J, 3, 3)."""
    return torch.rad2deg(geodesic_distance(pred.double(), target.double())).mean(dim=1)


def _pck_curve(pred: Tensor, target: Tensor, thresholds: Tensor, strict: bool) -> Tensor:
    errors = joint_errors(pred, target)[:, None]
    limits = thresholds.to(errors)[:, None]
    hits = (errors < limits) if strict else (errors <= limits)
    curve = hits.double().mean(dim=2)
    return curve.where(~errors.isnan().any(dim=2), torch.nan)
