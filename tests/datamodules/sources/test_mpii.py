"""MPII: its three layouts give the same table, and each fault."""

from __future__ import annotations

import codecs
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources import mpii
from datamodules.sources.mpii import open_mpii

MAT = "mpii_human_pose_v1_u12_1.mat"
COLUMNS = ("image", "image_size", "box", "joints_2d")


def table_of(root: Path) -> PeopleTable:
    return open_mpii(str(root), "train", str((root if root.is_dir() else root.parent) / "cache"))


def annotated(root: Path) -> list[tuple[str, np.ndarray]]:
    """Image and (16, 3) joints of everyone with annopoints in a training image of the .mat, pixels from 1."""
    release = loadmat(root / MAT, struct_as_record=False, squeeze_me=True)["RELEASE"]
    people = []
    for image, is_train in zip(release.annolist, release.img_train, strict=True):
        for person in np.atleast_1d(image.annorect) if is_train else []:
            if not hasattr(person, "annopoints"):
                continue
            joints = np.zeros((16, 3))
            for point in np.atleast_1d(person.annopoints.point):
                joints[point.id] = point.x, point.y, 1
            people.append((image.image.name, joints))
    return people


def hrnet(people: list[tuple[str, np.ndarray]]) -> list[dict[str, Any]]:
    """The list of HRNet's json."""
    return [
        {
            "image": name, "center": [60.0, 70.0], "scale": 1.5, "joints_vis": joints[:, 2].astype(int).tolist(),
            "joints": np.where(joints[:, 2:] > 0, joints[:, :2].round(4), -1.0).tolist(),
        }
        for name, joints in people
    ]  # fmt: skip


def coco_style(people: list[tuple[str, np.ndarray]]) -> dict[str, Any]:
    """The COCO-style train.json, by the rules of the script that made it."""
    images = {name: {"id": i, "file_name": f"images/{name}", "width": 320, "height": 240} for i, (name, _) in
              enumerate(dict(people).items())}  # fmt: skip
    annotations: list[dict[str, Any]] = []
    for name, joints in people:
        shown = joints[joints[:, 2] > 0, :2]
        (x1, y1), (x2, y2) = shown.min(0), shown.max(0)
        w, h = x2 - x1 - 1, y2 - y1 - 1
        if w <= 0 or h <= 0:
            continue
        box = [(x1 + x2) / 2 - w / 2 * 1.2, (y1 + y2) / 2 - h / 2 * 1.2, w * 1.2, h * 1.2]
        person = {"id": len(annotations), "image_id": images[name]["id"], "bbox": box, "category_id": 1, "iscrowd": 0}
        annotations.append({**person, "keypoints": joints.ravel().tolist(), "num_keypoints": len(shown)})
    return {"images": list(images.values()), "annotations": annotations, "categories": []}


def put(root: Path, name: str, content: Any) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def assert_same(table: PeopleTable, other: PeopleTable) -> None:
    assert table.ids() == other.ids()
    for name in COLUMNS:
        if table.column(name).dtype.kind == "S":
            np.testing.assert_array_equal(table.column(name), other.column(name))
        else:
            np.testing.assert_allclose(table.column(name), other.column(name), atol=2e-4)


def test_every_column_of_the_mat(mpii_root: Path) -> None:
    table = table_of(mpii_root)
    assert table.ids() == ["mpii/train/0", "mpii/train/1", "mpii/train/2", "mpii/train/3"]
    assert [name.decode() for name in table.column("image")] == [f"images/{i:09d}.jpg" for i in (0, 0, 1, 5)]
    assert table.dropped == {"joint hull within one pixel": 1}
    assert (table.column("image_size") == [320, 240]).all()
    people = [joints for _, joints in annotated(mpii_root) if np.ptp(joints[joints[:, 2] > 0, :2], axis=0).min() > 1]
    for row, joints in enumerate(people):
        labelled = joints[:, 2] > 0
        written = joints[labelled, :2]
        np.testing.assert_allclose(table.column("joints_2d")[row][labelled, :2], written - 1, atol=1e-4)
        np.testing.assert_array_equal(table.column("joints_2d")[row][:, 2], labelled)
        low, high = written.min(0), written.max(0)
        size = (high - low - 1) * 1.2
        np.testing.assert_allclose(table.column("box")[row], [*((low + high) / 2 - size / 2 - 1), *size], atol=1e-4)
    assert table.labelled_joints().tolist() == [16, 6, 16, 16]


@pytest.mark.parametrize("given", ["folder", "file"])
@pytest.mark.parametrize("name", ["annotations/train.json", "train.json"])
def test_coco_style_json_is_the_same_table(mpii_root: Path, given: str, name: str) -> None:
    from_mat, people = table_of(mpii_root), annotated(mpii_root)
    (mpii_root / MAT).unlink()
    path = put(mpii_root, name, coco_style(people))
    assert_same(table_of(mpii_root if given == "folder" else path), from_mat)


@pytest.mark.parametrize("given", ["folder", "file"])
@pytest.mark.parametrize("name", ["annot/trainval.json", "annot/train.json", "annotations/train.json", "train.json"])
def test_hrnets_json_is_the_same_table(mpii_root: Path, given: str, name: str) -> None:
    from_mat, people = table_of(mpii_root), annotated(mpii_root)
    (mpii_root / MAT).unlink()
    path = put(mpii_root, name, hrnet(people))
    table = table_of(mpii_root if given == "folder" else path)
    assert_same(table, from_mat)
    assert table.dropped == from_mat.dropped


@pytest.mark.parametrize("beside", ["mat", "annotations/train.json", "annot/trainval.json"])
def test_parts_of_hrnets_json_take_their_ids_from_the_whole(
    mpii_root: Path, beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, people = table_of(mpii_root), annotated(mpii_root)
    part = [people[i] for i in (4, 2, 1)]  # another order; 2 has no hull
    monkeypatch.setattr(mpii, "_HRNET_PARTS", (len(part),))
    path = put(mpii_root, "annot/valid.json", hrnet(part))
    if beside != "mat":
        (mpii_root / MAT).unlink()
        put(mpii_root, beside, coco_style(people) if "annotations" in beside else hrnet(people))
    table = table_of(path)
    assert table.ids() == ["mpii/train/3", "mpii/train/1"]
    assert_same(table, whole.select(np.array([3, 1])))
    assert table.dropped == {"joint hull within one pixel": 1}


def test_a_part_alone_is_refused(mpii_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = annotated(mpii_root)[:2]
    (mpii_root / MAT).unlink()
    monkeypatch.setattr(mpii, "_HRNET_PARTS", (2,))
    put(mpii_root, "annot/train.json", hrnet(people))
    with pytest.raises(AnnotationError, match=r"annot/train.json holds a part of MPII .*put .* beside it"):
        table_of(mpii_root)


def test_people_that_the_whole_does_not_have_are_counted(mpii_root: Path) -> None:
    name, joints = annotated(mpii_root)[0]
    stranger = joints + np.array([5.0, 0, 0])
    path = put(mpii_root, "annot/mine.json", hrnet([(name, joints), (name, stranger), ("other.jpg", joints)]))
    table = table_of(path)
    assert table.ids() == ["mpii/train/0"]
    assert table.dropped == {f"not found in {MAT}, which gives the ids": 2}


def test_the_mat_goes_first_then_the_coco_style_json(mpii_root: Path) -> None:
    people = annotated(mpii_root)
    put(mpii_root, "annot/trainval.json", hrnet(people[:1]))
    assert len(table_of(mpii_root)) == 4
    put(mpii_root, "annotations/train.json", coco_style(people[:2]))
    (mpii_root / MAT).unlink()
    assert len(table_of(mpii_root)) == 2


def test_a_byte_order_mark_does_not_change_the_layout(mpii_root: Path) -> None:
    people = annotated(mpii_root)
    (mpii_root / MAT).unlink()
    for layout in (coco_style(people), hrnet(people)):
        path = put(mpii_root, "train.json", layout)
        ids = open_mpii(str(path), "train", str(mpii_root / "cache")).ids()
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
        assert open_mpii(str(path), "train", str(mpii_root / "cache2")).ids() == ids


def test_images_that_are_nowhere_are_told_with_a_path(mpii_root: Path) -> None:
    shutil.rmtree(mpii_root / "images")
    place = mpii_root / "images" / f"{0:09d}.jpg"
    with pytest.raises(MissingFilesError, match=f"{MAT}: looked for {place} and 2 more. Get mpii_human_pose"):
        table_of(mpii_root)


def test_missing_images_are_counted_without_a_change_of_ids(mpii_root: Path) -> None:
    (mpii_root / "images/000000000.jpg").unlink()
    table = table_of(mpii_root)
    assert table.ids() == ["mpii/train/2", "mpii/train/3"]
    assert table.dropped == {"joint hull within one pixel": 1, "image missing or unreadable": 2}
    shutil.copy(mpii_root / "images/000000001.jpg", mpii_root / "images/000000000.jpg")
    assert len(table_of(mpii_root)) == 4


COCO_PEOPLE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "zero-size box": (lambda p: p.update(bbox=[10, 10, 0, 5]), "box has no area inside the image"),
    "box outside the image": (lambda p: p.update(bbox=[900, 10, 50, 50]), "box has no area inside the image"),
    "NaN joint": (lambda p: p["keypoints"].__setitem__(0, float("nan")), "joints_2d is not finite"),
    "unlisted image": (lambda p: p.update(image_id=77), "image is not listed in the file"),
    "duplicate id": (lambda p: p.update(id=0), "id occurs twice"),
}


@pytest.mark.parametrize(("change", "reason"), COCO_PEOPLE.values(), ids=COCO_PEOPLE.keys())
def test_bad_people_of_the_coco_style_json_are_counted(
    mpii_root: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    content = coco_style(annotated(mpii_root))
    change(content["annotations"][1])
    table = table_of(put(mpii_root, "train.json", content))
    assert table.dropped == {reason: 1}
    assert len(table) == 3


def test_joints_outside_and_nan_of_hrnets_json_are_counted(mpii_root: Path) -> None:
    people = annotated(mpii_root)
    (mpii_root / MAT).unlink()
    people[0][1][:, :2] += 5000
    content = hrnet(people)
    content[1]["joints"][0][0] = float("nan")
    content[4]["joints_vis"] = [0] * 16
    table = table_of(put(mpii_root, "annot/trainval.json", content))
    assert table.ids() == ["mpii/train/2"]
    assert table.dropped == {
        "joint hull within one pixel": 1, "no annotated joint": 1, "box has no area inside the image": 1,
        "box is not finite": 1,
    }  # fmt: skip


WRONG: dict[str, tuple[Any, str]] = {
    "truncated": ('[{"image": ', "not valid JSON"),
    "a number": ("[5]", "record 0 5 has no image, joints, joints_vis"),
    "15 joints": (
        [{"image": "a", "joints": [[1, 2]] * 15, "joints_vis": [1] * 16}],
        r"record 0 \(a\) has no joints of",
    ),
    "joints of 3": ([{"image": "a", "joints": [[1, 2, 3]] * 16, "joints_vis": [1] * 16}], "has no joints of 16 x 2"),
    "text": ([{"image": "a", "joints": [["1", 2]] * 16, "joints_vis": [1] * 16}], "has no joints of 16 x 2"),
    "huge": ([{"image": "a", "joints": [[10**400, 2]] * 16, "joints_vis": [1] * 16}], "has no joints of 16 x 2"),
    "flags": ([{"image": "a", "joints": [[1, 2]] * 16, "joints_vis": [None] * 16}], "as many joints_vis"),
    "image": ([{"image": 3, "joints": [[1, 2]] * 16, "joints_vis": [1] * 16}], "image 3, which is no file name"),
    "COCO": ({"images": [], "annotations": {}}, "not a COCO-style json"),
    "17 joints": (
        {"images": [], "annotations": [{"id": 4, "image_id": 1, "bbox": [1, 1, 9, 9], "keypoints": [1] * 51}]},
        "no person left",
    ),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_jsons_name_file_and_record(mpii_root: Path, content: Any, message: str) -> None:
    (mpii_root / MAT).unlink()
    path = put(mpii_root, "train.json", content)
    if isinstance(content, str):
        path.write_text(content)
    with pytest.raises(AnnotationError, match=message):
        table_of(mpii_root)


def test_json_of_another_data_set_is_refused(mpii_root: Path) -> None:
    content = coco_style(annotated(mpii_root))
    content["annotations"][2]["keypoints"] = [1.0] * 51
    with pytest.raises(AnnotationError, match=r"train\.json: annotation 2 has 51 keypoint values, expected 48"):
        table_of(put(mpii_root, "train.json", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"RELEASE": {"annolist": 3}}, "not laid out as MPII's annotations"),
        ({"other": 3}, "has no variable RELEASE"),
        (
            {"RELEASE": {"annolist": [{"image": {"name": "a.jpg"}}] * 2, "img_train": [1, 1, 1]}},
            "3 values of img_train",
        ),
    ],
)
def test_wrong_mats_are_named(mpii_root: Path, content: dict[str, Any], message: str) -> None:
    savemat(mpii_root / MAT, content)
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(mpii_root)
    assert MAT in str(caught.value)


@pytest.mark.parametrize("joint", [16, -1, 1.5, float("inf"), float("nan"), "x"])
def test_points_of_other_joints_are_named(mpii_root: Path, joint: Any) -> None:
    annolist = np.empty((1, 1), dtype=[("image", object), ("annorect", object)])
    annolist[0, 0] = ({"name": "a.jpg"}, [{"annopoints": {"point": [{"x": 1.0, "y": 2.0, "id": joint}]}}])
    savemat(mpii_root / MAT, {"RELEASE": {"annolist": annolist, "img_train": [[1]]}})
    with pytest.raises(AnnotationError, match=r"annolist\(1\) has a point that is not one of 16 joints"):
        table_of(mpii_root)


def test_names_that_are_not_utf8_are_kept_as_bytes(mpii_root: Path) -> None:
    people = annotated(mpii_root)
    name = os.fsdecode(b"gru\xdfe.jpg")
    (mpii_root / "images" / people[0][0]).rename(mpii_root / "images" / name)
    path = put(mpii_root, "mine.json", hrnet([(name, people[0][1])]))
    (mpii_root / MAT).unlink()
    table = table_of(path)
    assert table.column("image")[0] == b"images/gru\xdfe.jpg"
    assert not table.missing_images()[0].any()


def test_nothing_there_and_no_such_split(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"looked for .*mpii_human_pose_v1_u12_1.mat.*train.json.*Get mpii_"):
        table_of(tmp_path)
    with pytest.raises(AnnotationError, match="no split 'test'"):
        open_mpii(str(tmp_path), "test", str(tmp_path))
