"""What docs/rows.md holds, and the table of columns in docs/labels.md: the schema of a person's row."""

from __future__ import annotations

import re

from body_models.rows import markdown

TEXT, LABELS = "rows.md", "labels.md"

_SECTIONS = {
    "people": "A people table: what readers make of data sets (`datamodules/people.py`)",
    "labels": "A label table: what annotators write ([labels.md](labels.md))",
    "batch": "A batch: what networks see (`body_models/contracts.py`)",
}
# The table of columns in labels.md, from its head to the line after its end.
_TABLE = re.compile(r"^\| column \|.*?\n(?=\n)", re.MULTILINE | re.DOTALL)


def rows_text() -> str:
    """The whole of docs/rows.md."""
    lines = [
        "# A person's row",
        "",
        "Written by `python -m experiments docs --only rows` from `body_models/rows.py`; a test keeps them equal.",
        "",
        "The same person is a row of a people table, of a label table and of a batch. Shapes are of one person: K",
        "joints of the data set, J body joints, R rotations besides the root's, S numbers of shape (SMPL: J 71, R 23,",
        "S 10), L numbers of a prior's code, H and W pixels of a crop. Camera frames have x right, y down, z forward.",
    ]
    for place, title in _SECTIONS.items():
        lines += ["", f"## {title}", "", *markdown(place)]  # type: ignore[arg-type]
    return "\n".join(lines) + "\n"


def labels_text(text: str) -> str:
    """docs/labels.md with the table of its columns as the schema says."""
    return _TABLE.sub(lambda _: "\n".join(markdown("labels")) + "\n", text, count=1)
