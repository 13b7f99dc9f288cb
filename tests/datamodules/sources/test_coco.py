"""COCO and COCO-WholeBody: every column, the places of the files, and each fault."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from body_models.joint_sets import COCO17, COCO_WHOLEBODY23
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources.coco import open_coco

KEYPOINTS = "annotations/person_keypoints_train2017.json"


def read(root: Path) -> dict[str, Any]:
    return json.loads((root / KEYPOINTS).read_text())


def write(root: Path, content: dict[str, Any], name: str = KEYPOINTS) -> Path:
    (root / name).write_text(json.dumps(content))
    return root / name


def table_of(root: Path, split: str = "train") -> PeopleTable:
    return open_coco(str(root), split, str((root if root.is_dir() else root.parent) / "cache"))


def test_every_column_and_who_is_left_out(coco_root: Path) -> None:
    table = table_of(coco_root)
    assert table.ids() == [f"coco/train/{number}" for number in range(1000, 1012)]
    assert table.dropped == {"crowd, not one person": 1}
    assert table.joint_set is COCO17
    content = read(coco_root)
    images = {image["id"]: image["file_name"] for image in content["images"]}
    for row, person in enumerate(content["annotations"][:-1]):
        written = np.array(person["keypoints"]).reshape(17, 3)
        np.testing.assert_allclose(table.column("joints_2d")[row][:, :2], written[:, :2], rtol=1e-6)
        np.testing.assert_array_equal(table.column("joints_2d")[row][:, 2], written[:, 2] > 0)
        np.testing.assert_allclose(table.column("box")[row], person["bbox"], rtol=1e-6)
        assert table.column("image")[row].decode() == images[person["image_id"]]
    assert (table.column("image_size") == [320, 240]).all()
    # Annotation 1003 has no keypoints, and gets a label like everyone.
    assert table.labelled_joints()[3] == 0
    assert not table.missing_images()[0].any()


def with_feet(content: dict[str, Any]) -> dict[str, Any]:
    """The same people as COCO-WholeBody writes them; the feet of annotation 1001 are not valid."""
    rng = np.random.default_rng(9)
    for number, person in enumerate(content["annotations"]):
        feet = np.column_stack((rng.uniform(0, 200, (6, 2)), rng.choice([0.0, 0.5, 2.0], 6)))
        person |= {
            "foot_kpts": feet.ravel().tolist(), "foot_valid": number != 1, "face_kpts": [0.0] * 204,
            "face_valid": False, "lefthand_kpts": [0.0] * 63, "righthand_kpts": [0.0] * 63, "face_box": [0, 0, 1, 1],
        }  # fmt: skip
    return content


def test_feet_of_wholebody_count_where_valid_and_confident(coco_root: Path) -> None:
    plain = table_of(coco_root)
    content = with_feet(read(coco_root))
    (coco_root / KEYPOINTS).unlink()
    write(coco_root, content, "annotations/coco_wholebody_train_v1.0.json")
    table = table_of(coco_root)
    assert table.joint_set is COCO_WHOLEBODY23
    assert table.ids() == plain.ids()
    np.testing.assert_array_equal(table.column("joints_2d")[:, :17], plain.column("joints_2d"))
    for row, person in enumerate(content["annotations"][:-1]):
        feet = np.array(person["foot_kpts"]).reshape(6, 3)
        seen = (feet[:, 2] > 0) & (row != 1)
        expected = np.where(seen[:, None], np.column_stack((feet[:, :2], np.ones(6))), 0)
        np.testing.assert_allclose(table.column("joints_2d")[row][17:], expected, rtol=1e-6)


def test_wholebody_is_told_apart_by_content_and_gives_way_to_the_keypoints_file(coco_root: Path) -> None:
    path = write(coco_root, with_feet(read(coco_root)), "annotations/coco_wholebody_train_v1.0.json")
    assert table_of(coco_root).joint_set is COCO17
    assert open_coco(str(path), "train", str(coco_root / "cache")).joint_set is COCO_WHOLEBODY23
    path = path.rename(coco_root / "annotations/person_keypoints_mine.json")
    assert open_coco(str(path), "train", str(coco_root / "cache")).joint_set is COCO_WHOLEBODY23


@pytest.mark.parametrize("place", ["train2017", "images", "images/train2017", "."])
@pytest.mark.parametrize("annotations", ["annotations", "."])
@pytest.mark.parametrize("given", ["folder", "file"])
def test_files_are_found_where_users_put_them(coco_root: Path, place: str, annotations: str, given: str) -> None:
    path = coco_root / annotations / "my_person_keypoints.json"
    shutil.move(coco_root / KEYPOINTS, path)
    images = sorted((coco_root / "train2017").iterdir())
    (coco_root / place).mkdir(parents=True, exist_ok=True)
    for image in images:
        image.rename(coco_root / place / image.name)
    # Another folder of that name, without these images, is passed by.
    (coco_root / "images").mkdir(exist_ok=True)
    table = table_of(coco_root if given == "folder" else path)
    assert len(table) == 12
    assert not table.missing_images()[0].any()


@pytest.mark.parametrize("place", ["images/default", "default", "images/train", "train"])
def test_images_of_a_subset_as_cvat_exports_it(coco_root: Path, place: str) -> None:
    (coco_root / KEYPOINTS).rename(coco_root / "annotations/person_keypoints_default.json")
    (coco_root / place).parent.mkdir(exist_ok=True)
    (coco_root / "train2017").rename(coco_root / place)
    table = table_of(coco_root)
    assert not table.missing_images()[0].any()
    assert table.image_places[-1] == str(coco_root)


def test_files_of_macos_are_passed_over(coco_root: Path) -> None:
    (coco_root / KEYPOINTS).with_name("._person_keypoints_train2017.json").write_bytes(b"\x00\x05\x16\x07")
    (note,) = table_of(coco_root).notes
    assert note.startswith("1 files ._* of macOS in ")


def test_jsons_of_another_name_are_named(coco_root: Path) -> None:
    (coco_root / KEYPOINTS).rename(coco_root / "annotations/mine.json")
    with pytest.raises(
        MissingFilesError, match=r"train2017\.json\. There are mine\.json: give one of them instead of the folder"
    ) as caught:
        table_of(coco_root)
    assert "annotations_trainval2017.zip" not in str(caught.value)
    assert len(table_of(coco_root / "annotations/mine.json")) == 12


def test_one_of_several_files_is_chosen_by_split(coco_root: Path) -> None:
    content = read(coco_root)
    content["annotations"] = content["annotations"][:2]
    write(coco_root, content, "annotations/person_keypoints_val2017.json")
    assert (len(table_of(coco_root)), len(table_of(coco_root, "val"))) == (12, 2)
    with pytest.raises(MissingFilesError, match=r"There are person_keypoints_train2017.json, person_keypoints_val"):
        table_of(coco_root, "minival")


def test_images_moved_later_make_a_new_table(coco_root: Path) -> None:
    assert not table_of(coco_root).missing_images()[0].any()
    shutil.move(coco_root / "train2017", coco_root / "images")
    assert not table_of(coco_root).missing_images()[0].any()


def drop(reason: str) -> dict[str, int]:
    return {"crowd, not one person": 1, reason: 1}


PEOPLE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "zero-size box": (lambda p: p.update(bbox=[10, 10, 0, 5]), "box has no area inside the image"),
    "box outside the image": (lambda p: p.update(bbox=[900, 10, 50, 50]), "box has no area inside the image"),
    "NaN box": (lambda p: p.update(bbox=[10, float("nan"), 5, 5]), "box is not finite"),
    "infinite box": (lambda p: p.update(bbox=[10, 10, float("inf"), 5]), "box is not finite"),
    "NaN joint": (lambda p: p["keypoints"].__setitem__(0, float("nan")), "joints_2d is not finite"),
    "NaN visibility": (lambda p: p["keypoints"].__setitem__(2, float("nan")), "joints_2d is not finite"),
    "no box": (lambda p: p.pop("bbox"), "no box"),
    "null as a box": (lambda p: p.update(bbox=None), "no box"),
    "empty box": (lambda p: p.update(bbox=[]), "no box"),
    "unlisted image": (lambda p: p.update(image_id=77), "image is not listed in the file"),
    "duplicate id": (lambda p: p.update(id=1001), "id occurs twice"),
    "not a person": (lambda p: p.update(category_id=18), "not a person"),
}


@pytest.mark.parametrize(("change", "reason"), PEOPLE.values(), ids=PEOPLE.keys())
def test_bad_people_are_counted_by_reason(
    coco_root: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    content = read(coco_root)
    change(content["annotations"][2])
    write(coco_root, content)
    table = table_of(coco_root)
    assert table.dropped == drop(reason)
    assert len(table) == 11


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "box of 3": (lambda c: c["annotations"][2].update(bbox=[1, 2, 3]), r"annotation 1002 has bbox \[1, 2, 3\]"),
    "box of strings": (lambda c: c["annotations"][2].update(bbox=["1", 2, 3, 4]), "annotation 1002 has bbox"),
    "box of huge numbers": (lambda c: c["annotations"][2].update(bbox=[1, 2, 10**400, 4]), "annotation 1002 has bbox"),
    "joints of strings": (
        lambda c: c["annotations"][2]["keypoints"].__setitem__(0, "3"),
        "1002 has 51 keypoint values",
    ),
    "joints of booleans": (lambda c: c["annotations"][2]["keypoints"].__setitem__(0, True), "1002 has 51 keypoint"),
    "16 joints": (lambda c: c["annotations"][2].update(keypoints=[1] * 48), "1002 has 48 keypoint values, expected 51"),
    "joints of text": (lambda c: c["annotations"][2].update(keypoints="nose"), "1002 has str keypoint values"),
    "id is a list": (lambda c: c["annotations"][2].update(id=[1]), r"annotation \[1\] has id"),
    "id is null": (lambda c: c["annotations"][2].update(id=None), "has id None"),
    "image_id is a list": (lambda c: c["annotations"][2].update(image_id=[1]), "annotation 1002 has image_id"),
    "annotation is a number": (lambda c: c["annotations"].__setitem__(2, 5), "annotation 5 has no id, image_id"),
    "width of text": (lambda c: c["images"][1].update(width="320"), "image 2 has width '320'"),
    "no width": (lambda c: c["images"][1].update(width=0), "image 2 has width 0"),
    "height is NaN": (lambda c: c["images"][1].update(height=float("nan")), "image 2 has height nan"),
    "height is infinite": (lambda c: c["images"][1].update(height=float("inf")), "image 2 has height inf"),
    "file name is a number": (lambda c: c["images"][1].update(file_name=7), "image 2 has file_name 7"),
    "file name is no text": (lambda c: c["images"][1].update(file_name="\ud800.jpg"), "image 2 has file_name"),
    "image id is a float": (lambda c: c["images"][1].update(id=1.5), "image 1.5 has id"),
    "image id twice": (lambda c: c["images"][1].update(id=1), "two different images have the id 1"),
    "images is an object": (lambda c: c.update(images={}), "not a COCO-style json"),
    "another data set": (lambda c: [p.pop("keypoints") for p in c["annotations"]], "is this the keypoints file"),
    "feet of text": (lambda c: c["annotations"][2].update(foot_kpts="x", foot_valid=True), "1002 has str foot_kpt"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_file_and_record(
    coco_root: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    content = read(coco_root)
    change(content)
    write(coco_root, content)
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(coco_root)
    assert KEYPOINTS in str(caught.value)


def test_a_file_without_people_says_so(coco_root: Path) -> None:
    write(coco_root, {**read(coco_root), "annotations": []})
    with pytest.raises(AnnotationError, match=r"coco/train.*no person left; dropped: none"):
        table_of(coco_root)


@pytest.mark.parametrize("text", ["", "{", '{"images": [', "null", "[]", "\x00", '{"a": 1}'])
def test_truncated_and_foreign_files_are_named(coco_root: Path, text: str) -> None:
    (coco_root / KEYPOINTS).write_text(text)
    with pytest.raises(
        AnnotationError, match=r"person_keypoints_train2017\.json (is not valid JSON|is not a COCO-style)"
    ):
        table_of(coco_root)


def test_missing_images_are_all_named(coco_root: Path) -> None:
    lost = [coco_root / "train2017" / f"{number:012d}.jpg" for number in (1, 4)]
    for path in lost:
        path.unlink()
    mask, missing = table_of(coco_root).missing_images()
    assert missing == lost
    assert mask.tolist() == [True, True, *[False] * 4, True, True, *[False] * 4]


def test_names_that_are_not_utf8_are_kept_as_bytes(coco_root: Path) -> None:
    content = read(coco_root)
    name = os.fsdecode(b"gru\xdfe.jpg")
    (coco_root / "train2017" / content["images"][0]["file_name"]).rename(coco_root / "train2017" / name)
    content["images"][0]["file_name"] = name
    write(coco_root, content)
    table = table_of(coco_root)
    assert table.column("image")[0] == b"gru\xdfe.jpg"
    assert not table.missing_images()[0].any()


def test_order_is_the_files_whatever_the_directory_says(coco_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(coco_root, read(coco_root), "annotations/person_keypoints_val2017.json")
    ids = table_of(coco_root).ids()
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(sorted(glob(self, pattern), reverse=True)))
    assert open_coco(str(coco_root), "train", str(coco_root / "cache2")).ids() == ids


def test_harmless_changes_of_the_file_read_identically(coco_root: Path) -> None:
    before = table_of(coco_root)
    content = read(coco_root)
    for record in (*content["images"], *content["annotations"]):
        record["unknown"] = {"segmentation": [1, 2]}
    reordered = {key: content[key] for key in sorted(content, reverse=True)}
    (coco_root / KEYPOINTS).write_text(json.dumps(reordered, indent=3, sort_keys=True))
    after = table_of(coco_root)
    assert before.folder != after.folder
    for name in before.columns:
        np.testing.assert_array_equal(before.column(name), after.column(name))


def test_real_sample(samples_folder: Path, tmp_path: Path) -> None:
    table = open_coco(str(samples_folder / "coco_mini"), "val", str(tmp_path))
    assert len(table) == 6
    assert not table.missing_images()[0].any()
    assert table.labelled_joints()[table.ids().index("coco/val/508900")] == 0
