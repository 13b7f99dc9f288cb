"""What a terminal shows of slow work."""

from __future__ import annotations

import io
import sys

import pytest

from datamodules.progress import _Rate, show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_items_come_through_and_only_a_terminal_sees_a_bar(
    kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", kind())
    monkeypatch.setenv("TERM", "xterm")
    assert list(show_progress(iter(range(5)), "counting", 5)) == list(range(5))
    assert ("counting" in sys.stderr.getvalue()) == (kind is Terminal)  # type: ignore[attr-defined]


def test_the_rate_and_the_time_of_the_end_are_shown() -> None:
    from rich.progress import Progress

    progress = Progress(disable=True, get_time=lambda: now[0])
    now = [0.0]
    task = progress.add_task("looking", total=3000)
    column = _Rate()
    assert column.render(progress.tasks[0]).plain == ""
    for second in range(1, 4):
        now[0] = second
        progress.advance(task, 250)
    assert column.render(progress.tasks[0]).plain.startswith("250/s, done at ")
    now[0] = 4
    progress.update(task, completed=3000)
    assert "done at" not in column.render(progress.tasks[0]).plain
