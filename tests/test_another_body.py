"""A body of another kind than SMPL goes all the way: trained on, dumped, read back, evaluated and drawn.

The body is a file that the test makes (tests/support/toy_body.py); no product file names it.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from body_models.bodies import BodyModels
from body_models.joint_sets import JOINT_SETS
from body_models.parameters import BodyParameters
from callbacks.evaluator import MeshEvaluator
from callbacks.overlays import OverlayCallback
from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.annotation import AnnotationDataModule
from datamodules.dataset import PeopleDataset
from datamodules.files import AnnotationError
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import body_models_of, read_labels, read_provenance
from datamodules.pseudo_gt.shards import DumpTable
from datamodules.sources.label_table import open_pseudo_gt
from experiments.pictures.gallery import draw_people
from lightning_modules.annotator import AnnotatorModule
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.scoring.protocols import BodyScorer
from tests.support.toy_body import TOY30, write_toy_body, write_toy_people

PEOPLE, STEPS = 12, 40


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(JOINT_SETS, "toy30", TOY30)
    return write_toy_body(tmp_path / "toy.npz")


def open_people(folder: Path, toy: str) -> AnnotationDataModule:
    source = {"kind": "pseudo_gt", "root": str(write_toy_people(folder, toy, PEOPLE))}
    return AnnotationDataModule(
        {"toy": source}, val=source, input_size=48, batch_size=6, num_workers=0, augment=False,
        cache_dir=str(folder / "cache"), body_models=toy,
    )  # fmt: skip


def make_trainer(folder: Path, *callbacks: pl.Callback) -> pl.Trainer:
    return pl.Trainer(
        max_steps=STEPS, accelerator="cpu", logger=False, callbacks=list(callbacks), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, num_sanity_val_steps=0,
        check_val_every_n_epoch=STEPS // 2,
    )  # fmt: skip


def test_an_annotator_of_another_body(tmp_path: Path, toy: str) -> None:
    pl.seed_everything(0, verbose=False)
    data = open_people(tmp_path, toy)
    assert (data.spec.kind, len(data.spec.joints), data.spec.num_vertices, data.spec.shape_size) == (
        "starfish", 30, 600, 12
    )  # fmt: skip
    module = AnnotatorModule("slim", 48, body_models=toy, optimizer={"lr": 5e-4})
    evaluator = MeshEvaluator("toy", ["own"], toy)
    before = make_trainer(tmp_path, evaluator).validate(module, data, verbose=False)[0]
    shown = next(iter(data.val_dataloader()))
    assert shown["body_pose"].shape == (6, 29, 3, 3) and shown["joints_2d"].shape == (6, 35, 2)
    trainer = make_trainer(tmp_path, evaluator, OverlayCallback(shown, toy, tmp_path / "overlays", size=64))
    trainer.fit(module, data)
    assert trainer.callback_metrics["val/all/loss"] < 0.5 * before["val/all/loss"]
    assert 0 < trainer.callback_metrics["val/toy/own_mpjpe"] != before["val/toy/own_mpjpe"]
    picture = cv2.imread(str(next((tmp_path / "overlays").glob("*.jpg"))))
    assert picture.shape == (6 * 64, 3 * 64, 3) and picture[:, 128:].min() < 100

    people = data.target_table("toy")
    dump = DumpTable(tmp_path / "dumped", people, read_provenance(tmp_path / "labels")["provenance"], spec=data.spec)
    make_trainer(tmp_path, PseudoGTWriter([dump])).predict(module, data, return_predictions=False)
    check_labels(tmp_path, toy, people)


def check_labels(folder: Path, toy: str, people: PeopleTable) -> None:
    table, meta = read_labels(folder / "dumped"), read_provenance(folder / "dumped")
    assert meta["body"] == {"kind": "starfish", "rotations": 29, "shape": 12}
    assert body_models_of(meta["provenance"]) == toy
    assert table.columns["id"].tolist() == people.ids()
    assert table.columns["body_pose"].shape == (PEOPLE, 87) and table.columns["betas"].shape == (PEOPLE, 12)
    assert np.isfinite(table.columns["mirror_disagreement"]).all()
    assert not table.columns["limit_violations"].any()  # no joint of it has a range
    again = open_pseudo_gt(str(folder / "dumped"), cache_dir=str(folder / "cache"))
    np.testing.assert_array_equal(again.column("body_pose"), table.columns["body_pose"])

    true = BodyParameters.of_columns({name: people.column(name) for name in ("global_orient", "body_pose", "betas")})
    errors = BodyScorer(toy, ["own"])(BodyParameters.of_columns(table.columns), true)
    assert errors["own_mpjpe"].shape == (PEOPLE,) and errors["own_mpvpe"].isfinite().all()
    person = draw_people(
        ["toy/train/3"], {"toy": table.columns}, folder, BodyModels(toy), {"toy": "#0072b2"}, size=64
    )[0]  # fmt: skip
    assert person.vertices["toy"].shape == (600, 3) and (person.views["toy"].front != person.photo).any()


@pytest.mark.parametrize("head", ["iterative", "pare", "hmr2"])
def test_heads_that_know_no_joint_by_name_regress_any_body(toy: str, head: str, tmp_path: Path) -> None:
    data = open_people(tmp_path, toy)
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    prediction = AnnotatorModule("slim", 48, body_models=toy, head=head)(batch)
    assert prediction.body_pose is not None and prediction.body_pose.shape == (6, 29, 3, 3)


def test_what_knows_only_smpl_says_so(toy: str, tmp_path: Path) -> None:
    data = open_people(tmp_path, toy)
    data.setup("validate")
    with pytest.raises(AnnotationError, match="has 87 numbers of body_pose, the body smpl has 69"):
        PeopleDataset(data.evaluation_table("val"), "toy", 48)
    for head in ("joints", "pose2pose"):
        with pytest.raises(ValueError, match="needs joints that the body starfish does not have: "):
            AnnotatorModule("slim", 48, body_models=toy, head=head)
    with pytest.raises(ValueError, match="the head i2l needs joints that the body starfish does not have"):
        MeshRegressorModule("slim", 48, body_models=toy, family="i2l")
    with pytest.raises(ValueError, match="the prior vposer knows the poses of SMPL's joints"):
        AnnotatorModule("slim", 48, body_models=toy, prior="vposer")
    with pytest.raises(ValueError, match=r"the protocol smpl24 .* needs joints that the body starfish does not have"):
        BodyScorer(toy, ["smpl24"])
    assert torch.isfinite(BodyModels(toy).neutral.joint_template).all()
