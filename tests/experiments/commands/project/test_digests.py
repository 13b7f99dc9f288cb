"""The digests notice what must not change, and let pass what may."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.commands.project.digests import compare, digest_array, digest_folder, main


def _digests(values: np.ndarray) -> dict:
    return {"a": digest_array(values)}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda values: values, "equal"),
        (lambda values: values * (1 + 1e-9), "close"),
        (lambda values: values * 1.001, "different"),
        (lambda values: values[::-1], "different"),
        (lambda values: values.reshape(10, 10), "different"),
        (lambda values: np.where(np.arange(100) == 7, values + 1e-3, values), "different"),
    ],
)
def test_small_and_large_differences(change, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=100)
    assert compare(_digests(values), _digests(change(values)))[kind] == ["a"]


def test_texts_are_compared_as_they_are() -> None:
    assert compare(_digests(np.array(["a", "b"])), _digests(np.array(["a", "c"])))["different"] == ["a"]


def test_missing_and_new_names_are_told() -> None:
    found = compare({"a": digest_array(np.zeros(2))}, {"b": digest_array(np.zeros(2))})
    assert (found["missing"], found["new"]) == (["a"], ["b"])


def test_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, error in (("one", 1.0), ("two", 1.1)):
        folder = tmp_path / name / "loop"
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"error": error, "seconds": 3.0, "name": "none"}))
        (folder / "state.json").write_text(json.dumps({"pid": 7}))
        (tmp_path / f"{name}.json").write_text(json.dumps(dict(digest_folder(folder))))
    same, other = str(tmp_path / "one.json"), str(tmp_path / "two.json")
    assert main(["--compare", same, same]) == 0
    assert main(["--compare", same, other]) == 1
    assert capsys.readouterr().err == "error: different: loop/summary.json\n"
