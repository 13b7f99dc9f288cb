"""The quality score: found again where it is known, sensible about what is not, and the same after writing."""

import numpy as np
import pytest

from datamodules.pseudo_gt.native import LabelError
from datamodules.pseudo_gt.quality_score import MEASURES, Score, fit_score, load_score, measure

COUNT = 4000


def table(seed):
    """Labels whose MPVPE is made of the 2D error and the mirror disagreement alone, with some noise."""
    rng = np.random.default_rng(seed)
    columns = {
        "error_2d": rng.lognormal(-3, 0.5, COUNT).astype(np.float32),
        "visible_joints": rng.integers(0, 18, COUNT).astype(np.int32),
        "prior_score": rng.normal(50, 20, COUNT).astype(np.float32),
        "limit_excess_deg": rng.exponential(10, COUNT).astype(np.float32),
        "max_abs_beta": np.full(COUNT, 0.5, np.float32),
        "mirror_disagreement": rng.lognormal(4, 0.5, COUNT).astype(np.float32),
        "box": rng.uniform(50, 300, (COUNT, 4)).astype(np.float32),
        "global_orient": rng.normal(0, 1, (COUNT, 3)).astype(np.float32),
        "joints_2d": rng.uniform(1, 50, (COUNT, 17, 3)).astype(np.float32),
    }
    logarithm = np.log(columns["error_2d"] + 1e-3) + 0.5 * np.log(columns["mirror_disagreement"] + 1) + 6
    return columns, np.exp(logarithm + rng.normal(0, 0.05, COUNT))


def test_the_law_behind_the_errors_is_found():
    score = fit_score(*table(0), {})
    columns, mpvpe = table(1)
    assert np.median(np.abs(score(columns) / mpvpe - 1)) < 0.05
    weights = {name: term.weight / term.std for name, term in score.terms.items()}
    assert weights["error_2d"] == pytest.approx(1, abs=0.02)
    assert weights["mirror_disagreement"] == pytest.approx(0.5, abs=0.02)
    assert weights["max_abs_beta"] == 0  # the same for everyone
    assert max(abs(weights[name]) for name in ("visible_joints", "prior_score", "box_side")) < 0.01


def test_people_of_whom_something_is_unknown_get_what_such_people_had():
    columns, mpvpe = table(0)
    columns["error_2d"][:500] = np.nan
    mpvpe[:500] = 400 * np.exp(0.5 * np.log(columns["mirror_disagreement"][:500] + 1) - 2)
    mpvpe[600] = np.nan  # who cannot be compared is left out
    score = fit_score(columns, mpvpe, {})
    assert np.isfinite(score(columns)).all()
    assert score(columns)[:500].mean() == pytest.approx(mpvpe[:500].mean(), rel=0.05)


def test_values_beyond_those_seen_do_not_run_away():
    columns, mpvpe = table(0)
    score = fit_score(columns, mpvpe, {})
    wild = {name: values[:2].copy() for name, values in columns.items()}
    wild["error_2d"][:] = columns["error_2d"].max(), 1e6
    for name in (name for name in columns if name != "error_2d"):
        wild[name][1] = wild[name][0]
    first, second = score(wild)
    assert second == pytest.approx(first)


def test_written_and_read_it_says_the_same(tmp_path):
    columns, mpvpe = table(0)
    score = fit_score(columns, mpvpe, {"annotator": "three", "world_seed": 0})
    score.save(tmp_path / "score.json")
    read = load_score(tmp_path / "score.json")
    np.testing.assert_array_equal(read(columns), score(columns))
    assert read.fitted_on == {"annotator": "three", "world_seed": 0}
    assert set(read.columns) == set(columns)


def test_a_score_that_is_not_there_or_of_other_code_says_what_to_do(tmp_path):
    with pytest.raises(LabelError, match=r"no\.json is not a fitted quality score .*--write-score"):
        load_score(tmp_path / "no.json")
    term = fit_score(*table(0), {}).terms["error_2d"]
    Score(0.0, {"smell": term}, {}).save(tmp_path / "other.json")
    with pytest.raises(LabelError, match="does not know smell"):
        load_score(tmp_path / "other.json")


def test_measures_of_a_vector_are_numbers():
    columns = {"box": np.float32([[0, 0, 80, 90]]), "latent": np.float32([[3, 4, 0]])}
    assert measure("box_side", columns).tolist() == [80] and measure("latent_norm", columns).tolist() == [5]
    turned = {"global_orient": np.float32([[np.pi, 0, 0], [0, 0, 0], [np.pi, 0, 0.0]])}
    np.testing.assert_allclose(measure("upright", turned), [1, -1, 1], atol=1e-6)
    np.testing.assert_allclose(measure("facing", turned), [1, -1, 1], atol=1e-6)
    joints = np.float32([[[10, 5, 1], [30, 25, 1], [99, 99, 0]], [[1, 1, 0]] * 3])
    columns = {"joints_2d": joints, "box": np.float32([[0, 0, 40, 40]] * 2)}
    np.testing.assert_array_equal(measure("joints_width", columns), [0.5, np.nan])
    np.testing.assert_array_equal(measure("joints_height", columns), [0.5, np.nan])
    assert [name for name, kind in MEASURES.items() if not kind.scored] == ["latent_norm"]
