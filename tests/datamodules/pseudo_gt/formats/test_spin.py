"""SPIN's npz and static fits: exact keys and types, and nothing lost."""

import numpy as np
import pytest

from body_models.bodies import BodyModels
from body_models.joint_sets import COCO17, SPIN49, convert_joints
from body_models.parameters import BodyParameters
from body_models.spec import SMPL
from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.formats.spin import read_spin, read_spin_fits
from datamodules.pseudo_gt.native import LabelError

KEYS = {
    "imgname": ((), "U"), "center": ((2,), "f8"), "scale": ((), "f8"), "part": ((24, 3), "f4"),
    "openpose": ((25, 3), "f4"), "pose": ((72,), "f4"), "shape": ((10,), "f4"), "has_smpl": ((), "f4"),
    "S": ((24, 4), "f4"), "gender": ((), "U"),
}  # fmt: skip


def check_keys(path, keys, count):
    with np.load(path, allow_pickle=False) as file:  # as SPIN does; an array of objects would be refused
        assert set(file.files) == set(keys)
        for name, (shape, kind) in keys.items():
            assert file[name].shape == (count, *shape), name
            assert file[name].dtype.str[1:].startswith(kind), name
        return dict(file)


def test_layout(labels, tmp_path):
    folder, columns = labels
    report = export_labels(folder, "spin", tmp_path / "out.npz")
    assert (report.people, report.checked, report.max_difference, report.median_px) == (6, 6, 0, None)
    file = check_keys(tmp_path / "out.npz", KEYS, 6)
    # The reader's own arithmetic: a square of side 200 * scale about the centre.
    np.testing.assert_allclose(file["scale"] * 200, columns["box"][:, 2])
    np.testing.assert_allclose(file["center"], columns["box"][:, :2] + columns["box"][:, 2:] / 2, rtol=1e-6)
    assert file["imgname"].tolist() == columns["image"].tolist()
    assert file["gender"].tolist() == ["neutral", "m", "f", "neutral", "neutral", "neutral"]
    np.testing.assert_array_equal(file["part"][:, 19], columns["joints_2d"][:, 0])  # nose
    np.testing.assert_array_equal(file["part"][:, 0], columns["joints_2d"][:, 16])  # right ankle
    assert not file["part"][:, 12:19].any(), "neck to head, which COCO does not annotate"


def test_3d_joints_are_the_body(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "spin", tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")["S"][0]
    one = {name: values[:1] for name, values in columns.items()}
    body = (
        BodyModels("free")
        .joints(BodyParameters.of_columns(one).without_translation())
        .numpy()[0, SMPL.rows(SPIN49)[25:]]
    )
    np.testing.assert_allclose(found[:, :3], body - body[14], atol=1e-5)
    assert (found[:, 3] == 1).all()


def test_read(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "spin", tmp_path / "out.npz")
    read, joint_set, _ = read_spin(tmp_path / "out.npz", "coco", "train")
    assert joint_set == "spin49"
    for name in ("image", "box", "global_orient", "body_pose", "betas", "gender"):
        np.testing.assert_array_equal(read[name], columns[name])
    np.testing.assert_array_equal(read["joints_2d"], convert_joints(columns["joints_2d"], COCO17, SPIN49))


def test_people_without_a_body_are_left_out(labels, tmp_path):
    folder, _ = labels
    export_labels(folder, "spin", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    file["has_smpl"][[0, 2]] = 0
    np.savez(tmp_path / "some.npz", **file)
    assert len(read_spin(tmp_path / "some.npz", "coco", "train").columns["betas"]) == 4


def test_a_filtered_table(labels, tmp_path):
    folder, columns = labels
    keep = np.array([0, 1, 0, 0, 1, 1], dtype=bool)
    assert export_labels(folder, "spin", tmp_path / "out.npz", keep=keep).people == 3
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["shape"], columns["betas"][keep])
    with pytest.raises(LabelError, match="nobody is left"):
        export_labels(folder, "spin", tmp_path / "out.npz", keep=np.zeros(6, dtype=bool))


def test_a_table_that_lacks_a_column(make_labels, tmp_path):
    folder = make_labels(box=None)
    with pytest.raises(LabelError, match="no column box, which spin needs"):
        export_labels(folder, "spin", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_tables_without_joints_have_none(make_labels, tmp_path):
    export_labels(make_labels(joints_2d=None, gender=None), "spin", tmp_path / "out.npz")
    assert not np.load(tmp_path / "out.npz")["part"].any()


def test_fits(labels, tmp_path):
    folder, columns = labels
    report = export_labels(folder, "spin_fits", tmp_path / "coco_fits.npy")
    assert report.max_difference == 0
    fits = np.load(tmp_path / "coco_fits.npy")
    assert (fits.shape, fits.dtype) == ((6, 82), np.float32)
    np.testing.assert_array_equal(fits[:, 3:72], columns["body_pose"])
    np.testing.assert_array_equal(fits[:, 72:], columns["betas"])
    check_keys(tmp_path / "coco_fits.npz", {name: KEYS[name] for name in list(KEYS)[:5]}, 6)


def test_fits_need_their_data_set(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 82)))
    with pytest.raises(LabelError, match=r"copy that to .*a\.npz"):
        read_spin_fits(tmp_path / "a.npy", "coco", "train")
    np.save(tmp_path / "a.npy", np.zeros((3, 81)))
    with pytest.raises(LabelError, match=r"\(N, 82\)"):
        read_spin_fits(tmp_path / "a.npy", "coco", "train")


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("pose", np.zeros((6, 71)), "pose is not numbers"),
        ("shape", np.zeros((5, 10)), "shape has 5 rows, the others have 6"),
        ("scale", np.zeros(6), r"person 0: scale must be positive, got \[0\.\] \(6 such\)"),
        ("scale", np.ones((6, 3)), "scale must be one or two numbers a person, got 3"),
        ("center", np.full((6, 2), np.inf), "person 0: center is not finite"),
    ],
)
def test_wrong_files_are_named(labels, tmp_path, name, value, named):
    export_labels(labels[0], "spin", tmp_path / "out.npz")
    file = {**np.load(tmp_path / "out.npz"), name: value}
    np.savez(tmp_path / "bad.npz", **file)
    with pytest.raises(LabelError, match=named) as error:
        read_spin(tmp_path / "bad.npz", "coco", "train")
    assert "bad.npz" in str(error.value)


def test_a_body_that_is_flagged_absent_may_be_nan_or_nothing(labels, tmp_path):
    folder, columns = labels
    export_labels(folder, "spin", tmp_path / "out.npz")
    file = dict(np.load(tmp_path / "out.npz"))
    file["has_smpl"][[1, 4]] = 0
    file["pose"][1] = np.nan
    shape = np.empty(6, dtype=object)
    for row in range(6):
        shape[row] = None if row == 4 else file["shape"][row]
    file["shape"] = shape
    np.savez(tmp_path / "some.npz", **file)
    read, _, left_out = read_spin(tmp_path / "some.npz", "coco", "train")
    np.testing.assert_array_equal(read["betas"], columns["betas"][[0, 2, 3, 5]])
    assert read["image"].tolist() == columns["image"][[0, 2, 3, 5]].tolist()
    assert left_out == {"has_smpl is 0": 2}
    # A person that stays is named by its row in the file.
    file["pose"][5, 7] = np.nan
    np.savez(tmp_path / "bad.npz", **file)
    with pytest.raises(LabelError, match="person 5: pose is not finite"):
        read_spin(tmp_path / "bad.npz", "coco", "train")
    np.savez(tmp_path / "none.npz", **{**file, "has_smpl": np.zeros(6)})
    with pytest.raises(LabelError, match=r"none\.npz has no label of anybody \(6: has_smpl is 0\)"):
        read_spin(tmp_path / "none.npz", "coco", "train")


def test_fits_of_people_without_a_body_are_left_out(labels, tmp_path):
    export_labels(labels[0], "spin_fits", tmp_path / "a.npy")
    fits, file = np.load(tmp_path / "a.npy"), dict(np.load(tmp_path / "a.npz"))
    fits[3] = np.nan
    np.save(tmp_path / "a.npy", fits)
    np.savez(tmp_path / "a.npz", **file, has_smpl=[1, 1, 1, 0, 1, 1])
    read, _, left_out = read_spin_fits(tmp_path / "a.npy", "coco", "train")
    assert (len(read["betas"]), left_out) == (5, {"has_smpl is 0": 1})
