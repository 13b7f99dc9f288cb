"""The dump's benches run on a few people."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.benches import dump


def test_dump_is_compared_with_as_many_forward_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "_BATCHES", 2)
    monkeypatch.setattr(dump, "_REPEATS", 1)
    monkeypatch.setattr(dump, "_LARGE", ("slim", 64))
    monkeypatch.setattr(dump, "_LARGE_ON_CPU", (1, 1))
    rows = dump.bench_dump(tmp_path)
    assert [row.reference for row in rows[:2]] == ["time of one forward pass", "time of two forward passes"]
    assert all(row.figure > 0 and row.ratio is not None for row in rows)
    # A table of people a network, as fewer go through the large one; nothing that was dumped is left.
    assert {path.name for path in tmp_path.iterdir()} == {"crowd-128", "crowd-64"}


def test_many_people_go_through_a_stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "_MANY", 130)
    monkeypatch.setattr(dump, "in_new_process", lambda function, *arguments: function(*arguments))
    assert [row.unit for row in dump.bench_dump_many(tmp_path)] == ["people/s", "MiB"]
