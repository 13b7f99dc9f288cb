"""3DPW-train: seen, not seen and not known are three things, in every table."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path

import pytest
from rich.console import Console

from experiments.comparison.tables import csv_table, latex_table, markdown_table, rich_table
from experiments.exposure import checkpoint_exposure, combined_exposure
from experiments.results.run_results import Comparison, RunResult
from experiments.stats.bootstrap import Interval

VALUES = (True, False, None)


def comparison(count: int = 3) -> Comparison:
    metrics = {"threedpw/lsp14_pa_mpjpe": Interval(100.0)}
    names = ("saw", "clean", "untold")
    runs = [RunResult(name, seed=0, metrics=metrics, used_3dpw_train=v) for name, v in zip(names, VALUES, strict=True)]
    more = [RunResult(f"more{i}", seed=0, metrics=metrics) for i in range(count - 3)]
    return Comparison("three answers", [*runs, *more])


def printed(compared: Comparison) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(rich_table(compared))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_one_who_saw_it_is_enough_and_silence_is_no_denial() -> None:
    for told in itertools.product(VALUES, repeat=2):
        seen = any(one is True for one in told)
        assert combined_exposure(told) is (True if seen else None if any(one is None for one in told) else False)
    assert combined_exposure([]) is False


def test_every_table_tells_unknown_from_clean() -> None:
    compared = comparison()
    rows = {row["label"]: row["used_3dpw_train"] for row in csv.DictReader(io.StringIO(csv_table(compared)))}
    assert rows == {"saw": "True", "clean": "False", "untold": "unknown"}
    lines = {line.split(" | ")[0].strip("| "): line for line in markdown_table(compared).splitlines()}
    assert "| 3DPW-train |" in lines["saw"] and "3DPW-train" not in lines["clean"]
    assert "| 3DPW-train: unknown |" in lines["untold"]
    assert any("Not known whether" in caveat and '"untold"' in caveat for caveat in compared.caveats())
    latex = latex_table(compared)
    assert r"saw$^\dagger$" in latex and "untold$^?$" in latex and "clean &" in latex
    assert "$^?$not known whether trained" in latex
    assert "3DPW-train: unknown" in printed(compared)


def test_long_tables_have_marks_and_footnotes() -> None:
    text = printed(comparison(8))
    assert "saw*" in text and "untold?" in text and "clean " in text
    assert "* trained with help of 3DPW's training set" in text and "? not known whether trained" in text
    clean = Comparison("clean", [RunResult("clean", seed=0, metrics={"threedpw/lsp14_pa_mpjpe": Interval(1.0)})])
    assert "3DPW-train" not in printed(clean) and "?" not in printed(clean)


@pytest.mark.parametrize(
    ("summary", "saw"),
    [({"used_3dpw_train": True}, True), ({"used_3dpw_train": False}, False), ({"used_3dpw_train": None}, None),
     ({}, None), ([], None), (None, None)],
)  # fmt: skip
def test_checkpoint_is_what_its_run_says(tmp_path: Path, summary: object, saw: bool | None) -> None:
    if summary is not None:
        (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert checkpoint_exposure(tmp_path / "annotate" / "last.ckpt") is saw
