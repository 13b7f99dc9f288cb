"""What the readers of all tools make of a file: people with joints by name, as numbers of the file's own unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.files import AnnotationError
from datamodules.records import are_numbers

PIXELS, SHARES, PERCENT = 0.0, 1.0, 100.0
"""Units of coordinates: the number that the whole width, or height, of the image is; 0 stands for pixels."""
_MAX_TRACK = 2**31


@dataclass(frozen=True)
class Found:
    """A person that a tool found, or that somebody marked.

    Attributes:
        image: file name with or without its folder and ending; or the image's number.
        joints: (K, 3) x and y in the layout's unit, and the score as it is in the file.
        names: (K,) of the joints.
        box: x, y, w, h in the layout's unit; None where the file has none.
        track: number of the person that the tool's tracker gave, the same in all frames of a video.
        frame: number within the video, from 0, where the file is about a video; ``image`` is then its name.
    """

    image: str | int
    joints: NDArray[np.float64]
    names: tuple[str, ...]
    box: Sequence[float] | None = None
    track: int | None = None
    frame: int | None = None


class Layout(NamedTuple):
    """The files of a tool.

    Attributes:
        tool: its name, for messages.
        unit: of the coordinates.
        matches: whether the content of a file is of this layout.
        read: (path, content, skeleton) -> the people in it.
        first_frame: number that the tool gives the first frame of a video in the names of its files.
    """

    tool: str
    unit: float
    matches: Callable[[Any], bool]
    read: Callable[[Path, Any, str], Iterator[Found]]
    first_frame: int = 0


def is_list_of(content: Any, *keys: str) -> bool:
    """Whether this is a list that begins with an object which has these keys."""
    return isinstance(content, list) and bool(content) and has_keys(content[0], *keys)


def has_keys(record: Any, *keys: str) -> bool:
    """Whether this is an object that has these keys."""
    return isinstance(record, dict) and all(key in record for key in keys)


def require(path: Path, condition: bool, wrong: str) -> None:
    """Raise AnnotationError, which names the file, unless a condition holds."""
    if not condition:
        msg = f"{path}: {wrong}"
        raise AnnotationError(msg)


def triples(path: Path, person: str, values: Any) -> NDArray[np.float64]:
    """(K, 3) of a flat list of x, y and score.

    Raises:
        AnnotationError: it is no such list.
    """
    count = len(values) // 3 if isinstance(values, list) else 0
    require(
        path, count > 0 and are_numbers(values, 3 * count),
        f"{person} has keypoints {values!r:.60}, which are not x, y and score of each joint",
    )  # fmt: skip
    return np.array(values, np.float64).reshape(count, 3)


def rows(path: Path, person: str, values: Any, lengths: Sequence[int]) -> NDArray[np.float64]:
    """(K, D) of a list of equally long lists of numbers, D one of ``lengths``.

    Raises:
        AnnotationError: it is no such list.
    """
    length = len(values[0]) if isinstance(values, list) and values and isinstance(values[0], list) else -1
    require(
        path, length in lengths and all(are_numbers(row, length) for row in values),
        f"{person} has keypoints {values!r:.60}, which are not {' or '.join(map(str, lengths))} numbers for each joint",
    )  # fmt: skip
    return np.array(values, np.float64)


def number_of(value: Any) -> int | None:
    """A track's number, which tools write as a number, as a text, or within lists; None where it is none."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    try:
        number = int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < _MAX_TRACK else None


def box_from(path: Path, person: str, values: Any) -> list[float] | None:
    """Four numbers; None where there is no box.

    Raises:
        AnnotationError: it is something else.
    """
    if values is None or values == []:
        return None
    require(path, are_numbers(values, 4), f"{person} has box {values!r:.60}, which is not four numbers")
    return list(values)


def corners_to_box(values: Sequence[float] | None) -> list[float] | None:
    """x, y, w, h of left, top, right and bottom."""
    return [values[0], values[1], values[2] - values[0], values[3] - values[1]] if values else None
