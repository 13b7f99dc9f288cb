"""NeuralAnnot JSON: what is written projects, when read back, to where the labels say."""

import json

import numpy as np
import pytest
import torch

from body_models.camera import project
from body_models.smpl import BodyModel
from datamodules.pseudo_gt.formats import export_labels
from datamodules.pseudo_gt.formats.neuralannot import read_neuralannot, read_neuralannot_mocap, write_neuralannot
from datamodules.pseudo_gt.native import LabelError, LabelWriter, body_parameters, read_labels, reproject


@pytest.fixture(scope="module")
def body():
    return BodyModel("standin")


def make_table(folder, ids):
    rng = np.random.default_rng(3)
    n = len(ids)
    columns = {
        "global_orient": np.array([np.pi, 0, 0]) + rng.normal(0, 0.3, (n, 3)),
        "body_pose": rng.normal(0, 0.3, (n, 69)),
        "betas": rng.normal(size=(n, 10)),
        "transl": np.array([0.1, 0.2, 40.0]) + rng.normal(0, 0.1, (n, 3)),
        "focal": rng.uniform(3000, 9000, (n, 2)),
        "princpt": rng.uniform(100, 500, (n, 2)),
    }
    with LabelWriter(folder, joint_set=None, image_root=None, provenance={}) as writer:
        writer.write({"id": ids, **columns})
    return read_labels(folder).columns


@pytest.mark.parametrize("dataset", ["coco", "mpii"])
def test_round_trip_reprojects(tmp_path, body, dataset):
    ids = [f"{dataset}/train/{key}" for key in (900100581904, 5, 17)]
    labels = make_table(tmp_path / "labels", ids)
    path = tmp_path / "out" / "neuralannot.json"
    assert write_neuralannot(tmp_path / "labels", path) == 3
    read = read_neuralannot(path, dataset, "train")
    assert read["id"].tolist() == ids
    expected = project(body.joints(**body_parameters(labels)), *map(torch.tensor, (labels["focal"], labels["princpt"])))
    np.testing.assert_allclose(reproject(read, body, rows=2), expected.numpy(), atol=0.01)


def test_layout_is_the_published_one(tmp_path):
    labels = make_table(tmp_path / "labels", ["mpii/train/12"])
    write_neuralannot(tmp_path / "labels", tmp_path / "out.json")
    person = json.loads((tmp_path / "out.json").read_text())["12"]
    assert {section: {name: len(value) for name, value in fields.items()} for section, fields in person.items()} == {
        "smpl_param": {"pose": 72, "shape": 10, "trans": 3},
        "cam_param": {"focal": 2, "princpt": 2},
    }
    # MPII's own pixels start at 1.
    np.testing.assert_allclose(person["cam_param"]["princpt"], labels["princpt"][0] + 1, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"5": ', "truncated"),
        ("[]", "an object at its top"),
        ('{"5": {"smpl_param": {"pose": [0]}}}', "person 5: smpl_param.pose must be 72"),
        ('{"5": {"cam_param": {}}}', "person 5 has no numbers at smpl_param.pose"),
    ],
)
def test_bad_files_are_named(tmp_path, content, named):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(LabelError, match=named) as error:
        read_neuralannot(path, "coco", "train")
    assert str(path) in str(error.value)


def write_world(folder, ids):
    rng = np.random.default_rng(3)
    sizes = {"global_orient": 3, "body_pose": 69, "betas": 10, "transl": 3}
    columns = {name: rng.normal(size=(len(ids), size)).astype(np.float32) for name, size in sizes.items()}
    with LabelWriter(folder, joint_set=None, image_root=None, provenance={}, frame="world") as writer:
        writer.write({"id": ids, **columns})
    return columns


def test_mocap_layout(tmp_path):
    ids = [f"mpi_inf_3dhp/train/{place}" for place in ("1/1/0", "1/2/5", "1/1/7", "2/1/0")]
    columns = write_world(tmp_path / "labels", ids)
    report = export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out.json")
    assert (report.people, report.median_px) == (4, None)
    assert report.max_difference < 1e-6
    content = json.loads((tmp_path / "out.json").read_text())
    assert {subject: {name: list(frames) for name, frames in by.items()} for subject, by in content.items()} == {
        "1": {"1": ["0", "7"], "2": ["5"]},
        "2": {"1": ["0"]},
    }
    np.testing.assert_allclose(content["1"]["2"]["5"]["trans"], columns["transl"][1], atol=1e-6)
    read = read_neuralannot_mocap(tmp_path / "out.json", "mpi_inf_3dhp", "train")
    assert set(read["id"]) == set(ids)
    assert read["frame"].tolist() == [0, 7, 5, 0]
    assert read["sequence"].tolist() == ["1", "1", "2", "1"]


def test_mocap_needs_the_world(tmp_path):
    make_table(tmp_path / "labels", ["coco/train/5"])
    with pytest.raises(LabelError, match="is in the camera frame"):
        export_labels(tmp_path / "labels", "neuralannot_mocap", tmp_path / "out.json")
    write_world(tmp_path / "world", ["human36m/train/5"])
    with pytest.raises(LabelError, match="dataset/split/subject/sequence/frame"):
        export_labels(tmp_path / "world", "neuralannot_mocap", tmp_path / "out.json")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"1": {"2": [1]}}', "subject 1, sequence 2 holds a list"),
        ('{"5": {"smpl_param": {"pose": [0]}}}', "the frame is no number"),
        ('{"1": {"2": {"3": {"pose": [0]}}}}', "subject 1, sequence 2, frame 3: pose must be 72"),
    ],
)
def test_bad_mocap_files_are_named(tmp_path, content, named):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(LabelError, match=named):
        read_neuralannot_mocap(path, "mpi_inf_3dhp", "train")
