"""ARCHITECTURE.md says where the tests of each module are: at its own path, or in its table."""

from __future__ import annotations

import re

from experiments.cli import PACKAGES
from tests.support.repository import ROOT

_TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _listed() -> dict[str, list[str]]:
    """Module -> the test files that the table names for it."""
    rows = re.findall(r"^\| `([\w/]+/)`: (.+?) \| (.+) \|$", _TEXT, re.MULTILINE)
    return {
        f"{folder}{name}.py": re.findall(r"`([\w/.]+)`", tests)
        for folder, names, tests in rows
        for name in re.findall(r"`(\w+)`", names)
    }


def test_every_module_has_tests_that_are_found() -> None:
    modules = [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    alone = {
        module.as_posix()
        for module in modules
        if not (ROOT / "tests" / module.with_name(f"test_{module.name}")).is_file()
    }
    listed = _listed()
    assert alone == set(listed)
    assert [name for names in listed.values() for name in names if not (ROOT / name).is_file()] == []
