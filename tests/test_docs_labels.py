"""docs/labels.md: its reader in five lines runs, and it names every column."""

import re

import numpy as np

from body_models.rows import forms
from datamodules.pseudo_gt.native import LabelWriter
from tests.support.repository import DOCS

DOCUMENT = DOCS / "labels.md"


def test_the_five_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {"error_2d": np.array([0.05, 0.5], np.float32), "betas": np.ones((2, 10), np.float32)}
    folder = "runs/default/labels/coco-train"
    with LabelWriter(folder, joint_set="coco17", image_root="/data", provenance={"commit": "abc"}) as writer:
        writer.write({"id": ["coco/train/1", "coco/train/2"], **columns})
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert len(code.splitlines()) == 5
    names: dict = {}
    exec(code, names)
    assert names["good"].index.tolist() == ["coco/train/1"]
    assert names["good"].betas.iloc[0].tolist() == [1] * 10
    assert names["origin"]["provenance"] == {"commit": "abc"}


def test_every_column_is_described():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in forms("labels"):
        assert re.search(rf"\b{name}\b", text), name
