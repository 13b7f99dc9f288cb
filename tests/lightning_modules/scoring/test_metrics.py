"""Metrics against SciPy and NumPy in float64, degenerate inputs included."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from lightning_modules.scoring import metrics


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


def umeyama_oracle(pred: np.ndarray, target: np.ndarray) -> float:
    """The same without SciPy: the rotation from Horn's quaternion, the eigenvector of a 4x4 matrix."""
    x, y = pred - pred.mean(0), target - target.mean(0)
    s = x.T @ y
    anti = s - s.T
    delta = np.array([anti[1, 2], anti[2, 0], anti[0, 1]])
    n = np.zeros((4, 4))
    n[0, 0], n[0, 1:], n[1:, 0], n[1:, 1:] = np.trace(s), delta, delta, s + s.T - np.trace(s) * np.eye(3)
    w, *v = np.linalg.eigh(n)[1][:, -1]
    rotation = Rotation.from_quat([*v, w]).as_matrix()
    spread = (x * x).sum()
    scale = (x @ rotation.T * y).sum() / spread if spread > 0 else 0.0
    return float(np.linalg.norm(scale * x @ rotation.T - y, axis=1).mean() * 1000)


@pytest.mark.parametrize("joints", [3, 14, 24])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", ["plain", "mirrored", "planar", "collinear", "tiny", "huge", "far", "very far"])
def test_pa_mpjpe_agrees_with_horn_to_a_micrometre(joints: int, dtype: torch.dtype, case: str) -> None:
    rng = np.random.default_rng(joints)
    target = rng.normal(size=(20, joints, 3))
    pred = target + 0.3 * rng.normal(size=target.shape)
    if case == "mirrored":
        pred[..., 0] *= -1
    elif case == "planar":
        pred[..., 2] = 0
    elif case == "collinear":
        pred = rng.normal(size=(20, joints, 1)) * np.array([1.0, 2.0, -1.0])
    elif case in ("tiny", "huge"):
        pred *= 1e-9 if case == "tiny" else 1e9
    elif case in ("far", "very far"):
        pred, target = pred + (1e3 if case == "far" else 1e4), target - 1e4
    p, t = torch.from_numpy(pred).to(dtype), torch.from_numpy(target).to(dtype)
    oracle = [umeyama_oracle(a, b) for a, b in zip(p.double().numpy(), t.double().numpy(), strict=True)]
    np.testing.assert_allclose(metrics.pa_mpjpe(p, t), oracle, atol=1e-4)
    direct = 1000 * np.linalg.norm(p.double().numpy() - t.double().numpy(), axis=-1).mean(1)
    np.testing.assert_allclose(metrics.mpjpe(p, t), direct, rtol=1e-12)


def test_what_is_not_finite_is_nan_and_the_neighbours_are_untouched() -> None:
    target = torch.randn(5, 14, 3)
    pred = target + 0.1
    for sample, value in ((1, torch.nan), (2, torch.inf), (3, -torch.inf)):
        pred[sample, 5, 1] = value
    rotations = torch.eye(3).repeat(5, 9, 1, 1)
    rotations[1:4, 0, 0, 0] = torch.nan
    for values in (
        metrics.mpjpe(pred, target), metrics.mpjpe(pred, target, 0), metrics.pa_mpjpe(pred, target),
        metrics.depth_error(pred, target),
        metrics.mpvpe(pred, target, pred[:, 0], target[:, 0]), metrics.pa_mpvpe(target, pred),
        metrics.pck(pred, target, 150), metrics.auc(pred, target), metrics.mpjae(rotations, rotations),
    ):  # fmt: skip
        assert values.dtype == torch.float64
        assert values.isnan().tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("point", [0.0, 0.1, 1234.567])
def test_a_prediction_in_one_point_becomes_the_mean_of_the_target(point: float) -> None:
    target = torch.randn(3, 14, 3, dtype=torch.float64)
    expected = 1000 * (target - target.mean(1, keepdim=True)).norm(dim=-1).mean(1)
    torch.testing.assert_close(metrics.pa_mpjpe(torch.full_like(target, point), target), expected)
    aligned = metrics.similarity_align(torch.full_like(target, point), target)
    torch.testing.assert_close(aligned, target.mean(1, keepdim=True).expand_as(target))


def test_nobody_gives_nothing() -> None:
    none = torch.empty(0, 14, 3)
    for values in (
        metrics.mpjpe(none, none, 0), metrics.pa_mpjpe(none, none), metrics.mpvpe(none, none, none[:, 0], none[:, 0]),
        metrics.pck(none, none, 150), metrics.auc(none, none),
        metrics.depth_error(none, none),
        metrics.mpjae(none[..., None].expand(0, 14, 3, 3), none[..., None].expand(0, 14, 3, 3)),
    ):  # fmt: skip
        assert values.shape == (0,)


def test_integers_are_numbers_too() -> None:
    target = torch.randint(0, 5, (4, 14, 3))
    pred = target.flip(0)
    expected = metrics.pa_mpjpe(pred.double(), target.double())
    torch.testing.assert_close(metrics.pa_mpjpe(pred, target), expected)
    torch.testing.assert_close(metrics.mpjpe(pred, target, 0), metrics.mpjpe(pred.double(), target.double(), 0))


def test_wrong_shapes_say_what_was_expected() -> None:
    points = torch.zeros(2, 14, 3)
    with pytest.raises(ValueError, match=r"pred has shape \(14, 3\), expected \(N, J, 3\)"):
        metrics.mpjpe(points[0], points[0])
    with pytest.raises(ValueError, match=r"\(2, 14, 3\) but target \(2, 13, 3\)"):
        metrics.pa_mpjpe(points, points[:, 1:])
    with pytest.raises(ValueError, match=r"expected \(N, J, 3, 3\)"):
        metrics.mpjae(points, points)
    with pytest.raises(ValueError, match="root 14 is no joint"):
        metrics.mpjpe(points, points, root=14)
    with pytest.raises(ValueError, match=r"root has shape \(2, 14, 3\)"):
        metrics.mpvpe(points, points, points, points)
    with pytest.raises(ValueError, match="ascending"):
        metrics.auc(points, points, [5])


def test_mpjae_is_exact_near_half_a_turn() -> None:
    angles = np.array([0.0, 1e-6, 1e-3, 90.0, 179.0, 179.9999, 180.0])
    matrices = Rotation.from_rotvec(np.radians(angles)[:, None] * np.array([0.6, 0.0, 0.8])).as_matrix()
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-5)):
        turned = torch.from_numpy(matrices).to(dtype)[:, None]
        np.testing.assert_allclose(metrics.mpjae(torch.eye(3).expand(7, 1, 3, 3), turned), angles, atol=tolerance)
