"""Tables in Markdown keep their columns, whatever stands in the cells."""

from experiments.documents.markdown import table_lines


def test_texts_to_the_left_and_numbers_to_the_right() -> None:
    lines = table_lines(["name", "mm"], [["a|b", "1.5"]], texts=1)
    assert lines == ["| name | mm |", "| --- | ---: |", "| a\\|b | 1.5 |"]
    assert table_lines(["a", "b"], []) == ["| a | b |", "| --- | --- |"]
