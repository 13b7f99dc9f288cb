"""Which people make up each step, on each rank.

Both samplers derive from DistributedSampler, because that is what Lightning leaves alone and calls ``set_epoch`` on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, DistributedSampler


class QuotaError(ValueError):
    """Shares of a batch that cannot be given out."""


class MixtureSampler(DistributedSampler):
    """Fixed quotas of several joined datasets in every step, as (index, seed) pairs.

    The people of a step, and the seeds of their augmentation, depend on the seed, the epoch and the step alone: W ranks
    with batches of B see what one rank with batches of W B sees. Each dataset is gone through in a new random order
    again and again, across epochs; nothing is repeated before everything was used.

    The quotas hold exactly in a step over all ranks: W B people, rounded once (:func:`quota_counts`), the same in every
    step. A rank takes every W-th of them, so of each dataset it has its W-th part, rounded down or up: exactly as many
    as any other rank where W divides the count, else one more or less. Rounding on each rank instead would make them
    equal, but then the people of a step, and so the training, would depend on the number of processes. Losses are
    means over the valid terms of all ranks, so who sits on which rank does not weigh anybody.

    Args:
        sizes: number of people of each dataset, in the order in which they are joined.
        quotas: weight of each dataset.
        batch_size: of one rank.
        samples_per_epoch: over all ranks; rounded down to whole steps.
        seed: of everything.
        num_replicas: number of ranks.
        rank: this rank.
        pretrain: share of each epoch's steps that come first with quotas of their own, and these; None is one phase.

    Attributes:
        phases: first step within an epoch, and people of each dataset in a step from there on, of each phase.
        start_step: first step of the next iteration, to continue within an epoch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        quotas: Sequence[float],
        batch_size: int,
        samples_per_epoch: int,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        pretrain: tuple[float, Sequence[float]] | None = None,
    ) -> None:
        super().__init__(range(sum(sizes)), num_replicas=num_replicas, rank=rank, shuffle=True, seed=seed)  # type: ignore[arg-type]
        self.sizes = list(sizes)
        self.global_batch = batch_size * num_replicas
        self.steps = samples_per_epoch // self.global_batch
        if self.steps < 1:
            msg = f"samples_per_epoch={samples_per_epoch} is less than one batch of {self.global_batch} over all ranks"
            raise QuotaError(msg)
        self.phases = [(0, quota_counts(quotas, self.global_batch))]
        if pretrain is not None:
            share, first_quotas = pretrain
            main = (round(share * self.steps), self.phases[0][1])
            self.phases = [(0, quota_counts(first_quotas, self.global_batch)), main]
        self.num_samples = self.steps * batch_size
        self.total_size = self.num_samples * num_replicas
        self.start_step = 0
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        first, self.start_step = self.start_step, 0
        for step in range(first, self.steps):
            indices, seeds = self.step_samples(step)
            mine = slice(self.rank, None, self.num_replicas)
            yield from zip(indices[mine].tolist(), seeds[mine].tolist(), strict=True)

    def step_samples(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and seeds (W B,) of one step of the current epoch, over all ranks."""
        number = self.epoch * self.steps + step
        offsets = np.cumsum([0, *self.sizes[:-1]])
        used = self.epoch * self._used(self.steps) + self._used(step)
        counts = self._used(step + 1) - self._used(step)
        indices = [
            offset + self._draw(source, int(used[source]), int(counts[source])) for source, offset in enumerate(offsets)
        ]
        seeds = np.random.SeedSequence((self.seed, number)).generate_state(self.global_batch)
        return np.concatenate(indices), seeds

    def _used(self, step: int) -> np.ndarray:
        """People of each dataset in the steps of an epoch before this one."""
        ends = [first for first, _ in self.phases[1:]] + [self.steps]
        return sum(
            max(0, min(step, end) - first) * np.array(counts)
            for (first, counts), end in zip(self.phases, ends, strict=True)
        )  # type: ignore[return-value]

    def _draw(self, source: int, start: int, count: int) -> np.ndarray:
        """Members start to start + count of the endless random order of one dataset."""
        size = self.sizes[source]
        parts = []
        while count > 0:
            turn, place = divmod(start, size)
            part = self._order(source, turn)[place : place + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def _order(self, source: int, turn: int) -> np.ndarray:
        kept = self._orders.get(source)
        if kept is None or kept[0] != turn:
            generator = np.random.default_rng((self.seed, source, turn))
            kept = self._orders[source] = (turn, generator.permutation(self.sizes[source]))
        return kept[1]


def quota_counts(quotas: Sequence[float], batch: int) -> list[int]:
    """People of each dataset in a batch: the quotas' shares, rounded by largest remainder.

    Raises:
        QuotaError: a dataset with a quota above 0 would get nobody.
    """
    weights = np.asarray(quotas, dtype=np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        msg = f"quotas {list(quotas)} must be 0 or more, and not all 0"
        raise QuotaError(msg)
    # Rounded, so that equal remainders are equal and go to the first.
    shares = np.round(weights / weights.sum() * batch, 9)
    counts = np.floor(shares).astype(int)
    order = np.argsort(counts - shares, kind="stable")
    counts[order[: batch - counts.sum()]] += 1
    if ((counts == 0) & (weights > 0)).any():
        msg = f"quotas {list(quotas)} leave a source without anybody in a batch of {batch}; use a larger batch"
        raise QuotaError(msg)
    return counts.tolist()


class UnpaddedSampler(DistributedSampler):
    """Every index once over all ranks: rank r has r, r + W, ...; the ordinary one repeats some to make ranks equal.

    Args:
        dataset: to sample from.
        num_replicas: number of ranks.
        rank: this rank.
        done: (N,) mask of indices to leave out. Where each rank finished its first batches, the same batches follow.
    """

    def __init__(
        self, dataset: Dataset, num_replicas: int = 1, rank: int = 0, done: NDArray[np.bool_] | None = None
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)
        indices = np.arange(rank, len(dataset), num_replicas)  # type: ignore[arg-type]
        self._indices = indices if done is None else indices[~done[indices]]

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices.tolist())

    def __len__(self) -> int:
        return len(self._indices)
