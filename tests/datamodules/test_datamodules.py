"""The DataModules under a plain Trainer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from datamodules.annotation import AnnotationDataModule
from datamodules.coco import CocoDataModule
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.mpi_inf_3dhp import MPIINF3DHPDataModule
from datamodules.mpii import MPIIDataModule
from datamodules.people_module import PeopleDataModule
from datamodules.pose2d import Pose2DDataModule
from datamodules.pose_prior import PosePriorDataModule
from datamodules.pseudo_gt.native import LabelError, LabelWriter
from datamodules.threedpw import ThreeDPWDataModule


def flat(batches: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(batches))


class Watcher(pl.LightningModule):
    """Notes whom it sees; its one weight keeps the Trainer content."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[str, list[list[str]]] = {"train": [], "val": [], "test": []}
        self.sources: list[list[str]] = []

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        self.seen["train"].append(batch["id"])
        self.sources.append(batch["source"])
        return self.weight.sum() * batch["image"].float().mean()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.seen["val"].append(batch["id"])

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.seen["test"].append(batch["id"])

    def predict_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> list[str]:
        return batch["id"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    return {"input_size": 48, "batch_size": 4, "num_workers": 0, "cache_dir": str(tmp_path / "cache")}


def trainer(**settings: Any) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return pl.Trainer(accelerator="cpu", logger=False, **quiet, **{"max_epochs": 2, **settings})


def test_coco_trains_on_labelled_people_and_predicts_all(coco_root: Path, common: dict[str, Any]) -> None:
    module, data = Watcher(), CocoDataModule(str(coco_root), crop_cache=True, **common)
    fit = trainer()
    fit.fit(module, data)
    assert [len(ids) for ids in module.seen["train"]] == [4, 4, 4, 4]
    assert "coco/train/1003" not in flat(module.seen["train"])
    assert module.seen["train"][:2] != module.seen["train"][2:]
    predicted = flat(fit.predict(module, data))
    assert sorted(predicted) == [f"coco/train/{number}" for number in range(1000, 1012)]
    assert data.describe() == [
        {
            "source": "coco",
            "people": 12,
            "trained": 11,
            "dropped": {"crowd, not one person": 1, "fewer than 1 annotated joints": 1},
            "notes": [],
        }
    ]


def test_the_workers_do_not_change_what_is_seen(coco_root: Path, common: dict[str, Any]) -> None:
    batches = []
    for workers in (0, 2):
        data = CocoDataModule(str(coco_root), **{**common, "num_workers": workers})
        data.setup("fit")
        batches.append(list(data.train_dataloader()))
    for one, two in zip(*batches, strict=True):
        assert one["id"] == two["id"]
        assert torch.equal(one["image"], two["image"])


def test_each_data_set_works_alone(
    mpii_root: Path, mpi_inf_3dhp_root: Path, threedpw_root: Path, common: dict[str, Any]
) -> None:
    for data, people in (
        (MPIIDataModule(str(mpii_root), **common), 4),
        (MPIINF3DHPDataModule(str(mpi_inf_3dhp_root), **common), 7),
        (ThreeDPWDataModule(str(threedpw_root), **common), 8),
    ):
        module, run = Watcher(), trainer(max_epochs=1)
        run.fit(module, data)
        assert len(module.seen["train"]) == people // 4
        assert len(flat(run.predict(module, data))) == people
    run.test(module, data, verbose=False)
    assert len(set(flat(module.seen["val"]))) == 8
    assert sorted(flat(module.seen["test"])) == sorted(data.evaluation_table("test").ids())


def test_annotation_mixes_by_quota_and_predicts_the_targets(
    coco_root: Path, mpii_root: Path, threedpw_root: Path, common: dict[str, Any]
) -> None:
    data = AnnotationDataModule(
        targets={"coco": {"kind": "coco", "root": str(coco_root)}, "mpii": {"kind": "mpii", "root": str(mpii_root)}},
        auxiliary={"threedpw_train": {"kind": "threedpw", "root": str(threedpw_root), "split": "train"}},
        quotas={"coco": 0.25, "mpii": 0.25, "threedpw_train": 0.5},
        samples_per_epoch=24,
        **common,
    )
    module, run = Watcher(), trainer(max_epochs=1)
    run.fit(module, data)
    assert len(module.sources) == 6
    for sources in module.sources:
        assert Counter(sources) == {"coco": 1, "mpii": 1, "threedpw_train": 2}
    coco, mpii = (flat(batches) for batches in run.predict(module, data))
    assert {"coco": coco, "mpii": mpii} == data.target_ids
    with pytest.raises(ValueError, match="quotas name cocco"):
        AnnotationDataModule(targets={"coco": {"kind": "coco", "root": "."}}, quotas={"cocco": 1.0})


def test_downstream_trains_on_labels_and_evaluates_on_3dpw(
    coco_root: Path, threedpw_root: Path, common: dict[str, Any], write_labels: Callable
) -> None:
    ids = [f"coco/train/{number}" for number in (1000, 1001, 1005, 1006, 1007)]
    labels, values = write_labels(ids)
    source = {"kind": "coco", "root": str(coco_root), "labels": str(labels)}
    validation = {"kind": "threedpw", "root": str(threedpw_root), "split": "validation"}
    data = PeopleDataModule({"coco": source}, val=validation, **common)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert set(batch["id"]) <= set(ids)
    assert batch["has_pose"].tolist() == [1] * 4
    assert batch["has_betas"].tolist() == [1] * 4
    assert batch["has_camera"].tolist() == [1] * 4
    rows = [ids.index(person) for person in batch["id"]]
    torch.testing.assert_close(batch["betas"], torch.from_numpy(values["betas"][rows]))
    assert batch["gender"].tolist() == [0] * 4
    val = next(iter(data.val_dataloader()))
    assert val["source"] == ["threedpw"] * 4
    assert set(val["gender"].tolist()) <= {1, 2}


def test_filtered_labels_are_left_out_of_training_and_counted(
    coco_root: Path, common: dict[str, Any], tmp_path: Path, write_labels: Callable
) -> None:
    ids = [f"coco/train/{number}" for number in (1000, 1001, 1005, 1006, 1007)]
    _, values = write_labels(ids)
    labels = tmp_path / "coco-train"
    with LabelWriter(labels, joint_set=None, image_root=None, provenance={}) as writer:
        writer.write({"id": ids, **values, "error_2d": np.float32([0.1, 0.3, np.nan, 0.2, 0.1])})
    source = {"kind": "coco", "root": str(coco_root), "labels": str(labels)}
    for limits, expected in (({}, 5), ({"max_error_2d": 0.25}, 3), ({"max_error_2d": 0.15}, 2)):
        data = PeopleDataModule({"coco": {**source, "label_filter": limits}}, **common)
        data.setup("fit")
        assert len(data.train_table("coco")) == expected
    assert data.train_table("coco").ids() == [ids[0], ids[4]]
    (row,) = data.describe()
    assert row["dropped"]["2D error above 0.15 of the box"] == 2 and row["dropped"]["error_2d not known"] == 1
    with pytest.raises(LabelError, match=r"nobody of coco-train passes the filters \(0 of 5 labels"):
        PeopleDataModule({"coco": {**source, "label_filter": {"max_error_2d": 0.01}}}, **common).setup("fit")


def test_every_missing_file_is_named_at_once(coco_root: Path, tmp_path: Path, common: dict[str, Any]) -> None:
    (coco_root / "train2017" / "000000000001.jpg").unlink()
    sources = {
        "coco": {"kind": "coco", "root": str(coco_root)},
        "mpii": {"kind": "mpii", "root": str(tmp_path / "nowhere")},
        "studio": {"kind": "mpi_inf_3dhp", "root": str(tmp_path / "nowhere")},
    }
    with pytest.raises(MissingFilesError) as caught:
        Pose2DDataModule(sources, **common).prepare_data()
    assert len(caught.value.missing) == 3
    for part in ("000000000001.jpg", "MPII annotations", "S*/Seq*/annot.mat"):
        assert part in str(caught.value)
    data = Pose2DDataModule({"coco": sources["coco"]}, skip_missing_images=True, **common)
    data.setup("fit")
    assert data.describe()[0]["dropped"]["image not on disk"] == 2


def test_images_that_are_nowhere_are_told_with_the_places(coco_root: Path, common: dict[str, Any]) -> None:
    (coco_root / "train2017").rename(coco_root / "pictures")
    for settings in (common, {**common, "skip_missing_images": True}):
        with pytest.raises(MissingFilesError) as caught:
            CocoDataModule(str(coco_root), **settings).prepare_data()
        (line,) = caught.value.missing
        assert line.startswith("all 6 images of coco-train, such as ")
        assert f"looked in {coco_root} and its folders train2017, images/train2017, val2017" in line


def _without_joints(root: Path) -> None:
    path = root / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    for person in content["annotations"]:
        person["keypoints"] = [0] * 51
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("quotas", [None, {"coco": 1.0}, {"coco": 0.5, "mpii": 0.5}])
def test_a_source_without_anybody_to_train_on_is_told_in_one_line(
    quotas: dict[str, float] | None, coco_root: Path, mpii_root: Path, common: dict[str, Any]
) -> None:
    _without_joints(coco_root)
    roots = {"coco": coco_root, "mpii": mpii_root}
    sources = {name: {"kind": name, "root": str(roots[name])} for name in (quotas or ["coco"])}
    data = AnnotationDataModule(sources, quotas=quotas, **common)
    data.setup("fit")
    with pytest.raises(AnnotationError) as caught:
        data.train_dataloader()
    assert str(caught.value) == (
        "coco-train: nobody is left to be trained on; left out: 1 crowd, not one person, 12 fewer than 1 annotated "
        "joints. Give other people or filters, or leave it out"
    )
    # A label is wanted for each of them, all the same.
    assert len(data.predict_dataloader()) == len(sources)
    none = AnnotationDataModule(sources, target_min_joints=1, **common)
    none.setup("predict")
    with pytest.raises(AnnotationError, match="coco-train: nobody is left to be predicted; left out: 1 crowd"):
        none.predict_dataloader()


def test_who_is_not_trained_on_may_be_nobody(coco_root: Path, mpii_root: Path, common: dict[str, Any]) -> None:
    _without_joints(coco_root)
    sources = {name: {"kind": name, "root": str(root)} for name, root in (("coco", coco_root), ("mpii", mpii_root))}
    data = AnnotationDataModule(sources, quotas={"mpii": 1.0}, **common)
    data.setup("fit")
    assert set(next(iter(data.train_dataloader()))["source"]) == {"mpii"}


def test_pose_prior_holds_out_whole_sequences(amass_root: Path, common: dict[str, Any]) -> None:
    data = PosePriorDataModule(str(amass_root), batch_size=16, val_share=0.2, cache_dir=common["cache_dir"])
    data.prepare_data()
    data.setup()
    train, val = (torch.cat(list(loader)) for loader in (data.train_dataloader(), data.val_dataloader()))
    assert train.shape[1:] == (21, 3)
    assert len(val) in (20, 40)
    # Whole steps, each pose at most once.
    assert len(train) == (120 - len(val)) // 16 * 16
    assert len(train.flatten(1).unique(dim=0)) == len(train)
    many = PosePriorDataModule(str(amass_root), 16, samples_per_epoch=500, cache_dir=common["cache_dir"])
    many.setup()
    assert sum(map(len, many.train_dataloader())) == 496
