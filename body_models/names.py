"""The nearest of some known names, for messages; here because every floor has names that users may misspell."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

LEAST = 0.6
"""Below this likeness another name is meant, and a guess would lead astray."""
# A name without its section may be that of any: only a slip of the pen is taken for it.
_LEAST_ALONE = 0.85


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like a word, None where none is like it; ``backbone`` is like ``model.backbone``, too.

    Args:
        word: what was written.
        candidates: the names that are known.
    """
    likeness = {candidate: _likeness(word, candidate) for candidate in candidates}
    best = max(likeness, key=likeness.__getitem__, default=None)
    return best if best is not None and likeness[best] >= LEAST else None


def guess(word: str, candidates: Iterable[str]) -> str:
    """The end of a message: the nearest candidate, or nothing where none is like the word."""
    found = nearest(word, candidates)
    return "" if found is None else f"; the nearest is {found}"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """What is said of a name that is none of those known: the nearest one, and all of them."""
    known = list(known)
    return f"no {what} named {name!r}{guess(name, known)}; there are: {', '.join(known)}"


def _likeness(word: str, candidate: str) -> float:
    """From 0 to 1. Sections (``annotate.``) alike do not make names in them alike, nor the other way round."""
    section, _, name = word.rpartition(".")
    known_section, _, known = candidate.rpartition(".")
    alike = _ratio(name, known)
    if section == known_section:
        return alike
    if name == known:
        return 0.95
    if section and known_section:
        sections = _ratio(section, known_section)
        return alike * (0.9 + 0.1 * sections) if sections >= LEAST else 0.0
    return 0.95 * alike if alike >= _LEAST_ALONE else 0.0


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
