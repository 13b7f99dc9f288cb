"""docs/joint_sets.md is what the code says."""

from __future__ import annotations

from experiments.documents.joint_set_page import PICTURE, TEXT, joint_sets_text
from tests.support.repository import DOCS


def test_the_docs_are_up_to_date() -> None:
    assert (DOCS / TEXT).read_text(encoding="utf-8") == joint_sets_text(), "run python -m experiments docs"
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
