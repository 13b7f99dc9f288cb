"""EFT's json: rotation matrices, a fitted weak-perspective camera of the crop."""

import json

import numpy as np
import pytest

from datamodules.pseudo_gt.formats import eft, export_labels
from datamodules.pseudo_gt.formats.eft import read_eft
from datamodules.pseudo_gt.formats.exchange import LabelBlocks, project_points
from datamodules.pseudo_gt.native import LabelError


def test_layout(labels, tmp_path):
    folder, columns = labels
    report = export_labels(folder, "eft", tmp_path / "out.json")
    assert report.max_difference < 1e-6
    assert report.median_px < 0.25  # known: 0.07 to 0.22 px mean
    content = json.loads((tmp_path / "out.json").read_text())
    assert set(content) == {"ver", "data"}
    person = content["data"][2]
    shapes = {name: np.shape(value) for name, value in person.items()}
    assert shapes == {
        "parm_pose": (24, 3, 3), "parm_shape": (10,), "parm_cam": (3,), "bbox_scale": (), "bbox_center": (2,),
        "gt_keypoint_2d": (49, 3), "joint_validity_openpose18": (18,), "smpltype": (), "annotId": (), "imageName": (),
    }  # fmt: skip
    assert person["imageName"] == "000000000002.jpg"
    assert f"coco/train/{person['annotId']}" == columns["id"][2]
    assert person["joint_validity_openpose18"][0] == (columns["joints_2d"][2, 0, 2] > 0)  # nose
    rotation = np.array(person["parm_pose"])
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (24, 1, 1)), atol=1e-7)


def test_eft_s_own_projection_meets_the_body(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "eft", tmp_path / "out.json")
    joints = LabelBlocks(folder).body_joints(columns)
    seen = project_points(joints + columns["transl"][:, None], columns["focal"], columns["princpt"])
    for i, person in enumerate(json.loads((tmp_path / "out.json").read_text())["data"]):
        scale, *shift = person["parm_cam"]
        crop = 112 * (scale * joints[i, :, :2] + shift) + 112  # convert_smpl_to_bbox, on a crop of 224 px
        side = 200 * person["bbox_scale"]
        image = crop / 224 * side + np.array(person["bbox_center"]) - side / 2
        assert np.linalg.norm(image - seen[i], axis=1).mean() < 0.6


def test_read_projects_as_written(labels, tmp_path, monkeypatch):
    monkeypatch.setattr(eft, "_BLOCK", 4)
    folder, columns = labels
    export_labels(folder, "eft", tmp_path / "out.json")
    read, joint_set = read_eft(tmp_path / "out.json", "coco", "train")
    assert joint_set == "spin49"
    assert read["id"].tolist() == columns["id"].tolist()
    np.testing.assert_allclose(read["box"], columns["box"], atol=1e-4)
    assert "id" not in read_eft(tmp_path / "out.json", "mpii", "train").columns, "only COCO's annotId is a key"


@pytest.mark.parametrize(
    ("person", "named"),
    [
        ({}, "person 0 has no parm_pose of shape"),
        ({"parm_pose": [[1, 2]]}, "person 0 has no parm_pose of shape"),
        ({"parm_pose": np.full((24, 3, 3), np.nan).tolist()}, "person 0: parm_pose is not finite"),
    ],
)
def test_wrong_files_are_named(tmp_path, person, named):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"ver": 0.1, "data": [person]}))
    with pytest.raises(LabelError, match=named) as error:
        read_eft(path, "coco", "train")
    assert str(path) in str(error.value)
    path.write_text('{"5": {"smpl_param": {}}}')
    with pytest.raises(LabelError, match=r"so it is not EFT's json"):
        read_eft(path, "coco", "train")
