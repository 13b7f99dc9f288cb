"""Exports and labels name the body, the data sets, their licences and what the annotator was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datamodules.exposure import NOTHING, Exposure, entries
from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.importing import import_labels
from datamodules.pseudo_gt.native import LabelWriter, read_labels, read_provenance
from datamodules.sources import SOURCES
from datamodules.terms import DATA_SETS, KEY, SYNTHETIC, terms_of
from tests.datamodules.pseudo_gt.conftest import random_labels


def table(folder: Path, **provenance: Any) -> Path:
    with LabelWriter(folder, joint_set="coco17", image_root=None, provenance=provenance) as writer:
        writer.write(random_labels("coco", 4, "coco17"))
    return folder


def test_every_data_set_has_terms() -> None:
    # Detections and labels are of people of the user's.
    assert set(SOURCES) - {"pseudo_gt", "detections"} <= set(DATA_SETS)
    known = terms_of("smpl", {"coco-train", "elsewhere-train", "mpii-train"}, synthetic={"mpii"})
    assert known["body"]["name"] == "SMPL" and known["sources"]["mpii"] == SYNTHETIC._asdict()
    assert "CC BY 4.0" in known["sources"]["coco"]["licence"]
    assert "unknown" in known["sources"]["elsewhere"]["licence"]
    assert terms_of("free", ())["body"]["licence"] == "Apache-2.0 and CC0-1.0"
    assert terms_of("starfish", ())["body"]["licence"].startswith("unknown to this project")


def test_an_export_has_the_terms_of_its_labels_beside_it(tmp_path: Path) -> None:
    told = {KEY: terms_of("free", {"coco-train"}), **entries(Exposure.of("coco-train"))}
    labels = table(tmp_path / "a", **told)
    export_labels(labels, "spin", tmp_path / "out.npz")
    assert json.loads((tmp_path / "out.npz.terms.json").read_text()) == told
    # A table from before names what is known of it.
    old = table(tmp_path / "b", used_3dpw_train=True, standin_body=False)
    export_labels(old, "spin", tmp_path / "old.npz")
    found = json.loads((tmp_path / "old.npz.terms.json").read_text())
    assert found[KEY]["body"]["name"] == "SMPL" and set(found[KEY]["sources"]) == {"coco", "threedpw"}
    export_labels(table(tmp_path / "c", standin_body=True), "spin", tmp_path / "older.npz")
    assert "made-up" in json.loads((tmp_path / "older.npz.terms.json").read_text())[KEY]["body"]["name"]
    assert found["exposure"] == {"trained_on": ["threedpw-train"], "not_trained_on": [], "complete": False}


def test_imported_labels_name_their_terms(tmp_path: Path) -> None:
    export_labels(table(tmp_path / "a"), "spin", tmp_path / "out.npz")
    import_labels(tmp_path / "out.npz", "spin", tmp_path / "back", "mpii", "train", None, NOTHING)
    provenance = read_provenance(tmp_path / "back")["provenance"]
    assert provenance[KEY]["sources"] == {"mpii": DATA_SETS["mpii"]._asdict()}
    assert provenance["used_3dpw_train"] is False and len(read_labels(tmp_path / "back")) == 4
