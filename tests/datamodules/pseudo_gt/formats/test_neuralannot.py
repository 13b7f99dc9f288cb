"""NeuralAnnot JSON: what is written projects, when read back, to where the labels say."""

import json

import numpy as np
import pytest
import torch

from body_models.bodies import BodyModels
from body_models.camera import project
from body_models.parameters import BodyParameters
from datamodules.pseudo_gt.formats.neuralannot import read_neuralannot, write_neuralannot
from datamodules.pseudo_gt.native import LabelError, LabelWriter, read_labels, reproject


@pytest.fixture(scope="module")
def body():
    return BodyModels("free", batch_size=2)


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
    read = read_neuralannot(path, dataset, "train").columns
    assert read["id"].tolist() == ids
    expected = project(
        body.joints(BodyParameters.of_columns(labels)), *map(torch.tensor, (labels["focal"], labels["princpt"]))
    )
    np.testing.assert_allclose(reproject(read, body), expected.numpy(), atol=0.01)


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


def test_people_whose_label_is_null_are_left_out(tmp_path):
    make_table(tmp_path / "labels", ["coco/train/12", "coco/train/7"])
    write_neuralannot(tmp_path / "labels", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    (tmp_path / "some.json").write_text(json.dumps({"3": None, **content, "4": {"smpl_param": None}}))
    columns, _, left_out = read_neuralannot(tmp_path / "some.json", "coco", "train")
    assert columns["id"].tolist() == ["coco/train/12", "coco/train/7"]
    assert left_out == {"its label is null": 2}
    (tmp_path / "none.json").write_text('{"3": null}')
    with pytest.raises(LabelError, match=r"none\.json has no label of anybody \(1: its label is null\)"):
        read_neuralannot(tmp_path / "none.json", "coco", "train")


def test_numbers_too_large_for_a_table_are_refused_in_a_short_line(tmp_path):
    make_table(tmp_path / "labels", ["coco/train/12"])
    write_neuralannot(tmp_path / "labels", tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text())
    content["12"]["smpl_param"]["pose"][5] = 1e300
    (tmp_path / "huge.json").write_text(json.dumps(content))
    with pytest.raises(LabelError, match=r"pose must be 72 finite numbers, got 1e\+300 at place 5 \(1 such\)") as error:
        read_neuralannot(tmp_path / "huge.json", "coco", "train")
    assert len(str(error.value)) < 120 + len(str(tmp_path))
