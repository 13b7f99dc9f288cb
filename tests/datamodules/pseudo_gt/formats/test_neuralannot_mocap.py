"""NeuralAnnot's MoCap JSON: keys as published, ids as this project's own tables and sources have them."""

import json

import numpy as np
import pytest

from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.formats.neuralannot_mocap import read_neuralannot_mocap
from datamodules.pseudo_gt.native import LabelError, LabelWriter


def write_labels(folder, ids, frame="world"):
    rng = np.random.default_rng(3)
    sizes = {"global_orient": 3, "body_pose": 69, "betas": 10, "transl": 3}
    columns = {name: rng.normal(size=(len(ids), size)).astype(np.float32) for name, size in sizes.items()}
    with LabelWriter(folder, joint_set=None, image_root=None, provenance={}, frame=frame) as writer:
        writer.write({"id": ids, **columns})
    return columns


def keys_in(path):
    content = json.loads(path.read_text())
    return {first: {second: list(frames) for second, frames in by.items()} for first, by in content.items()}


def test_mpi_inf_3dhp(tmp_path):
    """Readers look up smpl_params["4"]["2"]["7"]; the source's people are of S4/Seq2."""
    ids = [f"mpi_inf_3dhp/train/{place}" for place in ("S1/Seq1/0", "S1/Seq2/5", "S1/Seq1/7", "S4/Seq2/0")]
    columns = write_labels(tmp_path / "labels", ids)
    report = export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out.json")
    assert (report.people, report.median_px) == (4, None)
    assert report.max_difference < 1e-6
    assert keys_in(tmp_path / "out.json") == {"1": {"1": ["0", "7"], "2": ["5"]}, "4": {"2": ["0"]}}
    content = json.loads((tmp_path / "out.json").read_text())
    np.testing.assert_allclose(content["1"]["2"]["5"]["trans"], columns["transl"][1], atol=1e-6)
    read = read_neuralannot_mocap(tmp_path / "out.json", "mpi_inf_3dhp", "train").columns
    assert read["id"].tolist() == [ids[0], ids[2], ids[1], ids[3]]
    assert read["frame"].tolist() == [0, 7, 5, 0]
    assert read["sequence"].tolist() == ["S1/Seq1", "S1/Seq1", "S1/Seq2", "S4/Seq2"]


def test_files_of_older_versions_get_the_same_ids(tmp_path):
    write_labels(tmp_path / "labels", ["mpi_inf_3dhp/train/S4/Seq2/7"])
    export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    (tmp_path / "old.json").write_text(json.dumps({"S4": {"Seq2": content["4"]["2"]}}))
    read = read_neuralannot_mocap(tmp_path / "old.json", "mpi_inf_3dhp", "train").columns
    assert read["id"].tolist() == ["mpi_inf_3dhp/train/S4/Seq2/7"]


def test_human36m_has_one_file_a_subject(tmp_path):
    """Readers open Human36M_subject{S}_SMPL_NeuralAnnot.json and look up [action][subaction][frame]."""
    places = ("S1/act_02_subact_01/0", "S11/act_16_subact_02/64", "S1/act_02_subact_02/5")
    ids = [f"human36m/train/{place}" for place in places]
    columns = write_labels(tmp_path / "labels", ids)
    report = export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out")
    assert (report.people, report.checked) == (3, 3)
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["Human36M_subject11_SMPL_NeuralAnnot.json", "Human36M_subject1_SMPL_NeuralAnnot.json"]
    assert keys_in(tmp_path / "out" / files[1]) == {"2": {"1": ["0"], "2": ["5"]}}
    assert keys_in(tmp_path / "out" / files[0]) == {"16": {"2": ["64"]}}
    read = read_neuralannot_mocap(tmp_path / "out", "human36m", "train").columns
    rows = [read["id"].tolist().index(name) for name in ids]
    np.testing.assert_allclose(read["transl"][rows], columns["transl"], atol=1e-6)
    alone = read_neuralannot_mocap(tmp_path / "out" / files[0], "human36m", "train").columns
    assert (alone["id"].tolist(), alone["sequence"].tolist()) == ([ids[1]], ["S11/act_16_subact_02"])
    with pytest.raises(LabelError, match=r"out\.json is a file; Human3\.6M has one file a subject"):
        (tmp_path / "out.json").write_text("{}")
        export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out.json")


def test_the_subject_of_human36m_is_in_the_file_s_name(tmp_path):
    (tmp_path / "labels.json").write_text('{"2": {"1": {"0": {"pose": [0]}}}}')
    with pytest.raises(LabelError, match="action 2, subaction 1, frame 0: pose must be 72 finite numbers, got 1"):
        read_neuralannot_mocap(tmp_path / "labels.json", "human36m", "train")
    body = {"pose": [0] * 72, "shape": [0] * 10, "trans": [0] * 3}
    (tmp_path / "labels.json").write_text(json.dumps({"2": {"1": {"0": body}}}))
    with pytest.raises(LabelError, match=r"says no subject of Human3\.6M; call it as published, Human36M_subj"):
        read_neuralannot_mocap(tmp_path / "labels.json", "human36m", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelError, match="empty holds no Human36M_subject"):
        read_neuralannot_mocap(tmp_path / "empty", "human36m", "train")


def test_other_data_sets_keep_their_keys(tmp_path):
    ids = ["mine/train/anna/walk_2/3", "mine/train/anna/walk_2/4"]
    write_labels(tmp_path / "labels", ids)
    export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out.json")
    assert keys_in(tmp_path / "out.json") == {"anna": {"walk_2": ["3", "4"]}}
    content = json.loads((tmp_path / "out.json").read_text())
    content["anna"]["walk_2"]["5"] = None
    (tmp_path / "some.json").write_text(json.dumps(content))
    columns, _, left_out = read_neuralannot_mocap(tmp_path / "some.json", "mine", "train")
    assert (columns["id"].tolist(), left_out) == (ids, {"its label is null": 1})


def test_it_needs_the_world_and_the_data_set_s_ids(tmp_path):
    write_labels(tmp_path / "labels", ["coco/train/5"], frame="camera")
    with pytest.raises(LabelError, match="is in the camera frame"):
        export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out.json")
    write_labels(tmp_path / "world", ["human36m/train/5"])
    with pytest.raises(LabelError, match="dataset/split/subject/sequence/frame"):
        export_labels(tmp_path / "world", "neuralannot_mocap", tmp_path / "out.json")
    write_labels(tmp_path / "strange", ["mpi_inf_3dhp/train/a/b/5"])
    with pytest.raises(LabelError, match="a/b is not S1/Seq1 or alike"):
        export_labels(tmp_path / "strange", "neuralannot_mocap", tmp_path / "out.json")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"1": {"2": [1]}}', "subject 1, sequence 2 holds a list"),
        ('{"5": {"smpl_param": {"pose": [0]}}}', "the frame is no number"),
        ('{"1": {"2": {"99999999999": {}}}}', "the frame is no number"),
        ('{"1": {"2": {"3": {"pose": [0]}}}}', "subject 1, sequence 2, frame 3: pose must be 72"),
    ],
)
def test_bad_files_are_named(tmp_path, content, named):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(LabelError, match=named):
        read_neuralannot_mocap(path, "mpi_inf_3dhp", "train")
