"""Quotas, ranks, epochs and resuming of the samplers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from datamodules.samplers import MixtureSampler, UnpaddedSampler, quota_counts

SIZES, QUOTAS = (100, 7, 30), (2.0, 1.0, 1.0)


def make(ranks: int = 1, rank: int = 0, batch: int = 32, samples: int = 320, seed: int = 0) -> MixtureSampler:
    return MixtureSampler(SIZES, QUOTAS, batch, samples, seed, ranks, rank)


def source_of(index: int) -> int:
    return int(np.searchsorted(np.cumsum(SIZES), index, side="right"))


def batches(sampler: MixtureSampler, size: int) -> list[list[tuple[int, int]]]:
    samples = list(sampler)
    assert len(samples) == len(sampler)
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def test_quotas_are_exact_in_every_batch_of_every_rank() -> None:
    for rank in (0, 1):
        for batch in batches(make(2, rank, 16), 16):
            assert Counter(source_of(index) for index, _ in batch) == {0: 8, 1: 4, 2: 4}


@pytest.mark.parametrize(("ranks", "batch"), [(2, 64), (4, 32), (8, 48), (3, 7)])
def test_indivisible_quotas_are_exact_in_a_step_and_within_one_on_a_rank(ranks: int, batch: int) -> None:
    quotas, sizes, total = (0.85, 0.075, 0.075), (1000, 300, 90), ranks * batch
    # By hand for 2 x 64: 108.8, 9.6, 9.6 of 128 are 108, 9, 9 and two left, for the largest remainders in turn.
    counts = {(2, 64): (109, 10, 9), (4, 32): (109, 10, 9), (8, 48): (326, 29, 29), (3, 7): (18, 2, 1)}[ranks, batch]
    ends = np.cumsum(sizes)
    whole, steps = [], 5
    for rank in range(ranks):
        samples = list(MixtureSampler(sizes, quotas, batch, steps * total, 3, ranks, rank))
        assert len(samples) == steps * batch
        sources = np.searchsorted(ends, [index for index, _ in samples], side="right").reshape(steps, batch)
        whole.append(np.stack([(sources == source).sum(axis=1) for source in range(3)], axis=1))
    found = np.stack(whole)  # (ranks, steps, sources)
    assert (found.sum(axis=0) == counts).all()
    assert (np.abs(found - np.array(counts) / ranks) < 1).all()
    assert (found.max(axis=0) - found.min(axis=0) <= 1).all()
    for source, count in enumerate(counts):
        assert (np.ptp(found[..., source], axis=0) == (count % ranks > 0)).all()


def test_a_step_is_the_same_for_any_number_of_ranks() -> None:
    whole = batches(make(), 32)
    parts = [batches(make(4, rank, 8), 8) for rank in range(4)]
    for step, people in enumerate(whole):
        assert sorted(people) == sorted(sample for part in parts for sample in part[step])


def test_everybody_is_used_before_anybody_is_used_again() -> None:
    sampler, seen = make(), Counter()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen.update(index for index, _ in sampler)
        for source, offset in enumerate((0, 100, 107)):
            counts = [seen[offset + i] for i in range(SIZES[source])]
            assert max(counts) - min(counts) <= 1


def test_epochs_and_seeds_differ_and_repeat() -> None:
    sampler = make()
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    assert list(make(seed=1)) != first
    assert len({seed for _, seed in first + second}) == 640


def test_an_epoch_continues_at_a_step() -> None:
    sampler = make()
    whole = list(sampler)
    sampler.start_step = 4
    assert list(sampler) == whole[4 * 32 :]
    assert list(sampler) == whole


def test_quota_counts() -> None:
    assert quota_counts([1, 1, 1], 64) == [22, 21, 21]
    assert quota_counts([0.5, 0, 0.5], 10) == [5, 0, 5]
    with pytest.raises(ValueError, match="without anybody"):
        quota_counts([100, 1], 16)
    with pytest.raises(ValueError, match="not all 0"):
        quota_counts([0, 0], 16)
    with pytest.raises(ValueError, match="less than one batch"):
        make(samples=31)


def test_unpadded_ranks_share_everybody_once() -> None:
    shares = [list(UnpaddedSampler(range(10), 3, rank)) for rank in range(3)]
    assert shares == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert [len(UnpaddedSampler(range(10), 3, rank)) for rank in range(3)] == [4, 3, 3]


def phased(ranks: int = 1, rank: int = 0, batch: int = 32) -> MixtureSampler:
    return MixtureSampler(SIZES, (1.0, 0.0, 0.0), batch, 320, 0, ranks, rank, pretrain=(0.4, (0.0, 1.0, 1.0)))


def test_quotas_of_a_phase_depend_on_the_step_alone() -> None:
    for rank in (0, 1):
        found = [Counter(source_of(index) for index, _ in batch) for batch in batches(phased(2, rank, 16), 16)]
        assert found == [{1: 8, 2: 8}] * 4 + [{0: 16}] * 6


def test_phases_are_the_same_for_any_number_of_ranks_and_continue_at_a_step() -> None:
    whole = batches(phased(), 32)
    parts = [batches(phased(4, rank, 8), 8) for rank in range(4)]
    for step, people in enumerate(whole):
        assert sorted(people) == sorted(sample for part in parts for sample in part[step])
    for start in (3, 4, 5):
        sampler = phased()
        sampler.start_step = start
        assert list(sampler) == [sample for batch in whole[start:] for sample in batch]


def test_phases_use_everybody_before_anybody_again_across_epochs() -> None:
    sampler, seen = phased(), Counter()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen.update(index for index, _ in sampler)
    for source, offset in enumerate((0, 100, 107)):
        counts = [seen[offset + i] for i in range(SIZES[source])]
        assert max(counts) - min(counts) <= 1
    assert sum(seen.values()) == 3 * 320
