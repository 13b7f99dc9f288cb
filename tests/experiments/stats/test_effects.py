"""Effects of a factorial grid, against differences of means by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from experiments.stats.effects import Factor, find_effects, t_interval

FACTORS = [Factor(name, (f"{name}0", f"{name}1")) for name in "abc"]


def grid(seeds, value):
    cells = {}
    for places in itertools.product((0, 1), repeat=3):
        levels = tuple(f"{name}{place}" for name, place in zip("abc", places, strict=True))
        cells[levels] = {seed: value(*places, seed) for seed in range(seeds)}
    return cells


def test_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(3, 2, 5)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = t_interval(values)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert t_interval([4.0]) == (4.0, None, None)


def test_additive_effects_and_an_interaction_are_found_exactly():
    cells = grid(3, lambda a, b, c, seed: 100 - 20 * a - 10 * b + 4 * c + 6 * a * b + 7 * seed)
    found = {effect.name: effect.change for effect in find_effects(FACTORS, cells).effects}
    # With b at half of its cells, a brings -20 + 6 / 2.
    expected = {"a=a1": -17, "b=b1": -7, "c=c1": 4, "a=a1 x b=b1": 6, "a=a1 x c=c1": 0, "b=b1 x c=c1": 0}
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value)
        assert found[name].high - found[name].low == pytest.approx(0, abs=1e-9)
    assert found["a=a1 x b=b1 x c=c1"].value == pytest.approx(0, abs=1e-9)


def test_each_switch_is_judged_alone_and_on_top_of_all_others():
    cells = grid(3, lambda a, b, c, seed: 100 - 20 * a - 10 * b + 4 * c + 6 * a * b + 3 * a * b * c + 7 * seed)
    found = {effect.name: effect for effect in find_effects([*FACTORS, Factor("x", ("1",))], _widened(cells)).effects}
    # By hand: a alone is -20; with b and c it brings -20 + 6 + 3.
    alone, on_top = {"a": -20, "b": -10, "c": 4}, {"a": -11, "b": -1, "c": 7}
    for name in "abc":
        assert found[f"{name}={name}1, the others off"].by_seed == pytest.approx(dict.fromkeys(range(3), alone[name]))
        assert found[f"{name}={name}1, the others on"].by_seed == pytest.approx(dict.fromkeys(range(3), on_top[name]))


def _widened(cells):
    return {(*levels, "1"): values for levels, values in cells.items()}


def test_effects_are_paired_by_seed():
    noise = np.random.default_rng(1).normal(0, 1, (2, 2, 2, 4))
    cells = grid(4, lambda a, b, c, seed: 100 * seed + noise[a, b, c, seed] - 3 * a)
    effect = find_effects(FACTORS, cells).effects[0]
    by_hand = noise[1].mean((0, 1)) - noise[0].mean((0, 1)) - 3
    assert list(effect.by_seed.values()) == pytest.approx(by_hand.tolist())
    expected = stats.ttest_1samp(by_hand, 0).confidence_interval(0.95)
    assert (effect.change.low, effect.change.high) == pytest.approx((expected.low, expected.high))


def test_three_levels_stand_against_the_first():
    inits = Factor("init", ("random", "imagenet", "pose2d"))
    factors = [inits, Factor("prior", ("none", "vposer")), Factor("x", ("1",))]
    cells = {
        (init, prior, "1"): {0: 10 * i + 3 * j + 5 * (i == 2 and j == 1)}
        for i, init in enumerate(factors[0].levels)
        for j, prior in enumerate(factors[1].levels)
    }
    effects = find_effects(factors, cells)
    found = {effect.name: effect.change.value for effect in effects.effects}
    assert found["init=imagenet"] == 10 and found["init=pose2d"] == 22.5
    assert found["init=pose2d x prior=vposer"] == 5 and found["init=imagenet x prior=vposer"] == 0
    assert [factor.name for factor in effects.factors] == ["init", "prior"]


def test_what_is_missing_is_named():
    cells = grid(2, lambda a, b, c, seed: 1.0)
    del cells["a1", "b0", "c1"][1]
    found = find_effects(FACTORS, cells)
    assert found.seeds == (0,) and found.missing == ("a=a1, b=b0, c=c1 of seed 1",)
    del cells["a1", "b1", "c1"]
    found = find_effects(FACTORS, cells)
    assert found.effects == () and "a=a1, b=b1, c=c1" in found.missing
