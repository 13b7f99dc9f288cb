"""summary.json holds exactly the schema's keys, and only what JSON knows."""

import json

import pytest

from callbacks.run_summary import write_summary


def content():
    return {
        "label": "three", "recipe": {"name": "three"}, "seed": 0, "is_free_body": True, "synthetic": True,
        "exposure": {}, "used_3dpw_train": True,
        "samples_seen": {"annotate": 96_000}, "seconds": {}, "versions": {}, "labels": None,
        "metrics": {"pa_mpjpe": {"value": 90.0, "low": float("nan"), "high": float("inf")}},
    }  # fmt: skip


def test_infinite_numbers_become_null(tmp_path):
    read = json.loads(write_summary(tmp_path, content()).read_text())
    assert read["schema"] == 1
    assert read["metrics"]["pa_mpjpe"] == {"value": 90.0, "low": None, "high": None}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_missing_and_unknown_keys_are_named(tmp_path):
    wrong = content()
    wrong["sead"] = wrong.pop("seed")
    with pytest.raises(ValueError, match=r"missing keys \['seed'\], unknown keys \['sead'\]"):
        write_summary(tmp_path, wrong)
