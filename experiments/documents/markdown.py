"""Tables in Markdown, for every page and document that has some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int | None = None) -> list[str]:
    """Lines of a table: its header, its rule and its rows.

    Args:
        header: names of the columns.
        rows: as many cells each.
        texts: how many columns hold text; those behind them hold numbers and stand at the right. None: all hold text.
    """
    count = len(header) if texts is None else texts
    rule = ["---"] * count + ["---:"] * (len(header) - count)
    return [_line(header), _line(rule), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
