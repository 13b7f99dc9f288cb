"""PeopleTable: views, caches that notice changes, and tables that travel to workers without their content."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.columns import build_or_open, open_columns
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources.coco import open_coco
from datamodules.sources.pseudo_gt import attach_labels


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
