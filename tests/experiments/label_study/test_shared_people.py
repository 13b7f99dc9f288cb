"""Label tables compared: every figure against its formula, imported tables with little in them, and the files."""

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from body_models.bodies import BodyModels
from body_models.joint_limits import violations
from body_models.joint_sets import COCO17
from body_models.parameters import BodyParameters
from body_models.spec import SMPL
from datamodules.pseudo_gt.native import LabelError, LabelWriter, read_people
from experiments.commands.labels.compare_labels import main
from experiments.label_study import shared_people
from experiments.label_study.shared_people import compare_sets, open_sets, path_names

PEOPLE = 5
TURN = Rotation.from_rotvec([0, np.radians(30), 0])


def bodies():
    """Columns of five people in front of a camera, with the 2D joints that the body really has, 3 px to the right."""
    rng = np.random.default_rng(0)
    columns = {
        "id": np.array([f"coco/train/{i}" for i in range(PEOPLE)]),
        "image": np.array(["one.png"] * PEOPLE),
        "box": np.tile(np.float32([10, 10, 100, 100]), (PEOPLE, 1)),
        "global_orient": np.tile(np.float32([np.pi, 0, 0]), (PEOPLE, 1)),
        "body_pose": rng.normal(0, 0.2, (PEOPLE, 69)).astype(np.float32),
        "betas": rng.normal(0, 1, (PEOPLE, 10)).astype(np.float32),
        "transl": np.tile(np.float32([0, 0, 30]), (PEOPLE, 1)),
        "focal": np.full((PEOPLE, 2), 1000, np.float32),
        "princpt": np.full((PEOPLE, 2), 60, np.float32),
        "gender": np.full(PEOPLE, "neutral"),
        "prior_score": np.float32([1, 2, 3, 4, 5]),
    }
    joints = posed(columns, with_transl=True)[:, SMPL.rows(COCO17)]
    points = joints[..., :2] / joints[..., 2:] * 1000 + 60 + [3, 0]
    confidence = np.ones((PEOPLE, 17, 1))
    confidence[0], confidence[1, 5:] = 0, 0
    columns["joints_2d"] = np.concatenate([points, confidence], axis=2).astype(np.float32)
    return columns


def posed(columns, with_transl=False):
    parameters = BodyParameters.of_columns(columns)
    return BodyModels().joints(parameters if with_transl else parameters.without_translation()).numpy()


def turned(columns):
    root = Rotation.from_rotvec(columns["global_orient"])
    return {**columns, "global_orient": (TURN * root).as_rotvec().astype(np.float32)}


def write(folder, columns, rows, drop=(), image_root=None):
    with LabelWriter(folder, joint_set="coco17", image_root=image_root, provenance={}) as writer:
        writer.write({name: values[rows] for name, values in columns.items() if name not in drop})
    return folder


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """Function of two tables' columns: the first of people 0 to 3, the second of 4 to 1, backwards."""
    monkeypatch.setattr(shared_people, "_BLOCK", 2)

    def compare(first, second, drop=(), truth=None):
        folders = [
            write(tmp_path / "a" / "labels" / "coco-train", first, [0, 1, 2, 3]),
            write(tmp_path / "b" / "labels" / "coco-train", second, [4, 3, 2, 1], drop),
        ]
        (tmp_path / "scratch").mkdir()
        return compare_sets(open_sets(folders), tmp_path / "scratch", truth=truth)

    return compare


def test_tables_are_aligned_by_id(compared):
    columns = bodies()
    result = compared(columns, columns)
    assert result.ids.tolist() == ["coco/train/1", "coco/train/2", "coco/train/3"] and result.union == 5
    assert [one.name for one in result.sets] == ["a", "b"]
    for values in result.pairs[0, 1].values():
        np.testing.assert_allclose(values, 0, atol=1e-3)
    assert result.sets[1].values["prior_score"].tolist() == [2, 3, 4]


def test_a_turned_body_differs_by_its_turn(compared):
    columns = bodies()
    values = compared(columns, turned(columns)).pairs[0, 1]
    joints = posed(columns)[1:4, :24]
    joints = joints - joints[:, :1]
    expected = 1000 * np.linalg.norm(joints @ TURN.as_matrix().T - joints, axis=-1).mean(axis=1)
    np.testing.assert_allclose(values["mpjpe"], expected, atol=0.01)
    np.testing.assert_allclose(values["pa_mpjpe"], 0, atol=0.01)
    np.testing.assert_allclose(values["orientation"], 30, atol=0.01)


def test_pa_mpjpe_is_procrustes(compared):
    columns = bodies()
    other = {**columns, "body_pose": columns["body_pose"] * 0.3}
    found = compared(columns, other).pairs[0, 1]["pa_mpjpe"]
    for row, a, b in zip(range(3), posed(columns)[1:4, :24], posed(other)[1:4, :24], strict=True):
        a, b = a - a.mean(0), b - b.mean(0)
        aligned = Rotation.align_vectors(b, a)[0].apply(a)
        scale = (aligned * b).sum() / (a**2).sum()
        assert found[row] == pytest.approx(1000 * np.linalg.norm(scale * aligned - b, axis=1).mean(), abs=0.02)


def test_figures_of_a_table_that_brings_none_are_computed(compared):
    """The 2D error of the second on the joints of the first: all of them are 3 px off, in boxes of 100 px."""
    columns = bodies()
    columns["prior_score"] = columns["prior_score"] * np.nan
    result = compared(columns, columns, drop=("joints_2d", "box", "image", "prior_score"))
    for one in result.sets:
        np.testing.assert_allclose(one.values["error_2d"], 3.0, atol=0.02)
        assert "prior_score" not in one.values and one.mean("prior_score") is None
        expected = np.abs(columns["betas"][1:4]).max(axis=1)
        np.testing.assert_allclose(one.values["max_abs_beta"], expected, rtol=1e-6)
        limits = violations(BodyParameters.of_columns(columns).body_pose[1:4]).sum(-1)
        assert one.values["limit_violations"].tolist() == limits.tolist()
    assert result.joints_of == "a"


def test_a_table_without_a_camera_has_no_2d_error(compared):
    result = compared(bodies(), bodies(), drop=("transl", "focal", "princpt", "gender"))
    assert "error_2d" in result.sets[0].values and "error_2d" not in result.sets[1].values


def test_true_errors_of_whom_the_truth_is_known(compared, tmp_path):
    columns = bodies()
    known = [1, 2]
    np.savez(tmp_path / "truth.npz", **{name: columns[name][known] for name in ("id", *shared_people._BODY, "gender")})
    result = compared(columns, turned(columns), truth=tmp_path / "truth.npz")
    np.testing.assert_allclose(result.sets[0].values["mpvpe"][:2], 0, atol=1e-3)
    assert np.isnan(result.sets[0].values["mpvpe"][2])
    joints = posed(columns)[1:3, :24]
    joints = joints - joints[:, :1]
    expected = 1000 * np.linalg.norm(joints @ TURN.as_matrix().T - joints, axis=-1).mean(axis=1)
    np.testing.assert_allclose(result.sets[1].values["mpjpe"][:2], expected, atol=0.01)


def test_people_are_read_in_the_order_asked(tmp_path):
    columns = bodies()
    write(tmp_path, columns, [0, 1, 2, 3, 4])
    found = read_people(tmp_path, ["coco/train/3", "coco/train/0"])
    np.testing.assert_array_equal(found["betas"], columns["betas"][[3, 0]])


def test_names_are_where_the_paths_differ(tmp_path):
    folders = [tmp_path / "x" / run / "labels" / "coco-train" for run in ("e1/none", "e2/three")]
    assert path_names(folders) == ["e1/none", "e2/three"]
    assert path_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


def test_command_writes_json_and_a_page_with_the_people(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "one.png"), np.full((120, 120, 3), 200, np.uint8))
    columns = bodies()
    a = write(tmp_path / "a", columns, slice(None), image_root=str(tmp_path))
    other = {**columns, "body_pose": columns["body_pose"] * np.float32([[1], [1.1], [1.2], [1.3], [1.4]])}
    b = write(tmp_path / "b", other, slice(None), drop=("image", "box", "joints_2d"))
    assert main([str(a), str(b), "--out", str(tmp_path / "out"), "--people", "1"]) == 0
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert content["shared"] == 5 and [one["labels"] for one in content["tables"]] == [5, 5]
    assert content["people"]["least"][0]["id"] == "coco/train/0"
    most = content["people"]["most"][0]
    assert most["pa_mpjpe"] > content["people"]["median"][0]["pa_mpjpe"] > 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<section") == 3 and most["id"] in page and "://" not in page.replace("http://www.w3.org", "")
    assert "PA-MPJPE between tables" in capsys.readouterr().out


def test_what_cannot_be_drawn_is_said(tmp_path):
    columns = bodies()
    folders = [write(tmp_path / name, columns, slice(None), image_root=str(tmp_path)) for name in "ab"]
    assert main([*map(str, folders), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"The images are not at {tmp_path}" in page and "<section" not in page


def test_tables_that_cannot_be_compared(tmp_path, capsys):
    columns = bodies()
    a = write(tmp_path / "a", columns, [0, 1])
    b = write(tmp_path / "b", columns, [2, 3])
    with pytest.raises(LabelError, match="nobody in common"):
        main([str(a), str(b), "--out", str(tmp_path / "out")])
    with pytest.raises(LabelError, match="two different label tables"):
        main([str(a), str(a)])
    with pytest.raises(SystemExit) as stopped:
        main([str(a), str(b), "--baseline", "c"])
    assert stopped.value.code == 2 and "--baseline c is none of a, b" in capsys.readouterr().err
