"""CLIFF's npz: an image-centred camera whose translation is fitted, the pose unchanged."""

import numpy as np
import pytest

from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.formats.cliff import image_centre, read_cliff
from datamodules.pseudo_gt.formats.exchange import LabelBlocks, fit_translation, project_points
from datamodules.pseudo_gt.native import LabelError

SPIN_KEYS = {"imgname", "center", "scale", "part", "openpose", "pose", "shape", "has_smpl", "S", "gender"}


def test_layout(labels, tmp_path):
    folder, columns = labels
    report = export_labels(folder, "cliff", tmp_path / "out.npz")
    assert report.max_difference == 0
    assert 0 < report.median_px < 0.6, "the same focal length with another principal point"
    file = dict(np.load(tmp_path / "out.npz", allow_pickle=False))
    assert set(file) == SPIN_KEYS | {"annot_id", "global_t", "focal_l"}
    assert (file["annot_id"].dtype, file["global_t"].shape, file["focal_l"].shape) == (np.int64, (6, 3), (6,))
    assert [f"coco/train/{key}" for key in file["annot_id"]] == columns["id"].tolist()
    np.testing.assert_allclose(file["focal_l"], columns["focal"].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(file["S"][:, 14, :3], 0)  # the pelvis is at the origin


def test_the_fitted_translation_is_the_best(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "cliff", tmp_path / "out.npz")
    read, *_ = read_cliff(tmp_path / "out.npz", "coco", "train")
    assert read["id"].tolist() == columns["id"].tolist()
    assert "princpt" not in read, "the file does not tell the image's size"
    joints = LabelBlocks(folder).body_joints(columns)
    focal, princpt = columns["focal"], image_centre(columns["image_size"])
    seen = project_points(joints + columns["transl"][:, None], columns["focal"], columns["princpt"])

    def error(transl):
        return ((project_points(joints + transl[:, None], focal, princpt) - seen) ** 2).sum(axis=(1, 2))

    best = error(read["transl"].astype(np.float64))
    for step in np.concatenate([np.eye(3), -np.eye(3)]) * 0.01:
        assert (error(read["transl"] + step) > best).all()


def test_its_own_principal_point_would_give_the_label_back(labels):
    folder, columns = labels
    joints = LabelBlocks(folder).body_joints(columns)
    seen = project_points(joints + columns["transl"][:, None], columns["focal"], columns["princpt"])
    exact = fit_translation(joints, seen, columns["focal"], columns["princpt"])
    np.testing.assert_allclose(exact, columns["transl"], atol=1e-4)


def test_keys_that_are_no_numbers_are_left_out(make_labels, tmp_path):
    folder = make_labels(id=[f"coco/train/a#{i}" for i in range(6)])
    export_labels(folder, "cliff", tmp_path / "out.npz")
    assert "annot_id" not in np.load(tmp_path / "out.npz").files
    assert "id" not in read_cliff(tmp_path / "out.npz", "coco", "train").columns


def test_wrong_files_are_named(labels, tmp_path):
    export_labels(labels[0], "cliff", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    file["global_t"][4, 1] = np.nan
    np.savez(tmp_path / "bad.npz", **file)
    with pytest.raises(LabelError, match=r"bad\.npz: person 4: global_t is not finite"):
        read_cliff(tmp_path / "bad.npz", "coco", "train")
    del file["focal_l"]
    np.savez(tmp_path / "bad.npz", **{**file, "global_t": np.zeros((6, 3))})
    with pytest.raises(LabelError, match="no key focal_l"):
        read_cliff(tmp_path / "bad.npz", "coco", "train")


def test_people_without_a_body_are_left_out(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "cliff", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    file["has_smpl"][2] = 0
    file["global_t"][2] = file["focal_l"][2] = np.nan
    np.savez(tmp_path / "some.npz", **file)
    read, _, left_out = read_cliff(tmp_path / "some.npz", "coco", "train")
    assert read["id"].tolist() == columns["id"][[0, 1, 3, 4, 5]].tolist()
    assert left_out == {"has_smpl is 0": 1}
