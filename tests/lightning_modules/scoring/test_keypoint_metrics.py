"""Keypoint metrics against computations in NumPy."""

import numpy as np
import pytest

from body_models.joint_sets import MPII16
from lightning_modules.scoring.keypoint_metrics import joint_error, oks_ap, pckh

# cocodataset.org/#keypoints-eval
SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000


def people(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = np.concatenate([rng.uniform(20, 200, (count, 17, 2)), rng.integers(0, 2, (count, 17, 1))], axis=-1)
    true[:, 0, 2] = 1
    spread = noise * rng.uniform(0, 1, (count, 1, 1))
    pred = true[..., :2] + rng.normal(0, 1, (count, 17, 2)) * spread
    return pred, rng.random(count), true, rng.uniform(3000, 9000, count)


def expected_ap(pred: np.ndarray, score: np.ndarray, true: np.ndarray, area: np.ndarray) -> dict[str, float]:
    """One person an image: precision at 101 recalls, mean over the thresholds."""
    squared = ((pred - true[..., :2]) ** 2).sum(-1)
    similarity = np.exp(-squared / (2 * area[:, None] * (2 * SIGMAS) ** 2))
    labelled = true[..., 2] > 0
    oks = (similarity * labelled).sum(1) / labelled.sum(1)
    order = np.argsort(-score, kind="stable")
    precisions, recalls = [], []
    for threshold in np.linspace(0.5, 0.95, 10):
        right = (oks[order] >= threshold).cumsum()
        recall, precision = right / len(oks), right / np.arange(1, len(oks) + 1)
        best = [precision[recall >= level].max(initial=0) for level in np.linspace(0, 1, 101)]
        precisions.append(np.mean(best))
        recalls.append(recall[-1])
    return {
        "oks_ap": float(np.mean(precisions)), "oks_ap50": precisions[0], "oks_ap75": precisions[5],
        "oks_ar": float(np.mean(recalls)),
    }  # fmt: skip


def test_oks_average_precision_is_that_of_a_plain_computation() -> None:
    pred, score, true, area = people(40, noise=12)
    found = oks_ap(pred, score, true, area, [f"{i}.jpg" for i in range(40)])
    assert found == pytest.approx(expected_ap(pred, score, true, area), abs=1e-6)
    assert 0.1 < found["oks_ap"] < 0.9
    assert oks_ap(true[..., :2], score, true, area, ["one.jpg"] * 4 + ["b.jpg"] * 36)["oks_ar"] > 0.5
    perfect = oks_ap(true[..., :2], score, true, area, [f"{i}.jpg" for i in range(40)])
    assert perfect == dict.fromkeys(perfect, 1.0)


def test_people_without_labelled_joints_do_not_count() -> None:
    pred, score, true, area = people(10, noise=20)
    names = [f"{i}.jpg" for i in range(10)]
    true[3:5, :, 2] = 0
    rest = [0, 1, 2, 5, 6, 7, 8, 9]
    expected = oks_ap(pred[rest], score[rest], true[rest], area[rest], [names[i] for i in rest])
    assert oks_ap(pred, score, true, area, names) == expected
    true[..., 2] = 0
    assert all(np.isnan(value) for value in oks_ap(pred, score, true, area, names).values())


def test_pckh_counts_joints_within_half_a_head() -> None:
    true = np.zeros((3, 16, 3))
    true[..., 2] = 1
    true[:, MPII16.names.index("head_top"), :2] = 0, -10  # the neck is at the origin: heads of 10 px
    pred = true[..., :2].copy()
    pred[0, MPII16.names.index("left_wrist")] += (3, 4)  # exactly half
    pred[1, MPII16.names.index("left_wrist")] += (3, 4.1)
    pred[1, MPII16.names.index("pelvis")] += 100  # not asked
    pred[1, MPII16.names.index("left_knee")] += 100
    true[1, MPII16.names.index("left_knee"), 2] = 0  # not labelled
    true[2, MPII16.names.index("neck"), 2] = 0  # no head: not judged
    pred[2] += 50
    assert pckh(pred, true, MPII16) == pytest.approx(1 - 1 / (14 + 13))
    assert np.isnan(pckh(pred[2:], true[2:], MPII16))


def test_joint_error_is_in_boxes() -> None:
    true = np.zeros((2, 3, 3))
    true[0, :2, 2] = 1
    pred = np.full((2, 3, 2), 100.0)
    pred[0, 0], pred[0, 1] = (3, 4), (0, 5)
    assert joint_error(pred, true, np.array([50.0, 10.0])) == pytest.approx(0.1)
