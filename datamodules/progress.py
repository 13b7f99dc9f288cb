"""One look for the progress of everything slow that is done once."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def show_progress(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The items, with a bar on the terminal's error stream that goes away; nothing where there is no terminal."""
    disable = not sys.stderr.isatty()
    return track(items, what, total=total, console=Console(stderr=True), transient=True, disable=disable)
