"""Checks of the records of a json, which may hold anything, for the readers of every layout."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

from datamodules.files import AnnotationError

NUMBERS = {int, float}
"""Types of a json's numbers; a truth value is none."""


def require_keys(path: Path, what: str, record: Any, keys: tuple[str, ...]) -> None:
    """Raise AnnotationError unless a record of a json has the keys."""
    missing = [key for key in keys if key not in record] if isinstance(record, dict) else list(keys)
    if missing:
        name = record.get("id", "without id") if isinstance(record, dict) else repr(record)[:60]
        msg = f"{path}: {what} {name} has no {', '.join(missing)}; is this the keypoints file?"
        raise AnnotationError(msg)


def are_numbers(values: Any, count: int) -> bool:
    """Whether this is a list of so many numbers, which may be NaN, but not whole numbers beyond all floats."""
    if not isinstance(values, list) or len(values) != count or not set(map(type, values)) <= NUMBERS:
        return False
    try:
        array("d", values)
    except OverflowError:
        return False
    return True
