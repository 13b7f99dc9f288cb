"""Intervals against SciPy's bootstrap, and what groups and missing values do to them."""

import numpy as np
import pytest
from scipy import stats

from experiments.stats.bootstrap import mean_interval, paired_gain


@pytest.fixture
def errors():
    rng = np.random.default_rng(5)
    hard = rng.gamma(8, 16, 400)
    return hard * rng.lognormal(0, 0.2, 400), 0.8 * hard * rng.lognormal(0, 0.2, 400)


def test_mean_agrees_with_scipy(errors):
    ours = mean_interval(errors[0], resamples=4000)
    scipys = stats.bootstrap((errors[0],), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert ours.value == pytest.approx(errors[0].mean())
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), rel=0.005)


def test_paired_gain_agrees_with_scipy(errors):
    def percent(a, b, axis=-1):
        return 100 * (1 - b.mean(axis=axis) / a.mean(axis=axis))

    ours = paired_gain(*errors, resamples=4000)
    scipys = stats.bootstrap(errors, percent, n_resamples=4000, paired=True, method="percentile", rng=1)
    ends = scipys.confidence_interval
    assert ours.percent.value == pytest.approx(percent(*errors))
    assert (ours.percent.low, ours.percent.high) == pytest.approx((ends.low, ends.high), abs=0.3)
    assert ours.difference.excludes_zero


def test_copies_in_a_group_do_not_narrow_the_interval(errors):
    once = paired_gain(*errors, resamples=2000)
    copied = [np.repeat(values, 10) for values in errors]
    groups = np.repeat([f"image {i:03d}" for i in range(400)], 10)
    grouped = paired_gain(*copied, groups, resamples=2000)
    assert grouped.people == 4000 and grouped.groups == 400
    assert grouped.difference == pytest.approx(once.difference)


def test_no_difference_includes_zero():
    rng = np.random.default_rng(1)
    assert not paired_gain(rng.normal(100, 10, 500), rng.normal(100, 10, 500)).difference.excludes_zero


def test_missing_people_are_left_out_of_both():
    gain = paired_gain([10.0, np.nan, 30.0], [5.0, 6.0, np.nan], resamples=10)
    assert (gain.baseline, gain.better, gain.people) == (10.0, 5.0, 1)
    assert np.isnan(mean_interval([np.nan]).value)
    with pytest.raises(ValueError, match="nobody"):
        paired_gain([np.nan], [1.0])


def test_without_resamples_there_is_no_interval(errors):
    gain = paired_gain(*errors, resamples=0)
    assert gain.percent.low is None and not gain.percent.excludes_zero


def test_same_seed_same_interval(errors):
    assert mean_interval(errors[0]) == mean_interval(errors[0])
