"""COCO-style jsons of other tools and data sets: joints by name, categories, ids, scores, records that lack parts."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from body_models.joint_sets import COCO17, COCO_WHOLEBODY23, CROWDPOSE14, HUMAN36M17, MPII16, JointSet
from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.sources.coco import open_coco
from tests.support.skeletons import AI_CHALLENGER, AP_10K, HUMAN36M, MPII, POSETRACK18

KEYPOINTS = "annotations/person_keypoints_train2017.json"


@pytest.fixture
def content(coco_root: Path) -> dict[str, Any]:
    return json.loads((coco_root / KEYPOINTS).read_text())


@pytest.fixture
def opened(coco_root: Path, content: dict[str, Any]) -> Callable[[], PeopleTable]:
    def call() -> PeopleTable:
        (coco_root / KEYPOINTS).write_text(json.dumps(content))
        return open_coco(str(coco_root), "train", str(coco_root / "cache"))

    return call


def rename(content: dict[str, Any], names: list[str], category: int = 1) -> None:
    """Give everybody joints of these names: joint i of person p at (p + 1, i + 1)."""
    content["categories"] = [{"id": category, "name": "person", "keypoints": names}]
    for number, person in enumerate(content["annotations"]):
        joints = [(number + 1.0, place + 1.0, 2) for place in range(len(names))]
        person |= {"keypoints": [value for joint in joints for value in joint], "category_id": category}


@pytest.mark.parametrize(
    ("names", "joint_set"),
    [
        (list(COCO17.names), COCO17), (list(COCO17.names[::-1]), COCO17), (POSETRACK18, COCO17),
        (HUMAN36M, HUMAN36M17), (AI_CHALLENGER, CROWDPOSE14), (MPII, MPII16),
    ],
)  # fmt: skip
def test_joints_are_read_by_name(
    names: list[str], joint_set: JointSet, content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    rename(content, names)
    table = opened()
    assert table.joint_set is joint_set and len(table) == 12
    joints = table.column("joints_2d")[4]
    for name, (x, y, confidence) in zip(joint_set.names, joints, strict=True):
        place = {"left_eye": -1, "right_eye": -1}.get(name, -2) if names is POSETRACK18 else -2
        if place == -1:
            assert confidence == 0
            continue
        own = {"neck": "upper_neck"} if names is MPII else {}
        spelled = own.get(name, name) if own.get(name, name) in names else HUMAN36M[joint_set.names.index(name)]
        assert (x, y, confidence) == (5, names.index(spelled) + 1, 1)
    expected = ["not read: head_bottom, head_top; not in the file: left_eye, right_eye"] * (names is POSETRACK18)
    assert [note.partition("coco17; ")[2] for note in table.notes] == expected


def test_several_categories_of_people_have_orders_of_their_own(
    content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    rename(content, list(COCO17.names))
    content["categories"] += [
        {"id": 7, "name": "goalkeeper", "keypoints": list(COCO17.names[::-1])},
        {"id": 9, "name": "dog", "keypoints": list(COCO17.names)},
        {"id": 10, "name": "car"},
    ]
    for number, category in ((1, 7), (2, 9), (3, 10)):
        content["annotations"][number]["category_id"] = category
    table = opened()
    assert table.dropped == {"not a person": 2, "crowd, not one person": 1}
    assert table.column("joints_2d")[0, :, 1].tolist() == list(range(1, 18))
    assert table.column("joints_2d")[1, :, 1].tolist() == list(range(17, 0, -1))


NO_PERSONS: dict[str, tuple[Any, str]] = {
    "animals": ([{"id": 1, "name": "antelope", "keypoints": AP_10K}], r"none of its categories \('antelope'\)"),
    "animals with a person's joints": (
        [{"id": 1, "name": "macaque", "keypoints": list(COCO17.names)}], r"\('macaque'\) is a person: one has to be"
    ),
    "a person with an animal's joints": ([{"id": 1, "name": "person", "keypoints": AP_10K}], "are no person's: left_"),
    "joints without a name": (
        [{"id": 1, "name": "person", "keypoints": [str(i) for i in range(17)]}], "person's: 0, 1, 2.*left_shoulder"
    ),
    "a joint twice": ([{"id": 1, "name": "person", "keypoints": ["nose", "Nose"]}], "names a joint twice: Nose"),
    "names that are none": ([{"id": 1, "name": "person", "keypoints": [1, 2]}], "is no list of names"),
    "text as names": ([{"id": 1, "name": "person", "keypoints": "nose"}], "is no list of names"),
    "no id": ([{"name": "person"}], "category without id has no id"),
    "an object": ({"id": 1}, "categories is no list of objects"),
    "numbers": ([1], "categories is no list of objects"),
}  # fmt: skip


@pytest.mark.parametrize(("categories", "message"), NO_PERSONS.values(), ids=NO_PERSONS.keys())
def test_categories_without_people_are_refused(
    categories: Any, message: str, content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    content["categories"] = categories
    with pytest.raises(AnnotationError, match=rf"person_keypoints_train2017\.json: .*{message}"):
        opened()


def test_another_number_of_joints_is_refused(content: dict[str, Any], opened: Callable[[], PeopleTable]) -> None:
    rename(content, MPII)
    content["annotations"][2]["keypoints"] = [1] * 51
    with pytest.raises(AnnotationError, match="1002 has 51 keypoint values, expected 48: x, y and visibility of 16"):
        opened()


@pytest.mark.parametrize("number", [0, 2, "1", "person"])
def test_the_person_is_the_category_of_that_name(
    number: Any, content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    content["categories"] = [{"id": 40, "name": "dog"}, {"id": number, "name": "person"}]
    for person in content["annotations"]:
        person["category_id"] = number
    assert len(opened()) == 12


@pytest.mark.parametrize("text", [("images", "id"), ("annotations", "image_id"), ("annotations", "category_id")])
def test_ids_may_be_numbers_or_text(
    text: tuple[str, str], content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    for record in content[text[0]]:
        record[text[1]] = str(record[text[1]])
    table = opened()
    assert len(table) == 12 and table.dropped == {"crowd, not one person": 1}


def test_ids_of_no_image_are_named(content: dict[str, Any], opened: Callable[[], PeopleTable]) -> None:
    for person in content["annotations"]:
        person["image_id"] = "a.jpg"
    message = r"'image is not listed in the file': 13.*for example.*annotation 1000 has image_id 'a\.jpg', the first"
    with pytest.raises(AnnotationError, match=message):
        opened()


@pytest.mark.parametrize("keypoints", ["absent", None, []])
@pytest.mark.parametrize("who", ["person", "crowd", "object"])
def test_records_without_keypoints_do_not_refuse_the_file(
    who: str, keypoints: Any, content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    person = content["annotations"][2]
    person |= {"person": {}, "crowd": {"iscrowd": 1}, "object": {"category_id": 18}}[who]
    if keypoints == "absent":
        del person["keypoints"]
    else:
        person["keypoints"] = keypoints
    table = opened()
    assert len(table) == (12 if who == "person" else 11)
    if who == "person":
        assert not table.column("joints_2d")[2].any()


@pytest.mark.parametrize("who", [{"iscrowd": 1}, {"category_id": 18}])
def test_boxes_of_others_are_not_looked_at(
    who: dict[str, int], content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    content["annotations"][2] |= {**who, "bbox": None}
    assert "no box" not in opened().dropped


@pytest.mark.parametrize("keypoints", [None, []])
def test_a_file_in_which_nobody_has_keypoints_is_another_file(
    keypoints: Any, content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    for person in content["annotations"]:
        person["keypoints"] = keypoints
    with pytest.raises(AnnotationError, match="none of 12 persons has keypoints; is this the keypoints file"):
        opened()


def test_feet_of_some_only(content: dict[str, Any], opened: Callable[[], PeopleTable]) -> None:
    content["annotations"][2] |= {"foot_kpts": [1, 2, 0.5] * 6, "foot_valid": True}
    table = opened()
    assert table.joint_set is COCO_WHOLEBODY23
    feet = table.column("joints_2d")[:, 17:]
    assert feet[2].tolist() == [[1, 2, 1]] * 6
    assert not np.delete(feet, 2, axis=0).any()


def test_scores_are_confidences(content: dict[str, Any], opened: Callable[[], PeopleTable]) -> None:
    assert opened().notes == []
    scores = [0.02, 0.25, 1.5, -0.1]
    for person in content["annotations"]:
        person["keypoints"] = [value for i in range(17) for value in (5.0, 6.0, scores[i % 4])]
    table = opened()
    expected = [scores[i % 4] for i in range(17)]
    np.testing.assert_allclose(table.column("joints_2d")[0, :, 2], np.clip(expected, 0, 1), rtol=1e-6)
    assert not table.column("joints_2d")[0, 3].any()
    (note,) = table.notes
    assert note.startswith("keypoints have third values other than 0, 1 and 2 (-0.1 to 1.5)")


def test_shares_of_the_image_are_noticed(content: dict[str, Any], opened: Callable[[], PeopleTable]) -> None:
    for person in content["annotations"]:
        person["keypoints"] = [value for i in range(17) for value in (i / 16, 0.5, 2)]
    (note,) = opened().notes
    assert note.startswith("all 2D joints lie within 0.00 to 1.00, as if they were shares of the image")


def test_boxes_that_are_shares_of_the_image_are_shown(
    content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    for person in content["annotations"]:
        person["bbox"] = [0.25, 0.5, 0.3, 0.4]
    with pytest.raises(
        AnnotationError, match=r"coco/train/1000 has x 0\.25, y 0\.5, w 0\.3, h 0\.4 in an image of 320 x"
    ):
        opened()


def test_a_byte_order_mark_is_no_content(
    coco_root: Path, content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    ids = opened().ids()
    path = coco_root / KEYPOINTS
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert open_coco(str(coco_root), "train", str(coco_root / "cache")).ids() == ids


@pytest.mark.parametrize(("flag", "kept"), [("0", True), (False, True), (None, True), ("1", False), (True, False)])
def test_the_flag_of_crowds_in_other_words(
    flag: object, kept: bool, content: dict[str, Any], opened: Callable[[], PeopleTable]
) -> None:
    content["annotations"][0]["iscrowd"] = flag
    table = opened()
    assert len(table) == 11 + kept
    assert table.dropped["crowd, not one person"] == 2 - kept
