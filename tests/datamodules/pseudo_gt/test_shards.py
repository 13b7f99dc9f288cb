"""The label table: parts become one verified table, whatever order the processes wrote in."""

import numpy as np
import pytest

from body_models.joint_sets import MPII16
from datamodules.columns import build_or_open
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.pseudo_gt import shards
from datamodules.pseudo_gt.native import LabelError, iter_labels, read_labels
from datamodules.pseudo_gt.shards import DumpTable, PartWriter

KEYS = [7, 3, 9, 1, 4, 100, 22, 5, 8, 2, 61, 60, 59]
IDS = [f"mpii/train/{key}" for key in KEYS]


def label_columns(rows, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {"box": 4, "global_orient": 3, "body_pose": 69, "betas": 10, "transl": 3, "focal": 2, "princpt": 2}
    # Values depend on the row alone, so that a row in the wrong place shows.
    table = rng.normal(size=(100, 100)).astype(np.float32)
    columns, start = {}, 0
    for name, size in sizes.items():
        columns[name] = table[rows, start : start + size]
        start += size
    columns["error_2d"] = table[rows, start]
    columns["visible_joints"] = np.array(rows, dtype=np.int32)
    return {"gender": np.full(len(rows), "neutral"), **columns}


@pytest.fixture
def people(tmp_path):
    builder = PeopleBuilder("mpii", "train", MPII16, tmp_path)
    for key in KEYS:
        joints = np.full((16, 3), key, np.float32)
        builder.add(key, image=f"{key}.jpg", image_size=(640, key + 50), box=(0, 0, 9, key + 9), joints_2d=joints)
    return PeopleTable(build_or_open(tmp_path / "cache", "mpii-train", [], {}, 1, builder.finish))


def write_parts(dump, rows, ranks=2, flush=5):
    dump.open()
    for rank in range(ranks):
        writer = PartWriter(dump.folder, rank)
        mine = np.asarray(rows)[rank::ranks]
        for start in range(0, len(mine), flush):
            part = mine[start : start + flush]
            writer.write(part, label_columns(part))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_merge_restores_the_data_sets_order(tmp_path, people, monkeypatch, ranks):
    monkeypatch.setattr(shards, "BLOCK_ROWS", 4)
    dump = DumpTable(tmp_path / "table", people, {"checkpoint": "abc"})
    write_parts(dump, range(13), ranks)
    dump.merge()
    table = read_labels(tmp_path / "table")
    assert table.columns["id"].tolist() == IDS
    assert table.columns["image"].tolist() == [f"{key}.jpg" for key in KEYS]
    assert table.columns["image_size"][:, 1].tolist() == [key + 50 for key in KEYS]
    assert table.columns["person_box"][:, 3].tolist() == [key + 9 for key in KEYS]
    np.testing.assert_array_equal(table.columns["joints_2d"], people.column("joints_2d"))
    assert (table.joint_set, table.image_root) == ("mpii16", str(tmp_path))
    assert table.provenance["checkpoint"] == "abc"
    for name, values in label_columns(np.arange(13)).items():
        np.testing.assert_array_equal(table.columns[name], values)
    streamed = [part["id"] for part in iter_labels(tmp_path / "table", rows=4)]
    assert np.concatenate(streamed).tolist() == IDS
    assert not (tmp_path / "table" / ".shards").exists()


def test_a_view_of_the_people_gets_labels_of_its_own(tmp_path, people):
    view = people.select(np.array([2, 5, 11]))
    dump = DumpTable(tmp_path / "table", view, {})
    assert dump.rows_of([IDS[11], IDS[2]]).tolist() == [2, 0]
    write_parts(dump, range(3))
    dump.merge()
    assert read_labels(tmp_path / "table").columns["id"].tolist() == [IDS[2], IDS[5], IDS[11]]


@pytest.mark.parametrize(
    ("written", "named", "kept"),
    [
        (range(11), "2 missing (mpii/train/60, mpii/train/59)", True),
        ([*range(13), 12], "1 more than once (mpii/train/59)", False),
        ([], "13 missing (mpii/train/7, mpii/train/3, mpii/train/9, mpii/train/1, mpii/train/4, ...)", False),
    ],
)
def test_wrong_people_are_named_and_leave_no_table(tmp_path, people, written, named, kept):
    dump = DumpTable(tmp_path / "table", people, {})
    write_parts(dump, written)
    with pytest.raises(LabelError) as error:
        dump.merge()
    assert named in str(error.value)
    assert bool(dump.parts) is kept
    with pytest.raises(LabelError, match="no complete labels"):
        read_labels(tmp_path / "table")


def test_shuffled_part_is_refused(tmp_path, people):
    dump = DumpTable(tmp_path / "table", people, {})
    write_parts(dump, range(12, -1, -1), ranks=1)
    with pytest.raises(LabelError, match="do not shuffle"):
        dump.merge()


def test_strangers_are_named(tmp_path, people):
    with pytest.raises(LabelError, match=r"2 not in the data set \(mpii/train/77, mpii/train/\)"):
        DumpTable(tmp_path / "table", people, {}).rows_of([IDS[3], "mpii/train/77", "mpii/train/"])


def test_unfinished_part_does_not_count(tmp_path, people):
    dump = DumpTable(tmp_path / "table", people, {}, key=1)
    write_parts(dump, range(5), ranks=1)
    (dump.folder / ".shards" / "shard-00000-00001.tmp").write_bytes(b"half")
    assert dump.finished().sum() == 5
    dump.open()
    assert [path.name for path in (dump.folder / ".shards").iterdir() if path.suffix == ".tmp"] == []
    assert dump.finished().sum() == 5


def test_parts_of_a_second_start_follow_those_of_the_first(tmp_path, people):
    dump = DumpTable(tmp_path / "table", people, {}, key=1)
    write_parts(dump, range(5), ranks=1)
    write_parts(dump, range(5, 13), ranks=1)
    assert [path.stem for path in dump.parts] == ["shard-00000-00000", "shard-00000-00001", "shard-00000-00002"]
    dump.merge()
    assert len(read_labels(dump.folder)) == 13


def test_row_of_wrong_length_is_named(tmp_path):
    columns = label_columns(np.arange(3))
    columns["betas"] = columns["betas"][:, :9]
    with pytest.raises(LabelError, match="betas"):
        PartWriter(tmp_path, 0).write(np.arange(3), columns)
