"""A file has its name once it is complete, whatever happens while it is written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from datamodules.writing import replacing, write_json, write_text


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    with replacing(path) as temporary:
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["a.bin"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "before")
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_temporary_files_are_hidden_and_keep_their_ending(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.npz") as alone, replacing(tmp_path / "a.npz", shared=True) as one_of_several:
        for name in (alone.name, one_of_several.name):
            assert name.startswith(".a.") and name.endswith(".npz")
        assert str(os.getpid()) in one_of_several.name
        alone.touch()
        one_of_several.touch()


def test_what_was_written_is_synchronised_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        seen.append("sync")
        real_sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        seen.append("replace")
        real_replace(source, target)

    monkeypatch.setattr("datamodules.writing.os.fsync", sync)
    monkeypatch.setattr("datamodules.writing.os.replace", replace)
    path = write_json(tmp_path / "a.json", {"name": "ä"})
    assert seen == ["sync", "replace", "sync"]
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "ä"}
