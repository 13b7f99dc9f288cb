"""The native label table, version 2: streamed, complete or not there, and still able to read version 1."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.files import AnnotationError
from datamodules.pseudo_gt.native import (
    LABELS_FILE,
    PROVENANCE_FILE,
    LabelError,
    LabelWriter,
    column_names,
    iter_labels,
    read_labels,
    read_provenance,
    to_arrow,
)
from datamodules.sources.label_table import open_pseudo_gt
from tests.support import old_label_tables

META = {"joint_set": "coco17", "image_root": "/data/coco", "provenance": {"checkpoint": "abc"}}


def some_rows(start, count):
    rng = np.random.default_rng(start)
    return {
        "id": [f"coco/train/{key}" for key in range(start, start + count)],
        "image": [f"{key}.jpg" for key in range(count)],
        "image_size": np.full((count, 2), 640, dtype=np.int32),
        "joints_2d": rng.normal(size=(count, 17, 3)).astype(np.float32),
        "betas": rng.normal(size=(count, 10)).astype(np.float32),
        "limit_violations": np.arange(count, dtype=np.int32),
        "prior_score": np.full(count, np.nan, dtype=np.float32),
        "refinement": ["none"] * count,
    }


def write(folder, blocks=(3, 4)):
    with LabelWriter(folder, **META) as writer:
        parts = []
        for count in blocks:
            parts.append(some_rows(writer.rows, count))
            writer.write(parts[-1])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_round_trip(tmp_path):
    written = write(tmp_path)
    table = read_labels(tmp_path)
    assert column_names(tmp_path) == list(written)
    for name, values in written.items():
        np.testing.assert_array_equal(table.columns[name], values)
        assert table.columns[name].dtype == (object if values.dtype.kind == "U" else values.dtype)
    assert (table.joint_set, table.image_root, table.frame) == ("coco17", "/data/coco", "camera")
    assert table.provenance == {"checkpoint": "abc"}
    content = json.loads((tmp_path / PROVENANCE_FILE).read_text())
    body = {"kind": "smpl", "rotations": 23, "shape": 10}
    assert content == {"version": 2, "rows": 7, "frame": "camera", "body": body, **META}


def test_rows_and_columns_are_streamed(tmp_path):
    written = write(tmp_path)
    keep = np.array([1, 0, 0, 0, 0, 0, 1], dtype=bool)
    blocks = list(iter_labels(tmp_path, rows=2, columns=["joints_2d", "id"], keep=keep))
    assert [len(block["id"]) for block in blocks] == [1, 1]
    assert set(blocks[0]) == {"joints_2d", "id"}
    joined = np.concatenate([block["joints_2d"] for block in blocks])
    np.testing.assert_array_equal(joined, written["joints_2d"][keep])
    with pytest.raises(LabelError, match="7 rows, the mask"):
        next(iter_labels(tmp_path, keep=keep[:3]))
    with pytest.raises(LabelError, match="no column transl"):
        next(iter_labels(tmp_path, columns=["transl"]))


def test_version_1_is_read(tmp_path):
    pq.write_table(to_arrow({"id": ["coco/train/1"], "betas": np.ones((1, 10))}), tmp_path / LABELS_FILE)
    meta = {"version": 1, "rows": 1, "provenance": {}}
    (tmp_path / PROVENANCE_FILE).write_text(json.dumps(meta))
    table = read_labels(tmp_path)
    assert (len(table), table.joint_set, table.image_root, table.frame) == (1, None, None, "camera")


@pytest.mark.parametrize("version", [1, 2])
def test_tables_that_older_code_wrote_are_read_as_it_wrote_them(tmp_path, version):
    folder = Path(old_label_tables.__file__).with_name(f"labels_v{version}")
    written, table = old_label_tables.columns(version), read_labels(folder)
    assert set(table.columns) == set(written) == set(column_names(folder))
    for name, values in written.items():
        np.testing.assert_array_equal(table.columns[name], np.asarray(values))
    assert read_provenance(folder)["body"] == {"kind": "smpl", "rotations": 23, "shape": 10}
    assert table.provenance["run"] == "old"
    if version == 1:
        with pytest.raises(AnnotationError, match="has no image_size, person_box, joints_2d"):
            open_pseudo_gt(str(folder), cache_dir=str(tmp_path))
        return
    people = open_pseudo_gt(str(folder), cache_dir=str(tmp_path))
    np.testing.assert_array_equal(people.column("body_pose"), written["body_pose"])
    assert people.groups().tolist() == [b"0.jpg", b"1.jpg", b"2.jpg"]


def test_a_body_that_labels_json_contradicts_is_refused(tmp_path):
    write(tmp_path)
    content = json.loads((tmp_path / PROVENANCE_FILE).read_text())
    for body, message in (({"kind": "toy", "rotations": 23, "shape": 12}, "column betas"), ({}, "labels.json")):
        (tmp_path / PROVENANCE_FILE).write_text(json.dumps({**content, "body": body}))
        with pytest.raises(LabelError, match=message):
            read_labels(tmp_path)


def test_an_error_leaves_the_older_table(tmp_path):
    write(tmp_path)
    with pytest.raises(KeyboardInterrupt), LabelWriter(tmp_path, **META) as writer:
        writer.write(some_rows(0, 1))
        raise KeyboardInterrupt
    assert len(read_labels(tmp_path)) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([LABELS_FILE, PROVENANCE_FILE])


def test_a_table_of_nobody_is_refused(tmp_path):
    with pytest.raises(LabelError, match="no label was written"), LabelWriter(tmp_path, **META):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "shape"), [("joints_2d", (2, 51)), ("betas", (2, 9)), ("error_2d", (2, 1))])
def test_wrong_shapes_are_named(name, shape):
    with pytest.raises(LabelError, match=name):
        to_arrow({name: np.zeros(shape)})


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / PROVENANCE_FILE).unlink(), "no complete labels"),
        (lambda folder: (folder / PROVENANCE_FILE).write_text("[]"), "labels.json"),
        (lambda folder: (folder / PROVENANCE_FILE).write_text('{"version": 3}'), "version 3"),
        (lambda folder: (folder / LABELS_FILE).write_bytes(b"PAR1"), "cannot be read"),
        (lambda folder: (folder / LABELS_FILE).unlink(), "cannot be read"),
        (lambda folder: pq.write_table(pa.table({"id": ["a"]}), folder / LABELS_FILE), "promises 7 rows"),
    ],
)
def test_damage_is_named(tmp_path, damage, named):
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(LabelError, match=named) as error:
        read_labels(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_provenance_of_a_world_table(tmp_path):
    with LabelWriter(tmp_path, joint_set=None, image_root=None, provenance={}, frame="world") as writer:
        writer.write({"id": ["mpi_inf_3dhp/train/1/1/0"], "frame": np.array([0]), "views": np.array([8])})
    assert read_provenance(tmp_path)["frame"] == "world"
    assert read_labels(tmp_path).columns["views"].dtype == np.int32
