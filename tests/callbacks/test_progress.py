"""A log gets lines with rate and remaining time."""

import re

from callbacks.progress import LineProgress, progress_bar
from tests.support.people import Oracle, People, loader, trainer


def test_lines_say_rate_and_time_left(capsys):
    trainer(LineProgress("dump", seconds=0), enable_progress_bar=True).predict(Oracle(), loader(People(6)))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("dump")]
    assert len(lines) == 2
    assert re.fullmatch(r"dump: 1/2 steps, \d+ people/s, \d+ s left", lines[0])


def test_quiet_between_lines_but_not_at_the_end(capsys):
    trainer(LineProgress("dump", seconds=1e6), enable_progress_bar=True).predict(Oracle(), loader(People(6)))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("dump")]
    assert len(lines) == 1 and "2/2" in lines[0]


def test_no_bar_where_there_is_no_terminal():
    assert isinstance(progress_bar("annotate"), LineProgress)
