"""The quality study: correlations against SciPy, and a score that beats the single columns on another table."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from datamodules.pseudo_gt import quality_score
from datamodules.pseudo_gt.native import LabelError, LabelWriter
from experiments.commands.labels.quality import main
from experiments.label_study.quality_columns import TableWithTruth, document, kept_errors, spearman, study

PEOPLE = 60


def studied(name, seed, count=1500):
    """Labels whose error is half said by the 2D error, half by the mirror."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, count))
    columns = {
        "error_2d": np.exp(first - 3),
        "visible_joints": rng.integers(0, 18, count),
        "prior_score": rng.normal(size=count),
        "limit_excess_deg": np.zeros(count),
        "max_abs_beta": rng.uniform(0, 3, count),
        "mirror_disagreement": np.exp(second + 4),
        "box": np.tile(rng.uniform(50, 300, (count, 1)), 4),
        "global_orient": rng.normal(size=(count, 3)),
        "joints_2d": rng.uniform(1, 50, (count, 17, 3)),
    }
    columns["error_2d"][:50] = np.nan
    mpvpe = np.exp(0.2 * (first + second) + 5 + rng.normal(0, 0.05, count))
    return TableWithTruth(name, columns, mpvpe, {"annotator": name, "size": "tiny", "seed": seed, "world_seed": seed})


def test_spearman_is_scipys():
    rng = np.random.default_rng(0)
    values, truth = rng.normal(size=(3, 200)), rng.normal(size=200)
    values[1] = np.round(values[1])  # ties
    expected = [spearmanr(row, truth).statistic for row in values]
    np.testing.assert_allclose(spearman(values, truth), expected, atol=1e-12)


def test_the_score_beats_every_single_column_on_another_table():
    found = study([studied("a", 0), studied("b", 1)])
    (judged,) = found.judged
    assert judged.people == 1450 and "limit_excess_deg" not in judged.singles
    known = ~np.isnan(judged.table.columns["error_2d"])
    expected = spearmanr(judged.table.columns["error_2d"][known], judged.table.mpvpe[known]).statistic
    assert judged.singles["error_2d"] == pytest.approx(expected)
    assert judged.combined.value > 0.95 > abs(judged.singles[judged.best])
    assert judged.gain.low > 0.1 and judged.gain.low < judged.gain.value < judged.gain.high
    text = document(found, "quality.png")
    assert "fitted on a only" in text and f"**{judged.combined.value:+.3f}**" in text
    assert "| excess over joint limits" not in text
    assert found.score.fitted_on["world_seed"] == 0


def test_kept_errors_are_of_the_best():
    mpvpe = np.arange(100.0)
    assert kept_errors(mpvpe, mpvpe) == [49.5, 44.5, 37.0, 24.5, 12.0]


@pytest.fixture
def labels(tmp_path):
    """Function of a seed: a label table, and the truth of the world that its images are of."""

    def make(seed):
        rng = np.random.default_rng(seed)
        world = tmp_path / f"world{seed}"
        (world / "truth").mkdir(parents=True)
        (world / "world.json").write_text("{}")
        ids = np.array([f"coco/train/{i}" for i in range(PEOPLE)])
        sizes = {"global_orient": 3, "body_pose": 69, "betas": 10}
        true = {name: rng.normal(0, 0.3, (PEOPLE, size)).astype(np.float32) for name, size in sizes.items()}
        np.savez(world / "truth" / "coco_train.npz", id=ids, gender=np.zeros(PEOPLE, np.uint8), **true)
        error = rng.uniform(0.01, 0.5, PEOPLE).astype(np.float32)
        noise = rng.normal(size=(PEOPLE, 69)).astype(np.float32) * error[:, None]
        folder = tmp_path / f"run{seed}" / "coco-train"
        settings = {"size": "tiny", "seed": seed, "world": {"seed": seed}}
        with LabelWriter(
            folder,
            joint_set=None,
            image_root=str(world / "coco" / "train2017"),
            provenance={"run": "three", "settings": settings},
        ) as writer:
            writer.write({
                "id": ids, **true, "body_pose": true["body_pose"] + noise, "error_2d": error,
                "visible_joints": np.full(PEOPLE, 17), "prior_score": rng.normal(size=PEOPLE),
                "limit_excess_deg": np.zeros(PEOPLE), "max_abs_beta": np.abs(true["betas"]).max(axis=1),
                "joints_2d": rng.uniform(1, 50, (PEOPLE, 17, 3)),
                "mirror_disagreement": error * 300, "box": rng.uniform(50, 90, (PEOPLE, 4)),
            })  # fmt: skip
        return folder

    return make


def test_command_finds_the_truth_beside_the_images_and_writes_all(labels, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(quality_score.Score, "save", lambda score: saved.append(score))
    out = tmp_path / "docs" / "quality.md"
    assert main([str(labels(0)), str(labels(1)), "--out", str(out), "--write-score"]) == 0
    text = out.read_text()
    assert (
        "| run0 | fitted | three | tiny | 0 | 0 | 60 |" in text and "| run1 | judged | three | tiny | 1 | 1 |" in text
    )
    assert "![true MPVPE against the combined score](quality.png)" in text
    assert (tmp_path / "docs" / "quality.png").read_bytes().startswith(b"\x89PNG")
    (score,) = saved
    assert score.fitted_on["people"] == PEOPLE and score.fitted_on["annotator"] == "three"


def test_labels_without_truth_or_columns_say_so(labels, tmp_path):
    first = labels(0)
    (tmp_path / "world0" / "world.json").unlink()
    with pytest.raises(LabelError, match=r"run0.*no true bodies lie beside its images.*--truth"):
        main([str(first), str(labels(1))])
    bare = tmp_path / "bare"
    with LabelWriter(bare, joint_set=None, image_root=None, provenance={}) as writer:
        writer.write({"id": ["coco/train/0"]})
    truth = str(tmp_path / "world0" / "truth" / "coco_train.npz")
    with pytest.raises(LabelError, match="bare has no column error_2d, visible_joints"):
        main([str(bare), str(first), "--truth", truth, truth])
