"""All formats at once: what is listed, documented, chosen in settings, and checked after an export."""

import numpy as np
import pytest

from datamodules.pseudo_gt import formats
from datamodules.pseudo_gt.formats import FORMATS, export_labels, list_formats, read_published, schemas
from datamodules.pseudo_gt.formats.meshes import MESH_FORMATS
from datamodules.pseudo_gt.native import LabelError
from experiments.settings.schema import LABEL_FORMATS
from tests.support.repository import DOCS


def test_settings_know_all_formats():
    assert tuple(FORMATS) == LABEL_FORMATS


def test_the_document_is_what_the_code_says():
    path = DOCS / "formats.md"
    assert path.read_text(encoding="utf-8") == schemas() + "\n", "run python -m experiments docs"


def test_the_list_names_each():
    lines = list_formats().splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*FORMATS, *MESH_FORMATS]


def test_only_some_people_are_read_back(labels, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "CHECKED_PEOPLE", 3)
    report = export_labels(labels[0], "spin", tmp_path / "out.npz")
    assert (report.people, report.checked) == (6, 3)
    assert "3 of them, evenly chosen," in report.lines()[1]


def test_large_shapes_are_written_and_counted(make_labels, tmp_path):
    betas = np.zeros((6, 10), dtype=np.float32)
    betas[[1, 4], 3] = [3.5, -4.0]
    report = export_labels(make_labels(betas=betas), "hmr2", tmp_path / "out.npz")
    assert report.large_betas == 2
    assert "2 people have a |beta| above 3" in report.lines()[-1]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["betas"], betas)


def test_a_file_that_is_too_inexact_is_an_error(labels, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MAX_PIXELS", 0.0)
    with pytest.raises(LabelError, match="does not come back as exactly"):
        export_labels(labels[0], "neuralannot", tmp_path / "out.json")


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "neuralannot_mocap"])
def test_other_files_are_refused_by_name(tmp_path, format):
    with pytest.raises(LabelError, match="there is no such file"):
        read_published(tmp_path / "nothing", format, "coco", "train")
    path = tmp_path / "other.npz"
    np.savez(path, something=np.zeros(3))
    with pytest.raises(LabelError, match=r"other\.npz"):
        read_published(path, format, "coco", "train")


def test_unknown_formats_are_named(labels, tmp_path):
    with pytest.raises(LabelError, match="unknown format 'smplx': one of neuralannot"):
        export_labels(labels[0], "smplx", tmp_path / "out")


def test_numbers_too_large_for_a_table_are_refused(labels, tmp_path):
    export_labels(labels[0], "spin", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    file["center"][2] = 1e300
    np.savez(tmp_path / "huge.npz", **file)
    with pytest.raises(LabelError, match=r"huge\.npz: the numbers that make box are too large to be true"):
        read_published(tmp_path / "huge.npz", "spin", "coco", "train")
