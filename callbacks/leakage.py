"""No training on people that a result is about, and no choice of a checkpoint by test people.

Two checks: by id, of every batch, which needs no configuration (an id says data set and split); and by image, before a
training starts, which finds the same picture under another id or split.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import pytorch_lightning as pl

from datamodules.benchmarks import BENCHMARKS
from datamodules.exposure import Exposure
from datamodules.files import MissingFilesError
from datamodules.ids import PersonId, dataset_of_table
from datamodules.people import PeopleTable
from datamodules.people_module import PeopleDataModule

NOT_TO_TRAIN_ON = {one.name: one.kept_splits for one in BENCHMARKS.values()}
"""Data set -> splits that results are about, or that checkpoints are chosen by."""
NOT_TO_SELECT_ON = {one.name: {one.test} for one in BENCHMARKS.values()}
"""Data set -> splits that results are about."""
_SHOWN = 3


class LeakageError(RuntimeError):
    """A training that would have seen, or been steered by, the people that it is judged on."""


def refuse_ids(ids: Iterable[str], splits: dict[str, set[str]], what: str) -> None:
    """Refuse people of some splits.

    Args:
        ids: ``dataset/split/key``.
        splits: those to refuse, by data set.
        what: beginning of the message, e.g. "training on".

    Raises:
        LeakageError: naming some of them.
    """
    found = [name for name in ids if (one := PersonId.parse(name)).split in splits.get(one.dataset, ())]
    if found:
        msg = (
            f"{what} {', '.join(found[:_SHOWN])}: this split is kept for the evaluation. "
            "Train on training splits, and choose checkpoints by a validation split"
        )
        raise LeakageError(msg)


def refuse_exposure(exposure: Exposure, what: str) -> None:
    """Refuse a start, or labels, of a network that was trained on people who are kept for an evaluation.

    Args:
        exposure: of it.
        what: beginning of the message, e.g. "the labels in FOLDER".

    Raises:
        LeakageError: naming the splits.
    """
    found = [name for name in sorted(exposure.seen) if _is_kept(name)]
    if found:
        msg = f"{what} come from a training on {', '.join(found)}, which is kept for the evaluation: use others"
        raise LeakageError(msg)


def _is_kept(table: str) -> bool:
    dataset = dataset_of_table(table)
    return table.removeprefix(f"{dataset}-") in NOT_TO_TRAIN_ON.get(dataset, ())


def refuse_shared_people(train: PeopleTable, evaluation: PeopleTable) -> None:
    """Refuse a source that holds people, or shows images, of an evaluation set.

    Raises:
        LeakageError: naming some of them.
    """
    for what, keys in (("people", _ids), ("images", _images)):
        shared = sorted(set(keys(train)) & set(keys(evaluation)))
        if shared:
            shown = ", ".join(os.fsdecode(name) for name in shared[:_SHOWN])
            msg = (
                f"{len(shared)} {what} of {evaluation.name}, which is evaluated on, are also in {train.name}, which is "
                f"trained on: {shown}{', ...' if len(shared) > _SHOWN else ''}. Take them out of the training data"
            )
            raise LeakageError(msg)


def refuse_leaks(data: PeopleDataModule, splits: Sequence[str] = ("val", "test")) -> None:
    """Compare every source that is trained on with the sets that are evaluated on.

    Args:
        data: with sources, and evaluation sets by the names of ``splits``.
        splits: "val" and "test"; one that is not on disk is not compared, because it cannot be trained on either.

    Raises:
        LeakageError: someone is in both.
    """
    for split in splits:
        if split not in data.evaluations:
            continue
        try:
            evaluation = data.evaluation_table(split)
        except MissingFilesError:
            continue
        for name in data.sources:
            refuse_shared_people(data.train_table(name), evaluation)


class LeakageGuard(pl.Callback):
    """Refuses to train on evaluation people, and to validate on test people while training."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, PeopleDataModule):
            refuse_leaks(data)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        refuse_ids(_batch_ids(batch), NOT_TO_TRAIN_ON, "training on")

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *_: Any, **__: Any
    ) -> None:
        if trainer.state.fn == "fit":
            refuse_ids(_batch_ids(batch), NOT_TO_SELECT_ON, "choosing a checkpoint by")


def _batch_ids(batch: Any) -> list[str]:
    # Poses of the prior's training are nobody's.
    return list(batch["id"]) if isinstance(batch, dict) and "id" in batch else []


def _ids(table: PeopleTable) -> list[bytes]:
    return table.column("id").tolist()


def _images(table: PeopleTable) -> list[bytes]:
    # A copy of a benchmark elsewhere still has the same sequences; other data sets are told apart by their folders.
    known = BENCHMARKS.get(dataset_of_table(table.name))
    root = os.fsencode(known.title if known and known.named_images else os.path.realpath(table.image_root))
    return [root + b"/" + name for name in set(table.column("image").tolist())]
