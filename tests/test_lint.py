"""The lint rules that the tests rely on: no broad except, which would hide what is wrong with a user's file."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PACKAGES = ("body_models", "datamodules", "lightning_modules", "callbacks", "experiments")


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_only_named_errors_are_caught(tmp_path: Path) -> None:
    check = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "BLE,E722"]
    # Nor is the rule switched off where files are read; processes.py alone has to hand every error to all ranks.
    for where in (PACKAGES, (*PACKAGES[:4], "--ignore-noqa")):
        done = subprocess.run([*check, *where], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    (tmp_path / "broad.py").write_text("try:\n    f()\nexcept Exception:\n    pass\n")
    assert subprocess.run([*check, str(tmp_path)], cwd=ROOT, capture_output=True).returncode == 1


def test_no_console_turns_what_it_is_told_into_pictures() -> None:
    """Rich makes an emoji of a path such as ``kind:x:``."""
    sources = [path.read_text(encoding="utf-8") for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    consoles = [call for text in sources for call in re.findall(r"\bConsole\(([^()]*)\)", text)]
    assert len(consoles) >= 5 and all("emoji=False" in call for call in consoles)
