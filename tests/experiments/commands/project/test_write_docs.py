"""The documents that are made from the code are written by one command."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from experiments.commands.project.write_docs import main
from tests.support.repository import DOCS


def test_the_command_writes_what_is_in_the_docs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new"
    assert main(["--out", str(new), "--only", "joint-sets", "formats", "protocols"]) == 0
    written = capsys.readouterr().out
    for name in ("joint_sets.md", "formats.md", "protocols.md"):
        assert (new / name).read_text(encoding="utf-8") == (DOCS / name).read_text(encoding="utf-8")
        assert name in written
    with Image.open(new / "joint_sets.png") as picture:
        assert picture.size == (1600, 1908)
