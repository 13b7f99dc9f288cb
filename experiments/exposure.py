"""What is said of 3DPW-train, on whose test set everything is judged: seen in a training, not seen, or not known.

True, False and None everywhere: what nobody has told must not pass for clean.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

KEY = "used_3dpw_train"
"""What it is called in summary.json and in the provenance of labels."""
SEEN, UNKNOWN = "3DPW-train", "3DPW-train: unknown"
_MARKS = {True: "*", None: "?"}
_WORDS = {True: "{} with help of 3DPW's training set", None: "not known whether {} with help of 3DPW's training set"}


def combined_exposure(told: Iterable[bool | None]) -> bool | None:
    """Of several trainings or label tables: True if one saw it, else None if one of them does not say."""
    told = list(told)
    return True if True in told else None if None in told else False


def read_exposure(content: Mapping[str, Any]) -> bool | None:
    """What a summary or a label table's provenance tells; None where it says nothing."""
    value = content.get(KEY)
    return value if isinstance(value, bool) else None


def flags(saw: bool | None) -> list[str]:
    """What must be said beside every number: one text or none."""
    return [SEEN] if saw else [UNKNOWN] if saw is None else []


def mark(saw: bool | None) -> str:
    """The same as one character behind a name, for narrow tables; :func:`footnotes` explain it."""
    return _MARKS.get(saw, "")


def sentence(saw: bool | None, what: str = "trained") -> str:
    """The same in words; empty where there is nothing to say."""
    return _WORDS[saw].format(what) if saw in _WORDS else ""


def sentences(told: Mapping[str, bool | None], what: str = "trained", behind: str = "") -> list[str]:
    """One for each thing that is to be said of some of those named, who stand at its end."""
    lines = []
    for saw in _WORDS:
        if names := [name for name, one in told.items() if one is saw]:
            text = sentence(saw, what) + behind
            lines.append(f"{text[0].upper()}{text[1:]}: {', '.join(names)}.")
    return lines


def footnotes(told: Iterable[bool | None]) -> list[str]:
    """A line for each mark that occurs."""
    told = list(told)
    return [f"{mark} {sentence(saw)}" for saw, mark in _MARKS.items() if saw in told]


def checkpoint_exposure(checkpoint: Path) -> bool | None:
    """What the summary of the run that a checkpoint lies in tells; None where there is none."""
    for folder in list(checkpoint.resolve().parents)[:3]:
        summary = folder / "summary.json"
        if summary.is_file():
            try:
                return read_exposure(json.loads(summary.read_bytes()))
            except (ValueError, AttributeError):
                return None
    return None
