"""EMDB: every column, both parts, each gender, and each fault."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from body_models.contracts import GENDERS
from body_models.safe_pickle import ModelFileError
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources import open_source
from datamodules.sources.emdb import open_emdb
from tests.support.emdb_files import BAD, FRAMES, INTRINSICS, SIZE, data_file, posed, sequence_content, write_emdb

WALK = ("P0", "00_walk")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_emdb(tmp_path / "emdb")
    return tmp_path / "emdb"


def table_of(root: Path, split: str = "emdb1") -> PeopleTable:
    return open_emdb(str(root), split, str(root.parent / "cache"))


def put(root: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = data_file(root, *WALK)
    content = sequence_content(*WALK, "female", True, False)
    change(content)
    path.write_bytes(pickle.dumps(content))
    return path


def test_every_column(root: Path) -> None:
    table = table_of(root)
    good = [frame for frame in range(FRAMES) if frame != BAD]
    assert table.ids() == [f"emdb/emdb1/{name}/{frame}" for name in ("P0_00_walk", "P3_31_sit") for frame in good]
    assert table.dropped == {"not a good frame": 2, "sequence is not in emdb1": FRAMES}
    content = sequence_content(*WALK, "female", True, False)
    for row, frame in enumerate(good):
        column = {name: table.column(name)[row] for name in table.columns}
        assert column["image"].decode() == f"P0/00_walk/images/{frame:05d}.jpg" and column["frame"] == frame
        assert column["sequence"].decode() == "P0_00_walk" and GENDERS[column["gender"]] == "female"
        assert column["image_size"].tolist() == list(SIZE)
        x1, y1, x2, y2 = content["bboxes"]["bboxes"][frame]
        np.testing.assert_allclose(column["box"], [x1, y1, x2 - x1, y2 - y1], rtol=1e-5)
        np.testing.assert_allclose(column["joints_2d"][:, :2], content["kp2d"][frame], rtol=1e-5)
        np.testing.assert_allclose(column["camera_rotation"], content["camera"]["extrinsics"][frame, :3, :3], atol=1e-6)
        # The body in the camera's frame, projected, is where the file says that its joints are.
        pose = np.concatenate([column["global_orient"], column["body_pose"]]).astype(np.float64)[None]
        joints = posed("female", pose, column["betas"], column["transl"][None].astype(np.float64))[0, :24]
        points = joints[:, :2] / joints[:, 2:] * column["focal"] + column["princpt"]
        np.testing.assert_allclose(points, content["kp2d"][frame], atol=0.02)
        np.testing.assert_allclose(column["focal"], INTRINSICS[[0, 1], [0, 1]])


def test_a_sequence_is_in_the_parts_that_its_file_names(root: Path) -> None:
    table = open_source("emdb", str(root.parent / "cache"), root=str(root), split="emdb2")
    names = sorted({value.decode() for value in table.column("sequence").tolist()})
    assert names == ["P3_31_sit", "P9_79_run"] and table.name == "emdb-emdb2"
    assert sorted({GENDERS[number] for number in table.column("gender").tolist()}) == ["male", "neutral"]


def test_a_body_that_is_not_finite_is_counted(root: Path) -> None:
    put(root, lambda content: content["smpl"]["trans"].__setitem__((1, 0), np.nan))
    table = table_of(root)
    assert table.dropped["transl is not finite"] == 1 and len(table) == 2 * (FRAMES - 1) - 1


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no camera": lambda c: c.pop("camera"),
    "no body": lambda c: c["smpl"].pop("poses_body"),
    "another gender": lambda c: c.update(gender="m"),
    "gender in a list": lambda c: c.update(gender=["female"]),
    "fewer frames": lambda c: c["smpl"].update(trans=c["smpl"]["trans"][:3]),
    "frames": lambda c: c.update(n_frames=FRAMES + 1),
    "half a frame": lambda c: c.update(n_frames=4.5),
    "NaN frames": lambda c: c.update(n_frames=float("nan")),
    "16 betas": lambda c: c["smpl"].update(betas=np.zeros(16)),
    "no rotation": lambda c: c["camera"].update(extrinsics=np.zeros((FRAMES, 4, 4))),
    "no flag": lambda c: c.update(emdb1="yes"),
    "width": lambda c: c["camera"].update(width="wide"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_names_the_file(root: Path, fault: str) -> None:
    path = put(root, FAULTS[fault])
    with pytest.raises(AnnotationError, match=rf"{path.name} is not a sequence of EMDB .*eth-ait"):
        table_of(root)


def test_files_that_are_no_data_are_refused(root: Path) -> None:
    path = data_file(root, *WALK)
    path.write_bytes(b"not a pickle")
    with pytest.raises(ModelFileError, match=path.name):
        table_of(root)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(AnnotationError, match="is not a sequence of EMDB"):
        table_of(root)


def test_missing_files_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"EMDB: looked for .*nowhere/P\*/\*/\*_data.pkl"):
        table_of(tmp_path / "nowhere")
    for subject in ("P0", "P3"):
        shutil.rmtree(next((root / subject).glob("*/images")))
    with pytest.raises(MissingFilesError, match="P0/00_walk/images") as caught:
        table_of(root)
    assert len(caught.value.missing) == 2
    with pytest.raises(AnnotationError, match="'test' is not one of emdb1, emdb2"):
        table_of(root, "test")
