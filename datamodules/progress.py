"""One look for the progress of everything slow that is done once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")


class _Rate(ProgressColumn):
    """Items a second, and the time of day at which the last is done."""

    def render(self, task: Task) -> Text:
        speed, remaining = task.finished_speed or task.speed, task.time_remaining
        if not speed:
            return Text("")
        rate = f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"
        end = f", done at {time.strftime('%H:%M', time.localtime(time.time() + remaining))}" if remaining else ""
        return Text(rate + end, style="progress.percentage")


def show_progress(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The items, with a bar on the terminal's error stream that goes away; nothing where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), _Rate())
    console = Console(stderr=True, emoji=False)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield from progress.track(items, total, description=what)
