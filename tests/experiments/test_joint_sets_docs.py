"""docs/joint_sets.md is what the code says, and the command writes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from experiments.joint_sets import PICTURE, TEXT, joint_sets_text, main

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_docs_are_up_to_date() -> None:
    assert (DOCS / TEXT).read_text(encoding="utf-8") == joint_sets_text(), "run python -m experiments.joint_sets"
    assert (DOCS / PICTURE).stat().st_size < 400_000


def test_what_is_compared_otherwise_is_named() -> None:
    text = joint_sets_text()
    for line in (
        "| 11 | left_hip | lsp_left_hip | `J_regressor_extra` row 1 | marked on the picture",
        "| 7 | thorax | mpii_thorax | `J_regressor_extra` row 5 | at the collar bones",
        "| 15 | spine |  | left out | no regressor has its place on the spine",
        "Left out: spine, head.",
    ):
        assert line in text


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["--out", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / TEXT).read_text(encoding="utf-8") == joint_sets_text()
    with Image.open(tmp_path / "new" / PICTURE) as picture:
        assert picture.size == (1600, 1908)
    assert TEXT in capsys.readouterr().out
