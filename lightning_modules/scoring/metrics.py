"""Errors of bodies and poses: (N, J, 3) tensors in metres in, one float64 value per sample out.

Errors are in millimetres, angles in degrees, PCK and AUC fractions in [0, 1]. Which joints, which root and which
thresholds make up a protocol is the evaluator's business; these functions are only the formulas. Inputs of any number
type are computed in float64. For every function here:

* no sample (N = 0) gives an empty result;
* a sample with NaN or infinity anywhere gets NaN, never an exception, so that the caller can count it;
* a wrong shape is a ValueError that says which shape was expected.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MM_PER_M = 1000.0
AUC_3DPW = tuple(range(200))
"""Thresholds of the official 3DPW evaluation in mm: 0..199, with ``<=`` and the trapezoid rule."""
AUC_3DHP = tuple(range(0, 151, 5))
"""Thresholds of the official MPI-INF-3DHP evaluation in mm: 0:5:150, with ``<`` and the plain mean."""


def align_root(points: Tensor, root: int | Sequence[int]) -> Tensor:
    """(N, J, 3) float64 relative to joint ``root``, or to the mean of several."""
    indices = [root] if isinstance(root, int) else list(root)
    if not indices or not all(0 <= index < points.shape[1] for index in indices):
        msg = f"root {root} is no joint of points with shape {tuple(points.shape)}"
        raise ValueError(msg)
    points = points.double()
    return points - points[:, indices].mean(dim=1, keepdim=True)


def similarity_align(pred: Tensor, target: Tensor, points: Tensor | None = None) -> Tensor:
    """Move predictions onto targets by the best rotation, scale and translation, each sample by itself [1].

    Args:
        pred: (N, J, 3).
        target: (N, J, 3).
        points: (N, V, 3) that are moved in place of ``pred``, such as the vertices of its mesh; None for ``pred``.

    Returns:
        (N, J, 3) or (N, V, 3), float64. Never reflected. A prediction with all joints in one point (all zeros, for
        one) becomes the target's mean; a sample with NaN or infinity becomes NaN.

    [1] Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns, PAMI 1991.
    """
    return _procrustes(pred, target, points)[0]


def similarity_rotation(pred: Tensor, target: Tensor) -> Tensor:
    """(N, 3, 3) float64, the rotation within :func:`similarity_align`; the identity for a prediction in one point."""
    return _procrustes(pred, target)[1]


def _procrustes(pred: Tensor, target: Tensor, points: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Aligned points (N, J, 3) or (N, V, 3) and the rotations (N, 3, 3)."""
    _check_points(pred, target)
    with torch.autocast(device_type=pred.device.type, enabled=False):
        pred, target = pred.double(), target.double()
        finite = _finite(pred, target)[:, None, None]
        x, x_mean, x_size = _centred(pred.where(finite, 0.0))
        y, y_mean, y_size = _centred(target.where(finite, 0.0))
        u, s, vt = torch.linalg.svd(y.transpose(1, 2) @ x)
        # The least singular direction is turned where the best orthogonal map would be a reflection.
        sign = torch.ones_like(s)
        sign[:, -1] = torch.where(torch.linalg.det(u @ vt) < 0, -1.0, 1.0)
        rotation = (u * sign[:, None]) @ vt
        spread = x.square().sum(dim=(1, 2))
        scale = (s * sign).sum(dim=1) / spread.where(spread > 0, 1.0)
        moved = x if points is None else (points.double() - x_mean) / x_size
        aligned = scale[:, None, None] * moved @ rotation.transpose(1, 2) * y_size + y_mean
        rotation = rotation.where(spread[:, None, None] > 0, torch.eye(3).to(rotation))
        return aligned.where(finite, torch.nan), rotation.where(finite, torch.nan)


def joint_errors(pred: Tensor, target: Tensor) -> Tensor:
    """(N, J) distances in mm between points (N, J, 3) in metres; NaN for all joints of a sample that is not finite."""
    _check_points(pred, target)
    pred, target = pred.double(), target.double()
    errors = torch.linalg.vector_norm(pred - target, dim=-1) * MM_PER_M
    return errors.where(_finite(pred, target)[:, None], torch.nan)


def mpjpe(pred: Tensor, target: Tensor, root: int | Sequence[int] | None = None) -> Tensor:
    """(N,) mean distance per joint in mm, relative to ``root`` if given (a joint, or several to average)."""
    _check_points(pred, target)
    if root is not None:
        pred, target = align_root(pred, root), align_root(target, root)
    return joint_errors(pred, target).mean(dim=1)


def depth_error(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) mean distance per joint in mm along z alone: in the camera's axes what 2D joints do not tell."""
    _check_points(pred, target)
    errors = (pred.double() - target.double())[..., 2].abs().mean(dim=1) * MM_PER_M
    return errors.where(_finite(pred, target), torch.nan)


def pa_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) mean distance per joint in mm after Procrustes alignment (:func:`similarity_align`; no reflection)."""
    return joint_errors(similarity_align(pred, target), target).mean(dim=1)


def mpvpe(pred: Tensor, target: Tensor, pred_root: Tensor | None = None, target_root: Tensor | None = None) -> Tensor:
    """(N,) mean distance per vertex in mm.

    Args:
        pred: (N, V, 3) metres.
        target: (N, V, 3) metres.
        pred_root: (N, 3) point that is moved to the origin with the mesh, e.g. the regressed pelvis; None for as is.
        target_root: (N, 3) the same for the target.
    """
    _check_points(pred, target)
    return mpjpe(_relative(pred, pred_root), _relative(target, target_root))


def pa_mpvpe(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) mean distance per vertex in mm after Procrustes alignment of the vertices themselves."""
    return pa_mpjpe(pred, target)


def pck(pred: Tensor, target: Tensor, threshold_mm: float, strict: bool = False) -> Tensor:
    """(N,) share of joints within ``threshold_mm``: ``<=`` (3DPW), or ``<`` if ``strict`` (MPI-INF-3DHP)."""
    return _pck_curve(pred, target, torch.tensor([float(threshold_mm)], dtype=torch.float64), strict)[:, 0]


def auc(pred: Tensor, target: Tensor, thresholds_mm: Sequence[float] = AUC_3DPW, strict: bool = False) -> Tensor:
    """(N,) area under the PCK curve, scaled to [0, 1].

    Args:
        pred: (N, J, 3) metres.
        target: (N, J, 3) metres.
        thresholds_mm: the curve's abscissae: :data:`AUC_3DPW` or :data:`AUC_3DHP`.
        strict: False: ``<=`` and the trapezoid rule (3DPW). True: ``<`` and the plain mean (MPI-INF-3DHP), so that a
            perfect prediction misses the threshold 0: 30 of 31.
    """
    thresholds = torch.tensor([float(value) for value in thresholds_mm], dtype=torch.float64)
    if len(thresholds) < 2 or not bool((thresholds[1:] > thresholds[:-1]).all()):
        msg = f"thresholds_mm {list(thresholds_mm)[:5]} must be two or more, in ascending order"
        raise ValueError(msg)
    curve = _pck_curve(pred, target, thresholds, strict)
    if strict:
        return curve.mean(dim=1)
    return torch.trapezoid(curve, thresholds.to(curve), dim=1) / float(thresholds[-1] - thresholds[0])


def mpjae(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) mean angle in degrees between rotations (N, J, 3, 3), global ones in 3DPW's evaluation.

    The angle of R = pred^T target is atan2(sin, cos), which is exact near 0 and near 180 degrees, where an arccos or
    an arcsin alone is not. Whether the matrices are rotations is not looked at; all zeros count as 180 degrees.
    """
    _check_points(pred, target, tail=(3, 3))
    relative = pred.double().transpose(-1, -2) @ target.double()
    axis = torch.stack(
        [relative[..., i, j] - relative[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0))], dim=-1
    )  # twice the sine, along the axis
    cosine_2 = relative.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    angles = torch.rad2deg(torch.atan2(torch.linalg.vector_norm(axis, dim=-1), cosine_2))
    return angles.mean(dim=1).where(_finite(pred, target), torch.nan)


def _check_points(pred: Tensor, target: Tensor, tail: tuple[int, ...] = (3,)) -> None:
    expected = ", ".join(("N", "J", *map(str, tail)))
    for name, value in (("pred", pred), ("target", target)):
        if value.ndim != 2 + len(tail) or value.shape[2:] != tail or value.shape[1] == 0:
            msg = f"{name} has shape {tuple(value.shape)}, expected ({expected})"
            raise ValueError(msg)
    if pred.shape != target.shape:
        msg = f"pred has shape {tuple(pred.shape)} but target {tuple(target.shape)}; both must be ({expected})"
        raise ValueError(msg)


def _finite(pred: Tensor, target: Tensor) -> Tensor:
    """(N,) whether a sample is free of NaN and infinity."""
    return (pred.isfinite() & target.isfinite()).flatten(1).all(dim=1)


def _relative(points: Tensor, origin: Tensor | None) -> Tensor:
    if origin is None:
        return points
    if origin.shape != (len(points), 3):
        msg = f"root has shape {tuple(origin.shape)}, expected ({len(points)}, 3)"
        raise ValueError(msg)
    return points.double() - origin.double()[:, None]


def _centred(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points about their mean and scaled to size 1, the mean (N, 1, 3) and the size (N, 1, 1), 1 for a single point."""
    # The first joint goes first: points that are equal then become exactly 0, however far from the origin.
    first = points[:, :1]
    moved = points - first
    offset = moved.mean(dim=1, keepdim=True)
    moved = moved - offset
    size = moved.abs().amax(dim=(1, 2), keepdim=True)
    size = size.where(size > 0, 1.0)
    return moved / size, first + offset, size


def _pck_curve(pred: Tensor, target: Tensor, thresholds: Tensor, strict: bool) -> Tensor:
    """(N, T) share of joints within each threshold."""
    errors = joint_errors(pred, target)
    unknown = errors.isnan().any(dim=1, keepdim=True)
    # Counted threshold by threshold: all at once would take N x J x T numbers.
    hits = [(errors < limit) if strict else (errors <= limit) for limit in thresholds.tolist()]
    curve = torch.stack([hit.double().mean(dim=1) for hit in hits], dim=1)
    return curve.where(~unknown, torch.nan)
