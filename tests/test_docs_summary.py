"""docs/summary.md describes what a run leaves: every file, every key."""

from __future__ import annotations

import json
import re
from pathlib import Path

from callbacks.run_summary import KEYS
from tests.support.repository import DOCS

DOC = (DOCS / "summary.md").read_text(encoding="utf-8")


def described(text: str) -> set[str]:
    """First cells of the rows of tables."""
    return {
        name for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }


def test_every_key_of_the_summary_is_described() -> None:
    assert described(DOC.partition("## summary.json")[2]) == {"schema", *KEYS}


def test_every_file_of_a_run_is_described(tiny_run: Path) -> None:
    files = described(DOC.partition("## summary.json")[0])
    hidden = {".lock"}
    for path in (tiny_run / "three").iterdir():
        name = f"{path.name}/" if path.is_dir() else path.name
        if path.name not in hidden:
            assert any(name == file or file.startswith(name) for file in files), name
    summary = json.loads((tiny_run / "three" / "summary.json").read_text())
    assert summary.keys() == {"schema", *KEYS}
    assert {"name", "auxiliary", "init", "prior"} <= summary["recipe"].keys()
    assert {"trained", "dropped"} == summary["labels"]["people"]["coco"].keys()
