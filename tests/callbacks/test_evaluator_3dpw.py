"""The evaluator: the right bodies, everyone once, one number a protocol."""

import numpy as np
import pytest
from torch.utils.data import Subset

from body_models.smpl import BodyModel
from callbacks.evaluator_3dpw import ThreeDPWEvaluator
from callbacks.person_errors import Evaluation, EvaluationError
from tests.support.people import Oracle, People, loader, trainer


def run(evaluator, people, error=0.0, **options):
    return trainer(evaluator, **options).test(Oracle(error), loader(people), verbose=False)[0]


def test_perfect_parameters_still_differ_by_the_gender(tmp_path):
    people = People(9, "threedpw", "test")
    evaluator = ThreeDPWEvaluator(folder=tmp_path)
    logged = run(evaluator, people)
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
    evaluator = ThreeDPWEvaluator()
    run(evaluator, people, error=0.2)
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
        run(ThreeDPWEvaluator(), Subset(people, [0, 1, 2, 3, 3, 0]))


def test_excluded_people_count_in_the_other_protocol_only():
    people = People(6, "threedpw", "test")
    evaluator = ThreeDPWEvaluator(excluded={"smpl24": people.ids[:2]})
    run(evaluator, people, error=0.1)
    assert evaluator.evaluation.excluded == {"lsp14": 0, "smpl24": 2}
    assert np.isfinite(evaluator.evaluation.means()["smpl24_mpjpe"])
    assert set(evaluator.evaluation.per_sequence()) == {"seq0", "seq1", "seq2"}


def test_nan_prediction_is_counted():
    people = People(4, "threedpw", "test")
    evaluator = ThreeDPWEvaluator(protocols=("lsp14",))
    run(evaluator, people, error=float("nan"))
    assert evaluator.evaluation.excluded == {"lsp14": 4}


def test_validation_may_be_limited():
    evaluator = ThreeDPWEvaluator(protocols=("lsp14",))
    trainer(evaluator, limit_val_batches=1).validate(Oracle(), loader(People(6)), verbose=False)
    assert len(evaluator.evaluation.ids) == 4


def test_unknown_protocol_names_the_known():
    with pytest.raises(ValueError, match="lsp14, smpl24"):
        ThreeDPWEvaluator(protocols=("lsp15",))
