"""EFT's json: rotation matrices, a fitted weak-perspective camera of the crop."""

import json

import numpy as np
import pytest

from body_models.joint_sets import COCO17, OPENPOSE25
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
    read, joint_set, _ = read_eft(tmp_path / "out.json", "coco", "train")
    assert joint_set == "spin49"
    assert read["id"].tolist() == columns["id"].tolist()
    np.testing.assert_allclose(read["box"], columns["box"], atol=1e-4)
    assert "id" not in read_eft(tmp_path / "out.json", "mpii", "train").columns, "only COCO's annotId is a key"


@pytest.mark.parametrize(
    ("person", "named"),
    [
        ({}, "person 0 has no numbers at parm_cam"),
        ({"parm_cam": [1, 0, 0]}, "person 0 has no numbers at parm_pose"),
        ({"parm_cam": [1, 0, 0], "parm_pose": [[1, 2]]}, "parm_pose must be 24 x 3 x 3 finite numbers, got 2 numbers"),
        (
            {"parm_cam": [1, 0, 0], "parm_pose": np.full((24, 3, 3), np.nan).tolist()},
            r"parm_pose must be 24 x 3 x 3 finite numbers, got nan at place 0 \(216 such\)",
        ),
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


def test_the_validity_is_that_of_spin_s_24_joints(labels, tmp_path):
    """EFT's exporter: keypoints[25:, 2][JOINT_MAP_SPIN24_TO_OPENPOSE18]; COCO's hips are valid, its neck is not there.

    The names are those of EFT's jointorders.py, as this project has them.
    """
    folder, columns = labels
    export_labels(folder, "eft", tmp_path / "out.json")
    openpose18 = [name for name in OPENPOSE25.names[:19] if name != "mid_hip"]
    for i, person in enumerate(json.loads((tmp_path / "out.json").read_text())["data"]):
        known = dict(zip(COCO17.names, columns["joints_2d"][i, :, 2].tolist(), strict=True))
        assert person["joint_validity_openpose18"] == [known.get(name, 0) for name in openpose18]


def test_people_without_a_camera_or_a_body_are_left_out(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "eft", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    content["data"][1]["parm_cam"] = [0, 0, 0]
    content["data"][1]["parm_pose"] = [[[float("nan")] * 3] * 3] * 24
    content["data"][2]["parm_cam"] = 0
    content["data"][3]["parm_shape"] = None
    (tmp_path / "some.json").write_text(json.dumps(content))
    read, _, left_out = read_eft(tmp_path / "some.json", "coco", "train")
    assert read["id"].tolist() == columns["id"][[0, 4, 5]].tolist()
    assert np.isfinite(read["transl"]).all()
    assert left_out == {"the scale of parm_cam is 0": 2, "its label is null": 1}
    content["data"][0]["parm_cam"][0] = -0.5
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(LabelError, match=r"person 0: scale of parm_cam must be positive, got \[-0\.5\]"):
        read_eft(tmp_path / "bad.json", "coco", "train")
