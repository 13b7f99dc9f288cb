"""PeopleTable: views, caches that notice changes, and tables that travel to workers without their content."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from body_models.joint_sets import COCO17
from datamodules.columns import build_or_open, open_columns
from datamodules.dataset import PeopleDataset
from datamodules.files import AnnotationError, ImageError, MissingFilesError
from datamodules.people import PeopleBuilder, PeopleTable, hull_box
from datamodules.sources.coco import open_coco
from datamodules.sources.label_table import attach_labels


@pytest.fixture
def coco(coco_root: Path, tmp_path: Path) -> PeopleTable:
    return open_coco(str(coco_root), "train", str(tmp_path / "cache"))


def test_a_table_is_read_once_and_again_when_its_file_changes(coco_root: Path, tmp_path: Path) -> None:
    cache, path = str(tmp_path / "cache"), coco_root / "annotations/person_keypoints_train2017.json"
    first = open_coco(str(coco_root), "train", cache)
    assert open_coco(str(coco_root), "train", cache).folder == first.folder
    content = json.loads(path.read_text())
    content["annotations"] = content["annotations"][:4]
    path.write_text(json.dumps(content))
    assert len(open_coco(str(coco_root), "train", cache)) == 4
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert open_coco(str(coco_root), "train", cache).folder != first.folder
    # Whoever has the old one open goes on reading it.
    assert len(first) == 12
    _, meta = open_columns(first.folder)
    assert len(meta["sources"][0]["sha256"]) == 64


def test_an_interrupted_or_simultaneous_build_leaves_one_whole_folder(tmp_path: Path) -> None:
    def fail() -> tuple:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_or_open(tmp_path, "table", [], {}, 1, fail)
    assert list(tmp_path.iterdir()) == []
    columns = {"x": np.arange(5)}
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(build_or_open, tmp_path, "table", [], {}, 1, lambda: (columns, {})) for _ in range(8)]
    assert len({job.result() for job in jobs}) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_views_count_what_they_leave_out(coco: PeopleTable) -> None:
    view = coco.select(coco.labelled_joints() > 0, "no joints").select(np.array([5, 1]))
    assert view.ids() == ["coco/train/1006", "coco/train/1001"]
    assert view.dropped == {"crowd, not one person": 1, "no joints": 1}
    assert coco.dropped == {"crowd, not one person": 1}


def test_a_table_travels_as_its_path(coco: PeopleTable) -> None:
    data = pickle.dumps(coco.select(np.array([3, 2])))
    assert len(data) < 1000
    assert pickle.loads(data).ids() == ["coco/train/1003", "coco/train/1002"]
    assert not coco.columns["joints_2d"].flags.writeable


def test_missing_images_are_named(coco: PeopleTable, coco_root: Path) -> None:
    image = coco_root / "train2017" / "000000000003.jpg"
    image.unlink()
    missing, paths = coco.missing_images()
    assert paths == [image]
    assert np.flatnonzero(missing).tolist() == [4, 5]


def test_labels_are_attached_by_id(coco: PeopleTable, tmp_path: Path, write_labels: Callable) -> None:
    cache = str(tmp_path / "cache")
    folder, values = write_labels(["coco/train/1009", "coco/train/1002", "coco/train/1003", "mpii/train/4"])
    labelled = attach_labels(coco, str(folder), cache)
    assert labelled.ids() == ["coco/train/1002", "coco/train/1003", "coco/train/1009"]
    for name, value in values.items():
        np.testing.assert_array_equal(labelled.column(name), value[[1, 2, 0]])
    assert labelled.dropped == {"crowd, not one person": 1, "label of nobody here": 1, "no label": 9}
    np.testing.assert_array_equal(labelled.column("joints_2d"), coco.column("joints_2d")[[2, 3, 9]])
    assert labelled.origin == coco.origin
    few = attach_labels(coco.select(np.array([2, 4])), str(folder), cache)
    assert few.ids() == ["coco/train/1002"]


def test_labels_of_other_people_or_none_are_refused(coco: PeopleTable, tmp_path: Path, write_labels: Callable) -> None:
    cache = str(tmp_path / "cache")
    with pytest.raises(MissingFilesError, match=r"labels-00000.parquet. Run the dump(.|\n)*labels.json"):
        attach_labels(coco, str(tmp_path), cache)
    folder, _ = write_labels(["mpii/train/4"])
    with pytest.raises(AnnotationError, match="none of its 1 labels is of the people of coco-train"):
        attach_labels(coco, str(folder), cache)
    pq.write_table(pa.table({"id": ["coco/train/1002"]}), folder / "labels-00000.parquet")
    with pytest.raises(AnnotationError, match="columns id, global_orient"):
        attach_labels(coco, str(folder), cache)


def _builder(root: Path) -> PeopleBuilder:
    return PeopleBuilder("coco", "train", COCO17, root)


def test_a_built_table_is_what_was_added_over_many_blocks(tmp_path: Path) -> None:
    people, rng = _builder(tmp_path), np.random.default_rng(0)
    added = []
    for number in range(2 * 4096 + 7):
        row = {
            "image": f"{number % 9:x}.jpg",
            "image_size": (640, 480 + number % 5),
            "box": (*rng.uniform(0, 200, 2), 60, 70),
            "joints_2d": rng.uniform(0, 400, (17, 3)),
            "frame": number,
            "sequence": f"s{number % 3}",
            "valid": number % 2 == 0,
        }
        people.add(number, **row)
        added.append(row)
    people.add(5, **added[5])
    people.add(-1, **{**added[5], "box": (0, 0, np.nan, 1)})
    people.add(-2, **{**added[5], "box": (700, 0, 10, 10)})
    arrays, meta = people.finish()
    assert meta["dropped"] == {
        "id occurs twice": 1, "box is not finite": 1, "box has no area inside the image": 1
    }  # fmt: skip
    assert arrays["id"].tolist() == [f"coco/train/{number}".encode() for number in range(len(added))]
    for name in added[0]:
        expected = np.array([row[name] for row in added])
        if expected.dtype.kind == "U":
            expected = np.char.encode(expected)
        np.testing.assert_array_equal(arrays[name], expected.astype(arrays[name].dtype), err_msg=name)
    assert {name: array.dtype.str for name, array in arrays.items() if name in ("box", "image_size", "frame")} == {
        "box": "<f4", "image_size": "<i4", "frame": "<i4"
    }  # fmt: skip
    assert arrays["valid"].dtype == bool


def test_what_is_too_large_for_its_column_is_counted(tmp_path: Path) -> None:
    people = _builder(tmp_path)
    person: dict[str, Any] = {"image": "a.jpg", "image_size": (9, 9), "box": (0, 0, 5, 5)}
    people.add(1, **person, joints_2d=np.full((17, 3), 1e300))
    people.add(2, **person, joints_2d=np.ones((17, 3)))
    people.add(3, **{**person, "box": hull_box(np.full((17, 2), np.inf), 1.2)}, joints_2d=np.ones((17, 3)))
    assert people.finish()[1]["dropped"] == {"joints_2d is not finite": 1, "box is not finite": 1}


def test_a_wrong_shape_names_person_and_column(tmp_path: Path) -> None:
    person: dict[str, Any] = {"image": "a.jpg", "image_size": (9, 9), "box": (0, 0, 5, 5)}
    with pytest.raises(
        AnnotationError, match=r"person coco/train/7: joints_2d has shape \(16, 3\), expected \(17, 3\)"
    ):
        _builder(tmp_path).add(7, **person, joints_2d=np.zeros((16, 3)))
    with pytest.raises(AnnotationError, match="no person left; dropped: none"):
        _builder(tmp_path).finish()


def test_file_names_that_are_not_utf8_are_read(coco_root: Path, tmp_path: Path) -> None:
    """From the json through the cache to the pixels, in a folder whose own name is no UTF-8 either."""
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    shutil.copytree(coco_root, root)
    path = root / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    name = os.fsdecode(b"stra\xdfe \xff.jpg")
    old = content["images"][0]["file_name"]
    (root / "train2017" / old).rename(root / "train2017" / name)
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    table = open_coco(str(root), "train", str(tmp_path / "cache"))
    row = table.column("image").tolist().index(b"stra\xdfe \xff.jpg")
    assert not table.missing_images()[0].any()
    renamed = PeopleDataset(pickle.loads(pickle.dumps(table)), "coco", 64)[row]
    plain = PeopleDataset(open_coco(str(coco_root), "train", str(tmp_path / "cache")), "coco", 64)[row]
    np.testing.assert_array_equal(renamed["image"], plain["image"])
    (root / "train2017" / name).unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        PeopleDataset(table, "coco", 64)[row]


def test_a_worker_adds_little_memory_of_its_own(tmp_path: Path) -> None:
    """A process that looks at every row of a table maps it: its private memory does not grow by the table's size."""
    rows = 150_000
    columns = {
        "id": np.char.add(b"coco/train/", np.arange(rows).astype("S")),
        "image": np.full(rows, b"a.jpg"),
        "image_size": np.full((rows, 2), 500, np.int32),
        "box": np.tile(np.float32([1, 2, 300, 200]), (rows, 1)),
        "joints_2d": np.ones((rows, 17, 3), np.float32),
    }
    meta = {"name": "coco-train", "joint_set": "coco17", "image_root": "x", "dropped": {}}
    folder = build_or_open(tmp_path, "coco", [], {}, 1, lambda: (columns, meta))
    assert sum(column.nbytes for column in columns.values()) > 35e6
    # A forked process would also count what it copies of its parent's memory, which the tests before this one grew.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before = pool.apply(_private_bytes)
        pool.apply(_look_at_all, (PeopleTable(folder),))
        assert pool.apply(_private_bytes) - before < 10e6


def _private_bytes() -> int:
    # Clean pages of mapped files are the cache of the system, which all workers share.
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))


def _look_at_all(table: PeopleTable) -> float:
    return sum(float(table.columns["joints_2d"][row].sum()) for row in table.rows)


def test_published_files_are_to_be_imported_first(coco: PeopleTable, tmp_path: Path) -> None:
    (tmp_path / "coco_train.json").write_text("{}")
    with pytest.raises(AnnotationError, match=r"coco_train\.json is a file.*experiments import-labels"):
        attach_labels(coco, str(tmp_path / "coco_train.json"), str(tmp_path / "cache"))
