"""Joints that are hidden from whoever annotates, so that labels can be judged where no truth is known.

Hidden joints are neither read nor compared with in a training; how far a label's body lies from them says what the 2D
error on the joints that it was pulled to cannot. It works on any data set.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.seeded import GOLDEN, first_state, mixed


@dataclass(frozen=True)
class HoldOut:
    """Which joints are hidden: a pure function of person, joint and seed, the same in every stage and process.

    Attributes:
        share: of all joints, in [0, 1).
        seed: of the choice.
    """

    share: float
    seed: int = 0

    def hidden(self, ids: Sequence[str], joints: int) -> NDArray[np.bool_]:
        """(N, K) whether each of K joints of each person is hidden."""
        people = np.array([zlib.crc32(name.encode()) for name in ids], np.uint64) ^ np.uint64(self.seed << 32)
        state = first_state(people)[:, None] + GOLDEN * np.arange(1, joints + 1, dtype=np.uint64)
        return mixed(state) < np.uint64(min(self.share, 1.0) * 2**63) * np.uint64(2)
