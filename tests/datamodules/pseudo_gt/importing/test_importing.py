"""Published files become label tables under the ids of the data set's own people, in whatever order they come."""

import json

import numpy as np
import pytest

from datamodules.pseudo_gt.formats import FORMATS, export_labels
from datamodules.pseudo_gt.formats.exchange import LabelBlocks, project_points
from datamodules.pseudo_gt.importing import import_labels
from datamodules.pseudo_gt.native import LabelError, read_labels


def seen(folder, columns):
    joints = LabelBlocks(folder).body_joints(columns) + columns["transl"][:, None]
    return project_points(joints, columns["focal"], columns["princpt"])


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "neuralannot_mocap"])
def test_ids_are_the_data_set_s_own(coco, ours, tmp_path, format):
    folder, columns = ours
    path = tmp_path / FORMATS[format].name
    export_labels(folder, format, path)
    report = import_labels(path, format, tmp_path / "back", "coco", "train", coco)
    assert (report.people, report.left_out, report.without) == (len(coco), {}, 0)
    table = read_labels(tmp_path / "back")
    assert (table.joint_set, table.image_root, table.frame) == ("coco17", coco.image_root, "camera")
    assert table.provenance["format"] == format
    rows = table.rows_of(columns["id"])
    for name in ("body_pose", "betas"):
        np.testing.assert_allclose(table.columns[name][rows], columns[name], atol=1e-5)
    for name in ("image", "image_size", "person_box", "joints_2d"):
        np.testing.assert_array_equal(table.columns[name][rows], columns[name])
    if FORMATS[format].camera != "none":
        found = {name: values[rows] for name, values in table.columns.items()}
        pixels = np.linalg.norm(seen(folder, found) - seen(folder, columns), axis=-1)
        assert np.median(pixels) < {"free": 0.1, "image centre": 5, "weak perspective": 0.3}[FORMATS[format].camera]


def test_image_names_of_2014_and_moved_boxes_are_matched(coco, ours, tmp_path):
    folder, columns = ours
    export_labels(folder, "spin", tmp_path / "spin.npz")
    file = dict(np.load(tmp_path / "spin.npz"))
    file["imgname"] = np.array([f"train2014/COCO_train2014_{name.rsplit('/')[-1]}" for name in file["imgname"]])
    file["scale"] *= 1.2 / 1.25
    file["part"][..., :2] += 0.5
    np.savez(tmp_path / "published.npz", **file)
    report = import_labels(tmp_path / "published.npz", "spin", tmp_path / "back", "coco", "train", coco)
    assert report.people == len(coco)
    table = read_labels(tmp_path / "back")
    np.testing.assert_array_equal(table.columns["betas"][table.rows_of(columns["id"])], columns["betas"])
    assert report.missing == ["transl", "focal", "princpt"]


def test_whoever_fits_nobody_is_left_out(coco, ours, tmp_path):
    export_labels(ours[0], "spin", tmp_path / "spin.npz")
    file = dict(np.load(tmp_path / "spin.npz"))
    for name in ("part", "openpose"):
        file[name][0] = 0
    file["center"][0] = [-900, -900]
    file["imgname"] = np.array(["other.jpg" if i == 1 else name for i, name in enumerate(file["imgname"])])
    doubled = {name: np.concatenate([values, values[-1:]]) for name, values in file.items()}
    np.savez(tmp_path / "published.npz", **doubled)
    report = import_labels(tmp_path / "published.npz", "spin", tmp_path / "back", "coco", "train", coco)
    assert (report.people, report.without) == (len(coco) - 2, 2)
    assert report.left_out == {"no such person in the source": 3}
    assert set(ours[1]["id"][2:]) == set(read_labels(tmp_path / "back").columns["id"])


def test_another_data_set_is_an_error(coco, ours, tmp_path):
    export_labels(ours[0], "neuralannot", tmp_path / "a.json")
    with pytest.raises(
        LabelError,
        match=r"none of its .* people is of coco-train: ids there are like coco/train/\d+, here like mpii/train/\d+",
    ):
        import_labels(tmp_path / "a.json", "neuralannot", tmp_path / "back", "mpii", "train", coco)
    assert not (tmp_path / "back").exists()


def test_without_a_source(ours, tmp_path):
    export_labels(ours[0], "cliff", tmp_path / "cliff.npz")
    import_labels(tmp_path / "cliff.npz", "cliff", tmp_path / "keys", "coco", "train")
    table = read_labels(tmp_path / "keys")
    assert table.columns["id"].tolist() == ours[1]["id"].tolist()
    assert table.joint_set == "spin49"
    assert "focal" not in table.columns, "half a camera"
    export_labels(ours[0], "spin", tmp_path / "spin.npz")
    report = import_labels(tmp_path / "spin.npz", "spin", tmp_path / "names", "coco", "train")
    assert report.ids == "image names, numbered"
    ids = read_labels(tmp_path / "names").columns["id"]
    image = ours[1]["image"][0]
    assert ids[0] == f"coco/train/{image}#0"
    assert f"coco/train/{image}#1" in ids


def test_labels_that_readers_leave_out_are_counted(coco, ours, tmp_path):
    export_labels(ours[0], "spin", tmp_path / "spin.npz")
    file = dict(np.load(tmp_path / "spin.npz"))
    file["has_smpl"][:2] = 0
    file["pose"][:2] = np.nan
    np.savez(tmp_path / "published.npz", **file)
    report = import_labels(tmp_path / "published.npz", "spin", tmp_path / "back", "coco", "train", coco)
    assert (report.found, report.people, report.without) == (len(coco), len(coco) - 2, 2)
    assert report.left_out == {"has_smpl is 0": 2}
    assert "  2 left out: has_smpl is 0" in report.lines()


def test_images_whose_names_fit_several_are_counted(coco, ours, tmp_path):
    export_labels(ours[0], "spin", tmp_path / "spin.npz")
    file = dict(np.load(tmp_path / "spin.npz"))
    name = file["imgname"][0].removeprefix("train2017/")
    count = sum(one.endswith(name) for one in file["imgname"])
    twice = {
        key: np.concatenate([values, values[file["imgname"] == file["imgname"][0]]]) for key, values in file.items()
    }
    twice["imgname"] = np.array(
        [f"copy{i}/{one}" if one.endswith(name) else one for i, one in enumerate(twice["imgname"])]
    )
    np.savez(tmp_path / "published.npz", **twice)
    report = import_labels(tmp_path / "published.npz", "spin", tmp_path / "back", "coco", "train", coco)
    assert report.left_out == {"the name of its image fits several images of the source": 2 * count}
    assert report.people == len(coco) - count


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (
            {"imgname": np.array(["elsewhere/7.jpg"])},
            r"the names of its images are others; there they are like .*, here",
        ),
        ({"center": np.array([[5000.0, 5000.0]])}, "are on its images, but neither their joints nor their boxes"),
    ],
)
def test_the_true_cause_is_named(coco, ours, tmp_path, change, cause):
    export_labels(ours[0], "spin", tmp_path / "spin.npz")
    file = dict(np.load(tmp_path / "spin.npz"))
    for name, value in {**change, "part": np.zeros((1, 24, 3)), "openpose": np.zeros((1, 25, 3))}.items():
        file[name] = np.repeat(value, len(coco), axis=0)
    np.savez(tmp_path / "published.npz", **file)
    with pytest.raises(LabelError, match=cause) as error:
        import_labels(tmp_path / "published.npz", "spin", tmp_path / "back", "coco", "train", coco)
    assert "published.npz" in str(error.value)
    assert "ids" not in str(error.value)


def test_labels_of_the_world_take_no_source(coco, tmp_path):
    body = {"pose": [0.1] * 72, "shape": [0] * 10, "trans": [0, 0, 3]}
    (tmp_path / "a.json").write_text(json.dumps({"4": {"2": {"7": body}}}))
    with pytest.raises(
        LabelError, match="one body a frame in the world, no people of coco-train: leave out the source"
    ):
        import_labels(tmp_path / "a.json", "neuralannot_mocap", tmp_path / "back", "mpi_inf_3dhp", "train", coco)
    report = import_labels(tmp_path / "a.json", "neuralannot_mocap", tmp_path / "back", "mpi_inf_3dhp", "train")
    table = read_labels(tmp_path / "back")
    assert (report.people, table.frame) == (1, "world")
    assert table.columns["id"].tolist() == ["mpi_inf_3dhp/train/S4/Seq2/7"], "as this project's own tables have it"
