"""Large JSON files in little memory: written piece by piece, and read one record at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from datamodules.pseudo_gt.native import LabelError
from datamodules.writing import replacing

_CHUNK = 1 << 20
_SPACE = " \t\r\n"


@contextmanager
def writing(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name when the block ends without an error."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def iter_json(path: str | Path, lists: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Key and value of each entry of a file that holds one JSON object.

    Args:
        path: of the file.
        lists: keys whose value is a list of records; its records are given one by one, each with the key.

    Raises:
        LabelError: the file is no JSON object, ends early, or has a key twice in an object below its top.
    """
    try:
        # Editors on Windows put a byte order mark in front.
        with Path(path).open(encoding="utf-8-sig") as file:
            text = _Text(file)
            text.expect("{")
            if text.peek() == "}":
                return
            while True:
                key = text.value()
                text.expect(":")
                if key in lists and text.peek() == "[":
                    for item in text.items():
                        yield key, item
                else:
                    yield key, text.value()
                if text.peek() == "}":
                    return
                text.expect(",")
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror or error})"
        raise LabelError(msg) from error
    except _TwiceError as error:
        msg = f"{path}: key {error.args[0]:.80} is there twice in one object, so its value is not known"
        raise LabelError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not valid JSON with an object at its top ({error}); it may be truncated: get it again"
        raise LabelError(msg) from error


class _TwiceError(Exception):
    """A key that an object has twice. No ValueError, which may mean that a value is not read to its end."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return found


class _Text:
    """The unread rest of a file, of which only a window is in memory."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._window, self._at, self._ended = file, "", 0, False
        self._decoder = json.JSONDecoder(object_pairs_hook=_object)

    def _more(self) -> bool:
        # Twice as much each time, so that a value longer than the window costs no quadratic time.
        new = "" if self._ended else self._file.read(max(_CHUNK, len(self._window) - self._at))
        self._ended = not new
        self._window, self._at = self._window[self._at :] + new, 0
        return not self._ended

    def peek(self) -> str:
        while True:
            while self._at < len(self._window) and self._window[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more():
                msg = "the file ends early"
                raise ValueError(msg)

    def expect(self, character: str) -> None:
        if self.peek() != character:
            msg = f"{character!r} expected, {self.peek()!r} found"
            raise ValueError(msg)
        self._at += 1

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                found, end = self._decoder.raw_decode(self._window, self._at)
            except ValueError:
                if not self._more():
                    raise
                continue
            length = end - self._at
            # A number at the end of the window may go on behind it, after no more than "e+".
            if isinstance(found, int | float) and len(self._window) - end <= 2 and self._more():
                continue
            # Not the end: looking for more moves the window.
            self._at += length
            return found

    def items(self) -> Iterator[Any]:
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.peek() == "]":
                self._at += 1
                return
            self.expect(",")
