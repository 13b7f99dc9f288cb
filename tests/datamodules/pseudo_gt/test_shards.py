"""The label table: shards become one verified table, whatever order the processes wrote in."""

import numpy as np
import pytest

from datamodules.pseudo_gt import shards
from datamodules.pseudo_gt.native import LabelError, iter_labels, read_labels
from datamodules.pseudo_gt.shards import ShardWriter, merge_shards


def label_columns(ids, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {"box": 4, "global_orient": 3, "body_pose": 69, "betas": 10, "transl": 3, "focal": 2, "princpt": 2}
    # Values depend on the id alone, so that a row in the wrong place shows.
    table = rng.normal(size=(10_000, 100)).astype(np.float32)
    keys = [int(name.split("/")[2]) for name in ids]
    columns, start = {}, 0
    for name, size in sizes.items():
        columns[name] = table[keys, start : start + size]
        start += size
    columns["error_2d"] = table[keys, start]
    columns["visible_joints"] = np.array(keys, dtype=np.int32)
    return {"id": np.array(ids, dtype=str), "gender": np.full(len(ids), "neutral"), **columns}


def write_shards(folder, ids, ranks=2, flush=5):
    for rank in range(ranks):
        writer = ShardWriter(folder, rank)
        mine = ids[rank::ranks]
        for start in range(0, len(mine), flush):
            writer.write(label_columns(mine[start : start + flush]))
        writer.close()


IDS = [f"coco/train/{key}" for key in (7, 3, 9, 1, 4, 100, 22, 5, 8, 2, 61, 60, 59)]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_merge_restores_the_data_sets_order(tmp_path, monkeypatch, ranks):
    monkeypatch.setattr(shards, "BLOCK_ROWS", 4)
    write_shards(tmp_path, IDS, ranks)
    merge_shards(tmp_path, IDS, {"checkpoint": "abc"}, images=[f"{name}.jpg" for name in IDS])
    table = read_labels(tmp_path)
    assert table.columns["id"].tolist() == IDS
    assert table.columns["image"].tolist() == [f"{name}.jpg" for name in IDS]
    assert table.provenance == {"checkpoint": "abc"}
    for name, values in label_columns(IDS).items():
        np.testing.assert_array_equal(table.columns[name], values)
    streamed = [part["id"] for part in iter_labels(tmp_path, rows=4)]
    assert np.concatenate(streamed).tolist() == IDS
    assert table.rows_of(["coco/train/9", "coco/train/0"]).tolist() == [2, -1]
    assert not (tmp_path / ".shards").exists()


@pytest.mark.parametrize(
    ("written", "named"),
    [
        (IDS[:-2], "2 missing (coco/train/60, coco/train/59)"),
        ([*IDS, IDS[-1]], "1 more than once (coco/train/59)"),
        ([*IDS, "coco/train/77"], "1 not in the data set (coco/train/77)"),
        ([], "missing"),
    ],
)
def test_wrong_people_are_named_and_leave_no_table(tmp_path, written, named):
    write_shards(tmp_path, written)
    with pytest.raises(LabelError) as error:
        merge_shards(tmp_path, IDS, {})
    assert named in str(error.value)
    with pytest.raises(LabelError, match="no complete labels"):
        read_labels(tmp_path)


def test_shuffled_shard_is_refused(tmp_path):
    write_shards(tmp_path, IDS[::-1], ranks=1)
    with pytest.raises(LabelError, match="order"):
        merge_shards(tmp_path, IDS, {})


def test_unfinished_shard_does_not_count(tmp_path):
    writer = ShardWriter(tmp_path, 0)
    writer.write(label_columns(IDS))  # killed before close()
    with pytest.raises(LabelError, match="13 missing"):
        merge_shards(tmp_path, IDS, {})


def test_row_of_wrong_length_is_named(tmp_path):
    columns = label_columns(IDS)
    columns["betas"] = columns["betas"][:, :9]
    with pytest.raises(LabelError, match="betas"):
        ShardWriter(tmp_path, 0).write(columns)
