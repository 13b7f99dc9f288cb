"""The dump: what the network says, for everyone, with the camera of the full image."""

import dataclasses

import numpy as np
import pytest
import torch

from body_models.joint_limits import degrees_outside
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.pseudo_gt.native import LabelError, read_labels
from datamodules.pseudo_gt.shards import DumpTable
from datamodules.samplers import UnpaddedSampler
from lightning_modules.fitting.refinement import Refiner
from lightning_modules.fitting.smplify import SMPLify
from lightning_modules.priors.pose_mixture import PoseMixture
from tests.support.people import Oracle, People, loader, people_table, trainer


def dump_table(tmp_path, people, key=None, **provenance):
    table = people_table(tmp_path / "cache", people)
    return DumpTable(tmp_path / table.name, table, provenance, key)


def dump(people, *tables, network=None, **options):
    writer = PseudoGTWriter(tables, mirror=False, flush_rows=5)
    trainer(writer, **options).predict(network or Oracle(), loader(people), return_predictions=False)


def test_rows_are_the_predictions(tmp_path):
    people = People(11)
    dump(people, dump_table(tmp_path, people, seed=3))
    labels = read_labels(tmp_path / "coco-train")
    columns = labels.columns
    assert columns["id"].tolist() == people.ids
    assert columns["image"].tolist() == [f"{i}.jpg" for i in range(11)]
    assert labels.provenance["seed"] == 3
    assert (labels.joint_set, labels.frame) == ("coco17", "camera")
    assert columns["image_size"].tolist() == [[640, 480]] * 11
    assert columns["person_box"][:, 2].tolist() == [50 + i for i in range(11)]
    np.testing.assert_array_equal(columns["joints_2d"][:, 3, 1], np.arange(11))
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
    assert set(columns["refinement"]) == {"none"}
    assert np.isnan(columns["prior_score"]).all() and np.isnan(columns["mirror_disagreement"]).all()
    outside = degrees_outside(axis_angle_to_matrix(torch.tensor(columns["body_pose"]).view(11, 23, 3)))
    np.testing.assert_allclose(columns["limit_excess_deg"], outside.sum(1), atol=0.01)
    assert columns["limit_violations"].tolist() == (outside > 0.1).sum(1).tolist()
    np.testing.assert_allclose(columns["max_abs_beta"], np.abs(columns["betas"]).max(1))


class Consistent(Oracle):
    """Sees the mirror image of a person as the mirror image of the body, but for ``slip`` metres of the left wrist."""

    slip = 0.0

    def forward(self, batch):
        prediction = super().forward(batch)
        rotations = torch.cat((prediction.global_orient[:, None], prediction.body_pose), dim=1)
        # The oracle says the body of the batch, which is mirrored with the image.
        flipped = bool((batch["image"][..., 0] > batch["image"][..., -1]).all())
        joints = BodyModel("free").joints(rotations[:, 0], rotations[:, 1:], torch.zeros(len(rotations), 10))
        # The left wrist of the mirrored body is the right one's image.
        joints[:, 21 if flipped else 20, 1] += self.slip * flipped
        prediction.joints_3d = joints
        return prediction


@pytest.mark.parametrize("slip", [0.0, 0.023])
def test_mirror_disagreement_is_what_the_mirror_image_changes(tmp_path, slip):
    people = People(4)
    batch = next(iter(loader(people)))
    batch["image"] = torch.arange(48, dtype=torch.uint8).expand(4, 3, 48, 48)
    network = Consistent()
    network.slip = slip
    writer = PseudoGTWriter([dump_table(tmp_path, people)])
    trainer(writer).predict(network, torch.utils.data.DataLoader([batch], batch_size=None), return_predictions=False)
    found = read_labels(tmp_path / "coco-train").columns["mirror_disagreement"]
    # The free body is symmetric to about a millimetre.
    np.testing.assert_allclose(found, 1000 * slip / 23, atol=1.0)


def test_prior_score_is_the_mixtures(tmp_path):
    people = People(5)
    mixture = PoseMixture(np.zeros((1, 63)), 0.1 * np.eye(63)[None], [1.0])
    writer = PseudoGTWriter([dump_table(tmp_path, people)], mixture, mirror=False)
    trainer(writer).predict(Oracle(), loader(people), return_predictions=False)
    columns = read_labels(tmp_path / "coco-train").columns
    expected = 63 / 2 * np.log(2 * np.pi * 0.1) + (columns["body_pose"][:, :63] ** 2).sum(1) / 0.2
    np.testing.assert_allclose(columns["prior_score"], expected, rtol=1e-5)


def broad_mixture():
    return PoseMixture(np.zeros((1, 63)), 0.1 * np.eye(63)[None], [1.0])


def test_refined_rows_say_whether_they_were_accepted(tmp_path):
    """Pulled half way to the joints; but everyone whose number is odd also into a pose that nobody takes."""

    def optimiser(batch, start):
        odd = torch.tensor([int(name.rpartition("/")[2]) % 2 for name in batch["id"]])
        pose = axis_angle_to_matrix(odd[:, None, None] * torch.tensor([2.0, 0, 0]).expand(len(odd), 23, 3))
        return dataclasses.replace(
            start, joints_2d=(start.joints_2d + batch["joints_2d"]) / 2, body_pose=pose, betas=start.betas + 1
        )

    people = People(7)
    writer = PseudoGTWriter(
        [dump_table(tmp_path, people)], mirror=False, flush_rows=5, refiner=Refiner(optimiser, broad_mixture())
    )
    trainer(writer).predict(Oracle(), loader(people), return_predictions=False)
    columns = read_labels(tmp_path / "coco-train").columns
    # The first has no annotated joints.
    expected = ["rejected", "rejected", "accepted", "rejected", "accepted", "rejected", "accepted"]
    assert columns["refinement"].tolist() == expected
    for i, word in enumerate(expected):
        step = 1.0 if word == "accepted" else 0.0
        np.testing.assert_allclose(columns["betas"][i] - people[i]["betas"].numpy(), step, atol=1e-6)
        if i:
            assert columns["error_2d"][i] == pytest.approx(0.1 - step * 0.05, rel=1e-4)


def test_an_interrupted_refining_dump_goes_on_bit_by_bit(tmp_path):
    people = People(14)

    class Lost(Oracle):
        def forward(self, batch):
            prediction = super().forward(batch)
            return dataclasses.replace(prediction, joints_2d=prediction.joints_2d + 100)

    def refining(table, limit=1.0):
        served = torch.utils.data.DataLoader(
            people, batch_size=4, sampler=UnpaddedSampler(people, done=table.finished())
        )
        refiner = Refiner(SMPLify(broad_mixture(), iterations=2), broad_mixture(), tolerance=1e6)
        writer = PseudoGTWriter([table], mirror=False, flush_rows=3, refiner=refiner)
        trainer(writer, limit_predict_batches=limit).predict(Lost(), served, return_predictions=False)

    whole, table = (dump_table(tmp_path / name, people, key="a") for name in ("whole", "stopped"))
    refining(whole)
    with pytest.raises(LabelError, match="6 missing"):
        refining(table, limit=2)
    assert table.finished().sum() == 8
    refining(table)
    one, two = (read_labels(each.folder).columns for each in (whole, table))
    assert (one["refinement"] == "accepted").any()
    for name, values in one.items():
        np.testing.assert_array_equal(two[name], values, err_msg=name)


def test_each_data_set_gets_its_own_table(tmp_path):
    both = torch.utils.data.ConcatDataset([People(3), People(4, "mpii")])
    dump(both, *(dump_table(tmp_path, part) for part in both.datasets))
    for part, name in zip(both.datasets, ("coco-train", "mpii-train"), strict=True):
        assert read_labels(tmp_path / name).columns["id"].tolist() == part.ids


def test_incomplete_pass_is_an_error_and_removes_old_labels(tmp_path):
    people = People(6)
    table = dump_table(tmp_path, people)
    dump(people, table)
    with pytest.raises(LabelError, match=r"2 missing \(coco/train/seq1/4, coco/train/seq2/5\)"):
        dump(people, table, limit_predict_batches=1)
    with pytest.raises(LabelError, match="no complete labels"):
        read_labels(tmp_path / "coco-train")


def test_strangers_are_named(tmp_path):
    with pytest.raises(LabelError, match=r"1 not in the data set \(coco/train/seq1/4\)"):
        dump(People(5), dump_table(tmp_path, People(4)))
    with pytest.raises(LabelError, match="people of mpii-train are predicted"):
        dump(People(5, "mpii"), dump_table(tmp_path, People(4)))


def test_an_interrupted_dump_goes_on(tmp_path):
    people = People(21)
    whole = dump_table(tmp_path / "whole", people, key="a")
    dump(people, whole)
    table = dump_table(tmp_path, people, key="a")
    with pytest.raises(LabelError, match="5 missing"):
        dump(people, table, limit_predict_batches=4)
    done = table.finished()
    assert done.tolist() == [True] * 16 + [False] * 5
    # Wrong from here on: whose labels are there is passed over, though served.
    writer = PseudoGTWriter([table], mirror=False)
    served = torch.utils.data.DataLoader(people, batch_size=4, sampler=UnpaddedSampler(people, done=done))
    assert [len(batch["id"]) for batch in served] == [4, 1]
    trainer(writer).predict(Oracle(), served, return_predictions=False)
    one, two = (read_labels(folder).columns for folder in (whole.folder, table.folder))
    for name, values in one.items():
        np.testing.assert_array_equal(two[name], values)
    assert not (table.folder / ".shards").exists()
    # Complete: nobody is predicted, and nothing is written.
    before = (table.folder / "labels-00000.parquet").stat().st_mtime_ns
    assert table.finished().all()
    dump(people, table, network=Oracle(1.0))
    assert (table.folder / "labels-00000.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["key", "people"])
def test_parts_of_another_dump_are_not_gone_on_with(tmp_path, change):
    people = People(12)
    with pytest.raises(LabelError, match="missing"):
        dump(people, dump_table(tmp_path, people, key="a"), limit_predict_batches=2)
    others = People(10) if change == "people" else people
    table = dump_table(tmp_path, others, key="a" if change == "people" else "b")
    table.open()
    assert not table.finished().any()
    dump(others, table)
    assert len(read_labels(table.folder)) == len(others)


def test_a_damaged_part_is_made_again(tmp_path):
    people = People(12)
    table = dump_table(tmp_path, people, key="a")
    with pytest.raises(LabelError, match="missing"):
        dump(people, table, limit_predict_batches=2)
    (part,) = table.parts
    part.write_bytes(part.read_bytes()[:-100])
    dump(people, table)
    assert len(read_labels(table.folder)) == 12
