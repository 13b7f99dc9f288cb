"""LSPET and HR-LSPET: every column, which image belongs to which column, and each fault."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from body_models.joint_sets import LSP14
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources.lspet import open_lspet

COUNT = 5


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not imwrite, which dies of names that are not UTF-8.
    path.write_bytes(cv2.imencode(path.suffix, np.full((150, 200, 3), 90, np.uint8))[1].tobytes())


def people() -> np.ndarray:
    """(14, 3, N): x, y and visibility; hidden joints have no position."""
    rng = np.random.default_rng(7)
    visible = rng.random((14, COUNT)) > 0.3
    points = rng.uniform(20, 140, (14, 2, COUNT)) * visible[:, None]
    return np.concatenate((points, visible[:, None]), axis=1)


def lspet(root: Path, joints: Any = None) -> Path:
    """The layout of lspet_dataset.zip."""
    root.mkdir(exist_ok=True)
    savemat(root / "joints.mat", {"joints": people() if joints is None else joints})
    for number in range(1, COUNT + 1):
        write_image(root / f"images/im{number:05d}.jpg")
    return root


def table_of(root: Path) -> PeopleTable:
    return open_lspet(str(root), "train", str(root / "cache"))


def check(table: PeopleTable, columns: list[int]) -> None:
    joints = people()
    for row, column in enumerate(columns):
        visible = joints[:, 2, column] > 0
        expected = np.where(visible[:, None], joints[:, :, column], 0)
        np.testing.assert_allclose(table.column("joints_2d")[row], expected, rtol=1e-6)
        low, high = joints[visible, :2, column].min(0), joints[visible, :2, column].max(0)
        box = [*((low + high) / 2 - (high - low) * 0.6), *((high - low) * 1.2)]
        np.testing.assert_allclose(table.column("box")[row], box, rtol=1e-5)
    assert (table.column("image_size") == [200, 150]).all()
    assert not table.missing_images()[0].any()


def test_every_column(tmp_path: Path) -> None:
    table = table_of(lspet(tmp_path / "lspet"))
    assert table.joint_set is LSP14
    assert table.ids() == [f"lspet/train/im{number:05d}" for number in range(1, COUNT + 1)]
    assert [name.decode() for name in table.column("image")] == [f"im{n:05d}.jpg" for n in range(1, COUNT + 1)]
    assert table.dropped == {}
    check(table, list(range(COUNT)))


@pytest.mark.parametrize("place", [".", "images"])
def test_high_resolution_images_are_numbered_with_gaps(tmp_path: Path, place: str) -> None:
    savemat(tmp_path / "joints.mat", {"joints": people()})
    numbers = (2, 3, 11, 400, 9999)
    for number in reversed(numbers):
        write_image(tmp_path / place / f"im{number:05d}.png")
    table = table_of(tmp_path)
    assert table.ids() == [f"lspet/train/im{number:05d}" for number in numbers]
    check(table, list(range(COUNT)))


def test_missing_high_resolution_images_are_an_error_since_columns_go_by_order(tmp_path: Path) -> None:
    savemat(tmp_path / "joints.mat", {"joints": people()})
    for number in (2, 3, 11, 400):
        write_image(tmp_path / f"im{number:05d}.png")
    with pytest.raises(AnnotationError, match=r"joints\.mat has 5 people, but there are 4 images im\*\.png"):
        table_of(tmp_path)


def test_images_that_are_nowhere_are_told_with_a_path(tmp_path: Path) -> None:
    shutil.rmtree(lspet(tmp_path) / "images")
    with pytest.raises(MissingFilesError, match=r"joints\.mat: looked for \S+im00001\.jpg and 4 more\. Get lspet"):
        table_of(tmp_path)


def test_missing_and_truncated_images_are_counted(tmp_path: Path) -> None:
    root = lspet(tmp_path / "lspet")
    (root / "images/im00002.jpg").unlink()
    (root / "images/im00004.jpg").write_bytes(b"\xff\xd8")
    table = table_of(root)
    assert table.ids() == [f"lspet/train/im{number:05d}" for number in (1, 3, 5)]
    assert table.dropped == {"image missing or unreadable": 2}
    check(table, [0, 2, 4])
    write_image(root / "images/im00002.jpg")
    assert len(table_of(root)) == 4


def test_bad_people_are_counted_by_reason(tmp_path: Path) -> None:
    joints = people()
    joints[:, 2, 0] = 0
    joints[0, :, 1] = np.nan, 5, 1
    joints[:, :2, 2] += 5000 * joints[:, 2:, 2]
    joints[:, :, 3] = 50, 60, 1
    table = table_of(lspet(tmp_path / "lspet", joints))
    assert table.ids() == ["lspet/train/im00005"]
    assert table.dropped == {
        "no visible joint": 1, "box is not finite": 1, "box has no area inside the image": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "joints", [np.zeros((3, 14, 5)), np.zeros((14, 3)), np.zeros((16, 3, 5)), "text", np.zeros((14, 3, 2), object)]
)
def test_joints_of_another_shape_are_refused(tmp_path: Path, joints: Any) -> None:
    root = lspet(tmp_path / "lspet", joints)
    with pytest.raises(AnnotationError, match=r"joints\.mat: joints is .*, not numbers \(14, 3, N\).*Get lspet"):
        table_of(root)


@pytest.mark.parametrize("keep", [0, 100])
def test_truncated_mat_is_named(tmp_path: Path, keep: int) -> None:
    root = lspet(tmp_path / "lspet")
    (root / "joints.mat").write_bytes((root / "joints.mat").read_bytes()[:keep])
    with pytest.raises(AnnotationError, match=r"joints\.mat is not a readable MATLAB"):
        table_of(root)


def test_mat_of_another_data_set_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "joints.mat", {"RELEASE": 3})
    with pytest.raises(AnnotationError, match=r"joints\.mat has no variable joints"):
        table_of(tmp_path)


def test_order_does_not_depend_on_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    savemat(tmp_path / "joints.mat", {"joints": people()})
    for number in (2, 3, 11, 400, 9999):
        write_image(tmp_path / f"im{number:05d}.png")
    ids, listdir = table_of(tmp_path).ids(), os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path), reverse=True))
    assert open_lspet(str(tmp_path), "train", str(tmp_path / "cache2")).ids() == ids


def test_folders_that_are_not_utf8(tmp_path: Path) -> None:
    table = table_of(lspet(tmp_path / os.fsdecode(b"gru\xdfe")))
    assert not table.missing_images()[0].any()


def test_nothing_there_and_no_such_split(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"looked for .*joints\.mat\. Get lspet_dataset\.zip"):
        table_of(tmp_path)
    with pytest.raises(AnnotationError, match="no split 'test'"):
        open_lspet(str(tmp_path), "test", str(tmp_path))
