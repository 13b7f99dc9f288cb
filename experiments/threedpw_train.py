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
_FOOTNOTES = {
    True: "trained with help of 3DPW's training set",
    None: "not known whether trained with help of 3DPW's training set",
}


def any_saw(told: Iterable[bool | None]) -> bool | None:
    """Of several trainings or label tables: True if one saw it, else None if one of them does not say."""
    told = list(told)
    return True if True in told else None if None in told else False


def read_told(content: Mapping[str, Any]) -> bool | None:
    """What a summary or a label table's provenance tells; None where it says nothing."""
    value = content.get(KEY)
    return value if isinstance(value, bool) else None


def flags(saw: bool | None) -> list[str]:
    """What must be said beside every number: one text or none."""
    return [SEEN] if saw else [UNKNOWN] if saw is None else []


def mark(saw: bool | None) -> str:
    """The same as one character behind a name, for narrow tables; :func:`footnotes` explain it."""
    return _MARKS.get(saw, "")


def sentence(saw: bool | None) -> str | None:
    """The same in words; None where there is nothing to say."""
    return _FOOTNOTES.get(saw)


def footnotes(told: Iterable[bool | None]) -> list[str]:
    """A line for each mark that occurs."""
    told = list(told)
    return [f"{_MARKS[saw]} {text}" for saw, text in _FOOTNOTES.items() if saw in told]


def checkpoint_saw(checkpoint: Path) -> bool | None:
    """What the summary of the run that a checkpoint lies in tells; None where there is none."""
    for folder in list(checkpoint.resolve().parents)[:3]:
        summary = folder / "summary.json"
        if summary.is_file():
            try:
                return read_told(json.loads(summary.read_bytes()))
            except (ValueError, AttributeError):
                return None
    return None
