"""docs/index.md leads to every page, and what it says to type exists."""

from __future__ import annotations

import re

import pytest

from experiments.commands import COMMANDS
from experiments.settings.loading import CONFIGS
from experiments.settings.schema import OPTIONS
from tests.support.repository import DOCS, ROOT

PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md"])
_INDEX = (DOCS / "index.md").read_text(encoding="utf-8")


def anchors_of(text: str) -> set[str]:
    """What a heading is called in a link, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w.]+\.md)", _INDEX))
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} == linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for place, anchor in re.findall(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)", text):
        target = page.parent / place if place else page
        known = not anchor or target.suffix != ".md" or anchor[1:] in anchors_of(target.read_text(encoding="utf-8"))
        broken += [place + anchor] * (not target.exists() or not known)
    assert broken == []


def test_what_it_says_to_type_exists() -> None:
    codes = re.findall(r"`([^`]+)`", _INDEX)
    keys = [key for code in codes for key in re.findall(r"(?:^| )([a-z_]+\.[\w.]+)=", code)]
    assert len(keys) >= 4 and set(keys) <= set(OPTIONS)
    experiments = [name for code in codes for name in re.findall(r"experiment=(\w+)", code)]
    assert experiments and all((CONFIGS / "experiments" / f"{name}.yaml").is_file() for name in experiments)
    commands = [code.split()[0] for code in codes if re.match(r"[a-z-]+ (LABELS|--|runs/)", code)]
    assert len(commands) >= 5 and set(commands) <= set(COMMANDS)
