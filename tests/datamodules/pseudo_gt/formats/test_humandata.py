"""HumanData: its own keys, masks and dicts; read through the restricted unpickler."""

import numpy as np
import pytest

from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.formats.humandata import read_humandata
from datamodules.pseudo_gt.native import LabelError

KEYS = {
    "image_path", "bbox_xywh", "keypoints2d", "keypoints2d_mask", "keypoints2d_convention", "smpl", "meta", "config",
    "__data_len__", "__key_strict__", "__keypoints_compressed__",
}  # fmt: skip


def load(path):
    """As HumanData.load does: arrays without dimensions become what they hold."""
    with np.load(path, allow_pickle=True) as file:
        return {name: file[name].item() if file[name].ndim == 0 else file[name] for name in file.files}


def test_layout(labels, tmp_path):
    folder, columns = labels
    report = export_labels(folder, "humandata", tmp_path / "out.npz")
    assert report.max_px < 0.1
    assert report.max_difference == 0
    file = load(tmp_path / "out.npz")
    assert set(file) == KEYS
    assert (file["__data_len__"], file["__keypoints_compressed__"], file["config"]) == (6, False, "coco-train")
    assert (file["bbox_xywh"].shape, file["keypoints2d"].shape) == ((6, 5), (6, 190, 3))
    assert (file["keypoints2d_mask"].shape, file["keypoints2d_mask"].dtype) == ((190,), np.uint8)
    assert {name: values.shape for name, values in file["smpl"].items()} == {
        "global_orient": (6, 3), "body_pose": (6, 23, 3), "betas": (6, 10), "transl": (6, 3),
    }  # fmt: skip
    assert file["image_path"].dtype.kind == "U"
    assert file["meta"]["gender"] == columns["gender"].tolist()
    np.testing.assert_array_equal(file["keypoints2d"][:, 55], columns["joints_2d"][:, 0])  # nose
    np.testing.assert_array_equal(file["keypoints2d"][:, 145], columns["joints_2d"][:, 11])  # left_hip_extra
    absent = file["keypoints2d_mask"] == 0
    assert not file["keypoints2d"][:, absent].any()
    assert file["keypoints2d_mask"].sum() == 17


def test_compressed_files_are_read(labels, tmp_path):
    export_labels(labels[0], "humandata", tmp_path / "out.npz")
    whole = read_humandata(tmp_path / "out.npz", "coco", "train").columns["joints_2d"]
    file = load(tmp_path / "out.npz")
    mask = file["keypoints2d_mask"].astype(bool)
    file |= {"keypoints2d": file["keypoints2d"][:, mask], "__keypoints_compressed__": True}
    np.savez_compressed(tmp_path / "small.npz", **file)
    np.testing.assert_array_equal(read_humandata(tmp_path / "small.npz", "coco", "train").columns["joints_2d"], whole)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"smpl": {"betas": np.zeros((6, 10))}}, "smpl has no global_orient"),
        ({"smpl": np.zeros(3)}, "smpl holds a ndarray"),
        ({"keypoints2d": np.zeros((6, 17, 3))}, "17 joints, HumanData has 190"),
        ({"keypoints2d": np.zeros((6, 9, 3)), "__keypoints_compressed__": True}, "9 joints, its mask names"),
        ({"bbox_xywh": np.full((6, 5), np.nan)}, "person 0: bbox_xywh is not finite"),
    ],
)
def test_wrong_files_are_named(labels, tmp_path, change, named):
    export_labels(labels[0], "humandata", tmp_path / "out.npz")
    np.savez(tmp_path / "bad.npz", **{**load(tmp_path / "out.npz"), **change})
    with pytest.raises(LabelError, match=named):
        read_humandata(tmp_path / "bad.npz", "coco", "train")


def test_people_without_a_body_are_left_out(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "humandata", tmp_path / "out.npz")
    file = load(tmp_path / "out.npz")
    file["smpl"]["betas"][0] = np.nan
    np.savez(tmp_path / "some.npz", **file, has_smpl=[0, 1, 1, 1, 1, 1])
    read, _, left_out = read_humandata(tmp_path / "some.npz", "coco", "train")
    np.testing.assert_array_equal(read["transl"], columns["transl"][1:])
    assert read["gender"].tolist() == columns["gender"][1:].tolist()
    assert left_out == {"has_smpl is 0": 1}
