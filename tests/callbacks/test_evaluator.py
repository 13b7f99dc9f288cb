"""The evaluator of any data set: true joints beside the batch's, single joints, groups, and what it keeps."""

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from body_models.joint_sets import H36M_JOINTS
from body_models.smpl import BodyModel
from body_models.spec import SMPL
from callbacks.evaluator import MeshEvaluator, TrueJoints
from callbacks.person_errors import Evaluation, EvaluationError
from tests.support.people import Oracle, People, loader, trainer

COUNT = 6


class WithJoints(People):
    """People whose true joints are those of their neutral body."""

    def __getitem__(self, index):
        person = super().__getitem__(index)
        body = BodyModel()
        joints = body.joints(person["global_orient"][None], person["body_pose"][None], person["betas"][None])[0]
        return {**person, "joints_3d": joints, "joints_3d_conf": torch.ones(len(SMPL.body_joints))}


def run(evaluator, people, error=0.0):
    return trainer(evaluator).test(Oracle(error), loader(people), verbose=False)[0]


@pytest.fixture(scope="module")
def people() -> WithJoints:
    return WithJoints(COUNT, "human36m", "test")


def test_joints_of_the_batch_and_of_another_annotation_in_one_pass(people, tmp_path):
    joints = torch.stack([people[i]["joints_3d"] for i in range(COUNT)])
    true = joints[:, [SMPL.index[name] for name in H36M_JOINTS]].numpy()
    moved = true + np.eye(17, dtype=np.float32)[12][:, None] * 0.1  # the left elbow, by 10 cm along each axis
    evaluator = MeshEvaluator(
        "human36m", ["h36m"], folder=tmp_path, excluded={"p2": people.ids[:2]},
        truths={"p2": TrueJoints(people.ids[::-1], moved[::-1].copy())},
        groups={name: f"take {i % 2}" for i, name in enumerate(people.ids)},
    )  # fmt: skip
    logged = run(evaluator, people)
    assert logged["test/human36m/p1_mpjpe"] < 1e-2
    assert logged["test/human36m/p2_mpjpe"] == pytest.approx(100 * 3**0.5 / 14, abs=1e-2)
    evaluation = evaluator.evaluation
    assert evaluation.excluded == {"p1": 0, "p2": 2}
    means = evaluation.joint_means("p2")
    assert means["left_elbow"] == pytest.approx(100 * 3**0.5, abs=1e-2)
    assert max(value for name, value in means.items() if name != "left_elbow") < 1e-2
    assert set(evaluation.per_sequence()) == {"take 0", "take 1"}
    saved = Evaluation.load(tmp_path / "test_human36m.npz")
    np.testing.assert_array_equal(saved.per_joint["p2"], evaluation.per_joint["p2"])
    assert saved.groups.tolist() == evaluation.groups.tolist() and saved.excluded == evaluation.excluded


def test_people_without_a_truth_are_named(people):
    truth = TrueJoints(people.ids[1:], np.zeros((COUNT - 1, 17, 3), np.float32))
    with pytest.raises(EvaluationError, match="h36m/p1: no true joints of human36m/test/seq0/0"):
        run(MeshEvaluator("human36m", ["h36m/p1"], truths={"p1": truth}), people)


def test_worst_and_joined_evaluations():
    first, second = (
        Evaluation.of(np.array(ids), {"p1_mpjpe": np.array(values), "p1_per_joint": np.ones((2, 14))})
        for ids, values in ((["a/b/x/1", "a/b/x/3"], [5.0, np.nan]), (["a/b/y/0", "a/b/y/2"], [7.0, 6.0]))
    )
    joined = Evaluation.join([second, first])
    assert joined.ids.tolist() == ["a/b/x/1", "a/b/x/3", "a/b/y/0", "a/b/y/2"]
    assert joined.worst("p1_mpjpe", 2) == [("a/b/y/0", 7.0), ("a/b/y/2", 6.0)]
    assert joined.sequences.tolist() == ["x", "x", "y", "y"] and joined.excluded == {"p1": 1}
    assert joined.per_sequence()["y"]["p1_mpjpe"] == 6.5


def test_columns_of_no_protocol_are_kept_and_exclude_nobody(tmp_path) -> None:
    """Joint limits of the mean pose lie beside its errors."""
    ids = np.array(["coco/train/1", "coco/train/2"])
    values = {"smpl24_pa_mpjpe": np.array([80.0, np.nan]), "limit_violations": np.zeros(2)}
    Evaluation.of(ids, values).save(tmp_path / "labels.npz")
    found = Evaluation.load(tmp_path / "labels.npz")
    assert found.excluded == {"smpl24": 1} and set(found.values) == set(values)


def threedpw(protocols=("lsp14", "smpl24"), **options):
    return MeshEvaluator("threedpw", protocols, **options)


def run_on(evaluator, people, error=0.0, **options):
    return trainer(evaluator, **options).test(Oracle(error), loader(people), verbose=False)[0]


def test_perfect_parameters_still_differ_by_the_gender(tmp_path):
    people = People(9, "threedpw", "test")
    evaluator = threedpw(folder=tmp_path)
    logged = run_on(evaluator, people)
    values, genders = evaluator.evaluation.values, np.array([people[i]["gender"] for i in range(9)])
    order = [people.ids.index(name) for name in evaluator.evaluation.ids]
    neutral = genders[order] == 0
    assert values["lsp14_mpjpe"][neutral].max() < 1e-3
    assert values["lsp14_mpvpe"][~neutral].min() > 5
    assert logged["test/threedpw/lsp14_pa_mpjpe"] == pytest.approx(np.mean(values["lsp14_pa_mpjpe"]))
    assert logged["test/threedpw/smpl24_mpjae"] == pytest.approx(0, abs=0.1)
    saved = Evaluation.load(tmp_path / "test_threedpw.npz")
    assert saved.means() == evaluator.evaluation.means()
    assert saved.ids.tolist() == evaluator.evaluation.ids.tolist()


def test_lsp14_against_numpy():
    people = Subset(People(1, "threedpw", "test"), [0])  # neutral
    evaluator = threedpw()
    run_on(evaluator, people, error=0.2)
    batch = next(iter(loader(people)))
    body, prediction = BodyModel("free"), Oracle(0.2)(batch)
    true, pred = (
        body(value["global_orient"], value["body_pose"], value["betas"]) for value in (batch, vars(prediction))
    )
    regress = body.mesh_regressor[21 : 21 + 17].numpy().astype(np.float64)
    joints = [regress @ output.vertices[0].numpy().astype(np.float64) for output in (pred, true)]
    chosen = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    moved = [points[chosen] - points[0] for points in joints]
    expected = 1000 * np.linalg.norm(moved[0] - moved[1], axis=1).mean()
    assert evaluator.evaluation.values["lsp14_mpjpe"][0] == pytest.approx(expected, abs=1e-2)
    meshes = [output.vertices[0].numpy() - points[0] for output, points in zip((pred, true), joints, strict=True)]
    expected = 1000 * np.linalg.norm(meshes[0] - meshes[1], axis=1).mean()
    assert evaluator.evaluation.values["lsp14_mpvpe"][0] == pytest.approx(expected, abs=1e-2)


def test_repeated_people_are_an_error_not_a_mean():
    people = People(4, "threedpw", "test")
    with pytest.raises(EvaluationError, match="saw 4 people of 6"):
        run_on(threedpw(), Subset(people, [0, 1, 2, 3, 3, 0]))


def test_excluded_people_count_in_the_other_protocol_only():
    people = People(6, "threedpw", "test")
    evaluator = threedpw(excluded={"smpl24": people.ids[:2]})
    run_on(evaluator, people, error=0.1)
    assert evaluator.evaluation.excluded == {"lsp14": 0, "smpl24": 2}
    assert np.isfinite(evaluator.evaluation.means()["smpl24_mpjpe"])
    assert set(evaluator.evaluation.per_sequence()) == {"seq0", "seq1", "seq2"}


def test_nan_prediction_is_counted():
    people = People(4, "threedpw", "test")
    evaluator = threedpw(protocols=("lsp14",))
    run_on(evaluator, people, error=float("nan"))
    assert evaluator.evaluation.excluded == {"lsp14": 4}


def test_validation_may_be_limited():
    evaluator = threedpw(protocols=("lsp14",))
    trainer(evaluator, limit_val_batches=1).validate(Oracle(), loader(People(6)), verbose=False)
    assert len(evaluator.evaluation.ids) == 4


def test_unknown_protocol_names_the_known():
    with pytest.raises(ValueError, match="lsp14, smpl24"):
        threedpw(protocols=("lsp15",))
