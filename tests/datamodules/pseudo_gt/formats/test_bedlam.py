"""BEDLAM's npz: a camera for each person, joints within 0.1 px."""

import numpy as np
import pytest

from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.formats.bedlam import read_bedlam
from datamodules.pseudo_gt.native import LabelError

KEYS = {
    "imgname": (), "center": (2,), "scale": (), "pose_cam": (72,), "shape": (10,), "betas": (10,), "trans_cam": (3,),
    "cam_int": (3, 3), "cam_ext": (4, 4), "gtkps": (44, 3), "part": (24, 3), "openpose": (25, 3), "gender": (),
}  # fmt: skip


def test_layout(labels, tmp_path):
    folder, columns = labels
    report = export_labels(folder, "bedlam", tmp_path / "out.npz")
    assert report.max_px < 0.1
    assert report.max_difference == 0
    file = dict(np.load(tmp_path / "out.npz", allow_pickle=False))
    assert {name: values.shape[1:] for name, values in file.items()} == KEYS
    # BEDLAM: "betas" must be there for "shape" to be read. CameraHMR: translation = cam_ext[:, 3], plus trans_cam.
    np.testing.assert_array_equal(file["betas"], file["shape"])
    np.testing.assert_array_equal(file["cam_ext"][:, :3, 3] + file["trans_cam"], columns["transl"])
    points = np.array([[0.3, -0.2, 40.0]])
    image = points @ file["cam_int"][2].T
    expected = points[0, :2] / 40 * columns["focal"][2] + columns["princpt"][2]
    np.testing.assert_allclose(image[0, :2] / image[0, 2], expected, rtol=1e-6)


def test_files_of_smplx_are_refused(labels, tmp_path):
    export_labels(labels[0], "bedlam", tmp_path / "out.npz")
    file = {**np.load(tmp_path / "out.npz"), "pose_cam": np.zeros((6, 165))}
    np.savez(tmp_path / "bad.npz", **file)
    with pytest.raises(LabelError, match="165 numbers a person, SMPL has 72"):
        read_bedlam(tmp_path / "bad.npz", "bedlam", "train")


def test_gtkps_alone_are_read(labels, tmp_path):
    export_labels(labels[0], "bedlam", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    expected = read_bedlam(tmp_path / "out.npz", "coco", "train").columns["joints_2d"]
    del file["part"], file["openpose"]
    np.savez(tmp_path / "camerahmr.npz", **file)
    joints = read_bedlam(tmp_path / "camerahmr.npz", "coco", "train").columns["joints_2d"]
    np.testing.assert_array_equal(joints[:, :44], expected[:, :44])


def test_wrong_files_are_named(labels, tmp_path):
    export_labels(labels[0], "bedlam", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    file["cam_int"][3, 0, 0] = np.inf
    np.savez(tmp_path / "bad.npz", **file)
    with pytest.raises(LabelError, match=r"bad\.npz: person 3: cam_int is not finite"):
        read_bedlam(tmp_path / "bad.npz", "coco", "train")


def save(path, file, **replaced):
    """The arrays of a file with some replaced; None leaves one out."""
    np.savez(path, **{name: value for name, value in {**file, **replaced}.items() if value is not None})


def test_pose_stands_for_pose_cam_and_cameras_may_be_missing(labels, tmp_path):
    """CameraHMR's files of real images: pose, a scale of two, no cam_ext, no trans_cam."""
    folder, columns = labels
    export_labels(folder, "bedlam", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    pose = file.pop("pose_cam")
    scale = np.stack([file["scale"] / 2, file["scale"]], axis=1)
    save(tmp_path / "a.npz", file, pose=pose.reshape(6, 24, 3), scale=scale, cam_ext=None, trans_cam=None)
    read = read_bedlam(tmp_path / "a.npz", "coco", "train").columns
    np.testing.assert_array_equal(read["body_pose"], columns["body_pose"])
    np.testing.assert_allclose(read["box"], columns["box"], atol=1e-4)
    np.testing.assert_allclose(read["princpt"], columns["princpt"])
    assert "transl" not in read
    # A file with both means pose_cam, as the reader takes it.
    save(tmp_path / "b.npz", file, pose=np.zeros_like(pose), pose_cam=pose, cam_int=None, trans_cam=None)
    read = read_bedlam(tmp_path / "b.npz", "coco", "train").columns
    np.testing.assert_array_equal(read["body_pose"], columns["body_pose"])
    assert not {"transl", "focal", "princpt"} & set(read), "cam_ext says no translation, and there is no cam_int"
    save(tmp_path / "c.npz", file, pose_cam=pose, cam_ext=None)
    np.testing.assert_array_equal(read_bedlam(tmp_path / "c.npz", "coco", "train").columns["transl"], columns["transl"])


def test_people_without_a_body_are_left_out(labels, tmp_path):
    export_labels(labels[0], "bedlam", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    file["pose_cam"][2] = np.nan
    save(tmp_path / "a.npz", file, has_smpl=[1, 1, 0, 1, 0, 1])
    columns, _, left_out = read_bedlam(tmp_path / "a.npz", "coco", "train")
    assert {len(values) for values in columns.values()} == {4}
    assert left_out == {"has_smpl is 0": 2}
