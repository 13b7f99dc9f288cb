"""Metrics against SciPy and NumPy in float64, degenerate inputs included."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from lightning_modules import metrics


def pa_oracle(pred: np.ndarray, target: np.ndarray) -> float:
    """Mean error in mm of one sample after alignment, by SciPy's Kabsch solution and the scale in closed form."""
    x, y = pred - pred.mean(0), target - target.mean(0)
    rotation, _ = Rotation.align_vectors(y, x)
    turned = rotation.apply(x)
    scale = (turned * y).sum() / (x * x).sum()
    return float(np.linalg.norm(scale * turned - y, axis=1).mean() * 1000)


@pytest.mark.parametrize("joints", [3, 4, 14, 24])
@pytest.mark.parametrize("case", ["plain", "mirrored", "planar", "scaled", "far"])
def test_pa_mpjpe_agrees_with_scipy(joints: int, case: str) -> None:
    rng = np.random.default_rng(joints)
    target = rng.normal(size=(20, joints, 3))
    pred = target + 0.3 * rng.normal(size=target.shape)
    if case == "mirrored":
        pred[..., 0] *= -1
    elif case == "planar":
        pred[..., 2] = target[..., 2] = 0
    elif case == "scaled":
        pred *= 1e-3
    elif case == "far":
        pred, target = pred + 500, target - 300
    ours = metrics.pa_mpjpe(torch.from_numpy(pred), torch.from_numpy(target))
    oracle = [pa_oracle(p, t) for p, t in zip(pred, target, strict=True)]
    np.testing.assert_allclose(ours, oracle, atol=1e-5)


def test_alignment_undoes_a_similarity_but_not_a_reflection() -> None:
    target = torch.randn(5, 14, 3, dtype=torch.float64)
    rotation = torch.from_numpy(Rotation.random(5, random_state=0).as_matrix())
    moved = 0.3 * target @ rotation.transpose(1, 2) + 7
    assert metrics.pa_mpjpe(moved, target).max() < 1e-9
    assert metrics.pa_mpjpe(moved * torch.tensor([-1, 1, 1]), target).min() > 100


def test_defined_results_for_degenerate_samples() -> None:
    target = torch.randn(4, 14, 3)
    pred = target.clone()
    pred[0] = 0
    pred[1, 3, 0] = torch.nan
    line = torch.linspace(0, 1, 14)[:, None] * torch.tensor([1.0, 2.0, 3.0])
    pred[2], target[2] = line, 2 * line
    errors = metrics.pa_mpjpe(pred, target)
    spread = (target[0] - target[0].mean(0)).norm(dim=-1).mean() * 1000
    assert errors[0] == pytest.approx(float(spread), rel=1e-6)
    assert errors[1].isnan()
    assert errors[2:].max() < 1e-3


def test_mpjpe_and_mpvpe_with_and_without_roots() -> None:
    target = torch.randn(6, 14, 3)
    pred = target + torch.tensor([0.003, 0.004, 0.0])
    torch.testing.assert_close(metrics.mpjpe(pred, target), torch.full((6,), 5.0).double(), atol=1e-3, rtol=0)
    assert metrics.mpjpe(pred, target, root=0).max() < 1e-3
    assert metrics.mpjpe(pred, target, root=(2, 3)).max() < 1e-3
    assert metrics.mpvpe(pred, target).min() > 4.9
    assert metrics.mpvpe(pred, target, pred[:, 0], target[:, 0]).max() < 1e-3
    assert metrics.pa_mpvpe(pred, target).max() < 1e-3


def test_pck_and_auc_of_both_conventions() -> None:
    target = torch.zeros(1, 4, 3, dtype=torch.float64)
    pred = target.clone()
    pred[0, :, 0] = torch.tensor([0.0, 0.050, 0.100, 0.300], dtype=torch.float64)
    assert metrics.pck(pred, target, 50) == 0.5
    assert metrics.pck(pred, target, 50, strict=True) == 0.25
    assert metrics.auc(target, target) == 1
    curve = [np.mean([0 <= t, 50 <= t, 100 <= t, 300 <= t]) for t in range(200)]
    assert float(metrics.auc(pred, target)) == pytest.approx(np.trapezoid(curve) / 199)
    # MPI-INF-3DHP's curve starts at 0 with a strict comparison, so perfection is 30 of 31.
    assert float(metrics.auc(target, target, range(0, 151, 5), strict=True)) == pytest.approx(30 / 31)
    pred[0, 0] = torch.nan
    assert metrics.pck(pred, target, 50).isnan()


def test_mpjae() -> None:
    a, b = Rotation.random(10, random_state=1), Rotation.random(10, random_state=2)
    ours = metrics.mpjae(torch.from_numpy(a.as_matrix())[None], torch.from_numpy(b.as_matrix())[None])
    assert float(ours) == pytest.approx(np.degrees((a.inv() * b).magnitude()).mean())
