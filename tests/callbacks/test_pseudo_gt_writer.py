"""The dump: what the network says, for everyone, with the camera of the full image."""

import numpy as np
import pytest
import torch
from people_stub import Oracle, People, loader, trainer

from body_models.rotations import axis_angle_to_matrix
from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.pseudo_gt.native import LabelError, read_labels


def test_rows_are_the_predictions(tmp_path):
    people = People(11)
    writer = PseudoGTWriter(tmp_path, people.ids, {"seed": 3}, images=[f"{i}.jpg" for i in range(11)], flush_rows=5)
    trainer(writer).predict(Oracle(), loader(people), return_predictions=False)
    assert writer.tables == [tmp_path / "coco-train"]
    labels = read_labels(tmp_path / "coco-train")
    columns = labels.columns
    assert columns["id"].tolist() == people.ids
    assert columns["image"].tolist() == [f"{i}.jpg" for i in range(11)]
    assert labels.provenance == {"seed": 3}
    for i in range(11):
        person = people[i]
        pose = torch.tensor(np.concatenate([columns["global_orient"][i], columns["body_pose"][i]])).view(24, 3)
        truth = torch.cat((person["global_orient"][None], person["body_pose"]))
        torch.testing.assert_close(axis_angle_to_matrix(pose), truth, atol=1e-5, rtol=0)
    # A 48 px crop of a 96 px box at (10, 20): everything twice as large, the centre at the box's.
    np.testing.assert_allclose(columns["focal"], 2 * 937.5)
    np.testing.assert_allclose(columns["princpt"], [[58.0, 68.0]] * 11)
    np.testing.assert_allclose(columns["error_2d"][1:], 0.1, rtol=1e-5)
    assert np.isnan(columns["error_2d"][0]) and columns["visible_joints"][0] == 0
    assert (columns["visible_joints"][1:] == 10).all()
    assert set(columns["gender"]) == {"neutral"}
    assert "latent" not in columns


def test_each_data_set_gets_its_own_table(tmp_path):
    both = torch.utils.data.ConcatDataset([People(3), People(4, "mpii")])
    ids = [name for part in both.datasets for name in part.ids]
    trainer(PseudoGTWriter(tmp_path, ids, {})).predict(Oracle(), loader(both), return_predictions=False)
    for part, name in zip(both.datasets, ("coco-train", "mpii-train"), strict=True):
        assert read_labels(tmp_path / name).columns["id"].tolist() == part.ids


def test_incomplete_pass_is_an_error_and_removes_old_labels(tmp_path):
    people = People(6)
    writer = PseudoGTWriter(tmp_path, people.ids, {})
    trainer(writer).predict(Oracle(), loader(people), return_predictions=False)
    with pytest.raises(LabelError, match=r"2 missing \(coco/train/seq1/4, coco/train/seq2/5\)"):
        trainer(writer, limit_predict_batches=1).predict(Oracle(), loader(people), return_predictions=False)
    with pytest.raises(LabelError, match="no complete labels"):
        read_labels(tmp_path / "coco-train")
