"""The nearest of some known names, for messages; here because every floor has names that users may misspell."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher


def nearest(word: str, candidates: Iterable[str]) -> str:
    """The candidate most like a word; ``lr`` is like ``annotate.lr``, too.

    Args:
        word: what was written.
        candidates: the names that are known, at least one.
    """

    def likeness(candidate: str) -> float:
        whole = SequenceMatcher(None, word, candidate).ratio()
        last = SequenceMatcher(None, word.rpartition(".")[2], candidate.rpartition(".")[2]).ratio()
        return max(whole, 0.95 * last)

    return max(candidates, key=likeness)
