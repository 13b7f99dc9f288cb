"""docs/rows.md and the table of columns in docs/labels.md are what the schema says."""

from experiments.documents.row_page import LABELS, TEXT, labels_text, rows_text
from tests.support.repository import DOCS


def test_documents_are_up_to_date() -> None:
    assert (DOCS / TEXT).read_text(encoding="utf-8") == rows_text(), "run python -m experiments docs --only rows"
    text = (DOCS / LABELS).read_text(encoding="utf-8")
    assert text == labels_text(text), "run python -m experiments docs --only rows"


def test_the_table_of_labels_is_replaced_and_nothing_else() -> None:
    text = "# Labels\n\n| column | type |\n|---|---|\n| old | x |\n\nAfter.\n\n| column | kept |\n"
    found = labels_text(text)
    assert found.startswith("# Labels\n\n| column | shape |") and "old" not in found
    assert found.endswith("\n\nAfter.\n\n| column | kept |\n")
