"""3DPW-train: seen, not seen and not known are three things, in every table."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path

import pytest
from rich.console import Console

from datamodules.exposure import NOTHING, UNKNOWN, Exposure, combined, entries, read_exposure
from experiments.comparison.tables import csv_table, latex_table, markdown_table, rich_table
from experiments.exposure import checkpoint_exposure
from experiments.results.run_results import Comparison, RunResult
from experiments.stats.bootstrap import Interval

VALUES = (True, False, None)


def told(saw: bool | None) -> Exposure:
    return Exposure.told("threedpw-train", saw)


def comparison(count: int = 3) -> Comparison:
    metrics = {"threedpw/lsp14_pa_mpjpe": Interval(100.0)}
    names = ("saw", "clean", "untold")
    runs = [RunResult(name, seed=0, metrics=metrics, exposure=told(v)) for name, v in zip(names, VALUES, strict=True)]
    more = [RunResult(f"more{i}", seed=0, metrics=metrics) for i in range(count - 3)]
    return Comparison("three answers", [*runs, *more])


def printed(compared: Comparison) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(rich_table(compared))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_one_who_saw_it_is_enough_and_silence_is_no_denial() -> None:
    for words in itertools.product(VALUES, repeat=2):
        seen = any(one is True for one in words)
        expected = True if seen else None if any(one is None for one in words) else False
        assert combined(map(told, words)).saw_training_of() is expected
    assert combined([]) == NOTHING and NOTHING.saw("coco-train") is False and UNKNOWN.saw("coco-train") is None


def test_splits_are_kept_apart() -> None:
    known, clean = Exposure.of("coco-train", "threedpw-train"), told(False)
    assert known.saw("coco-train") and known.saw("mpii-train") is False
    assert clean.saw("threedpw-train") is False and clean.saw("mpii-train") is None
    both = Exposure.of("mpii-train") | clean
    assert both.saw("mpii-train") and both.saw("threedpw-train") is False and both.saw("coco-train") is None
    assert (known | clean).saw("threedpw-train") and not (known | clean).denied


def test_files_of_this_version_and_from_before_are_read() -> None:
    for exposure in (NOTHING, UNKNOWN, told(True), told(False), Exposure.of("coco-train") | told(False)):
        content = json.loads(json.dumps(entries(exposure)))
        assert read_exposure(content) == exposure
        assert content["used_3dpw_train"] is exposure.saw_training_of()
        before = {"used_3dpw_train": content["used_3dpw_train"]}
        assert read_exposure(before).saw_training_of() is exposure.saw_training_of()
    for damaged in ({"exposure": {}}, {"exposure": {"trained_on": 7, "not_trained_on": [], "complete": True}}):
        assert read_exposure(damaged) == UNKNOWN
    assert read_exposure({"used_3dpw_train": "yes"}) == UNKNOWN == read_exposure({})


def test_another_benchmark_is_told_where_runs_are_judged_on_it() -> None:
    metrics = {"human36m/p2_pa_mpjpe": Interval(60.0)}
    studio = RunResult("studio", seed=0, metrics=metrics, exposure=Exposure.of("human36m-train"))
    wild = RunResult("wild", seed=0, metrics=metrics, exposure=told(False))
    caveats = Comparison("two", [studio, wild]).caveats()
    assert any("Human3.6M's training set, and judged on Human3.6M's test set: \"studio\"." in text for text in caveats)
    assert any("Not known" in text and "Human3.6M" in text and '"wild"' in text for text in caveats)
    assert not any("3DPW" in text for text in caveats)


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
    assert checkpoint_exposure(tmp_path / "annotate" / "last.ckpt").saw_training_of() is saw
