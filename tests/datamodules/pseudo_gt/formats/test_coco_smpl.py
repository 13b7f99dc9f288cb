"""COCO's layout with bodies: pycocotools opens it, and joints come back within 0.1 px."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.formats.coco_smpl import read_coco_smpl
from datamodules.pseudo_gt.native import LabelError, read_labels


@pytest.mark.parametrize(("dataset", "joint_set", "offset"), [("coco", "coco17", 0), ("mpii", "mpii16", 1)])
def test_round_trip(make_labels, tmp_path, dataset, joint_set, offset):
    folder = make_labels(dataset, joint_set=joint_set)
    columns = read_labels(folder).columns
    report = export_labels(folder, "coco_smpl", tmp_path / "out.json")
    assert report.max_px < 0.1
    database = COCO(str(tmp_path / "out.json"))
    assert sorted(database.imgs) == [0, 1, 2]
    assert database.imgs[2] == {"id": 2, "file_name": "train2017/000000000002.jpg", "width": 640, "height": 480}
    person = database.anns[int(columns["id"][1].split("/")[2])]
    assert person["image_id"] == 1
    np.testing.assert_allclose(person["bbox"], columns["person_box"][1] + [offset, offset, 0, 0], atol=1e-4)
    np.testing.assert_allclose(person["cam_param"]["princpt"], columns["princpt"][1] + offset, atol=1e-4)
    assert {name: np.shape(value) for name, value in person["smpl_param"].items()} == {
        "pose": (72,), "shape": (10,), "trans": (3,), "gender": (),
    }  # fmt: skip
    assert person["num_keypoints"] == (columns["joints_2d"][1, :, 2] > 0).sum()

    read, found, _ = read_coco_smpl(tmp_path / "out.json", dataset, "train")
    assert found == joint_set
    for name in ("id", "image", "image_size", "gender"):
        np.testing.assert_array_equal(read[name], columns[name])
    for name in ("person_box", "joints_2d", "princpt", "body_pose", "betas"):
        np.testing.assert_allclose(read[name], columns[name], atol=1e-4)


def test_keys_and_names_that_are_no_numbers(make_labels, tmp_path):
    ids = [f"coco/train/a#{i}" for i in range(6)]
    folder = make_labels(id=ids, image=["a.jpg", "b.jpg", "c.jpg"] * 2)
    export_labels(folder, "coco_smpl", tmp_path / "out.json")
    assert read_coco_smpl(tmp_path / "out.json", "coco", "train").columns["id"].tolist() == ids


def test_cameras_of_images_are_read(labels, tmp_path):
    export_labels(labels[0], "coco_smpl", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    content["annotations"] = content["annotations"][:3]
    for person in content["annotations"]:
        content["images"][person["image_id"]]["cam_param"] = person.pop("cam_param")
    (tmp_path / "3dpw.json").write_text(json.dumps(content))
    read, *_ = read_coco_smpl(tmp_path / "3dpw.json", "coco", "train")
    np.testing.assert_allclose(read["focal"], labels[1]["focal"][:3])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"smpl_param": {"pose": [0]}}, r"person 5: smpl_param\.pose must be 72"),
        ({"cam_param": None}, r"person 5 has no numbers at cam_param\.focal"),
        ({"image_id": 77}, "person 5 is of an image that is not"),
        ({"bbox": [0, 0, None, 1]}, r"person 5: bbox must be 4 finite"),
    ],
)
def test_wrong_files_are_named(tmp_path, change, named):
    body = {"pose": [0] * 72, "shape": [0] * 10, "trans": [0] * 3}
    person = {"id": 5, "image_id": 1, "bbox": [0, 0, 9, 9], "smpl_param": body}
    person |= {"cam_param": {"focal": [1, 1], "princpt": [0, 0]}, **change}
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [person]}))
    with pytest.raises(LabelError, match=named):
        read_coco_smpl(path, "coco", "train")


def test_lists_in_any_order(labels, tmp_path):
    """json.dump(sort_keys=True) writes annotations before images, and with a byte order mark some editors save it."""
    export_labels(labels[0], "coco_smpl", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    for person in content["annotations"][:2]:
        content["images"][person["image_id"]]["cam_param"] = person.pop("cam_param")
    (tmp_path / "sorted.json").write_text(json.dumps(content, sort_keys=True), encoding="utf-8-sig")
    assert next(iter(json.loads((tmp_path / "sorted.json").read_text(encoding="utf-8-sig")))) == "annotations"
    read, joint_set, _ = read_coco_smpl(tmp_path / "sorted.json", "coco", "train")
    assert joint_set == "coco17"
    for name in ("focal", "princpt", "person_box", "joints_2d"):
        np.testing.assert_allclose(read[name], labels[1][name], atol=1e-4)


def test_people_without_a_body_are_left_out(labels, tmp_path):
    export_labels(labels[0], "coco_smpl", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    content["annotations"][1]["smpl_param"] = None
    content["annotations"][4] = {"id": 4, "image_id": 0, "iscrowd": 1}
    (tmp_path / "some.json").write_text(json.dumps(content))
    columns, _, left_out = read_coco_smpl(tmp_path / "some.json", "coco", "train")
    assert columns["id"].tolist() == labels[1]["id"][[0, 2, 3, 5]].tolist()
    assert left_out == {"it has no smpl_param": 2}


def test_images_of_one_number_are_refused(labels, tmp_path):
    export_labels(labels[0], "coco_smpl", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    content["images"].append({**content["images"][1], "file_name": "other.jpg"})
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(LabelError, match="image 1 is there twice"):
        read_coco_smpl(tmp_path / "bad.json", "coco", "train")
