"""Numbers that depend on their seeds alone, however many are drawn together: SplitMix64 [1], array by array.

[1] Steele et al., Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Step from one state to the next."""


def first_state(seeds: NDArray[Any]) -> NDArray[np.uint64]:
    """A state for each seed, of any shape; neighbouring seeds are far apart."""
    return seeds.astype(np.uint64) * np.uint64(0xD1342543DE82EF95)


def mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits for each state."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
