"""Writes pseudo-GTs while ``trainer.predict`` runs over the people to annotate.

Each process streams its own shards, so nothing but one buffer is held in memory; at the end rank zero merges them and
checks that everyone expected is there, once. Use it with ``trainer.predict(..., return_predictions=False)``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.camera import crop_camera_to_image
from body_models.contracts import Batch, Prediction
from body_models.rotations import matrix_to_axis_angle
from datamodules.pseudo_gt.native import LabelError
from datamodules.pseudo_gt.shards import ShardWriter, clear_labels, merge_shards


def label_rows(batch: Batch, prediction: Prediction) -> dict[str, NDArray]:
    """Columns of the native label table (:mod:`datamodules.pseudo_gt.native`) for a batch without augmentation."""
    size = batch["image"].shape[-1]
    focal, princpt = crop_camera_to_image(prediction.focal, prediction.princpt, batch["box"], size)
    visible = batch["joints_2d_conf"] > 0
    distance = torch.linalg.vector_norm(prediction.joints_2d - batch["joints_2d"], dim=-1) / size
    count = visible.sum(dim=1)
    # 0 / 0 = NaN is what a person without any annotated joint shall have.
    error_2d = (distance * visible).sum(dim=1) / count
    columns = {
        "box": batch["box"],
        "global_orient": matrix_to_axis_angle(prediction.global_orient.float()),
        "body_pose": matrix_to_axis_angle(prediction.body_pose.float()).flatten(1),
        "betas": prediction.betas,
        "transl": prediction.transl,
        "focal": focal,
        "princpt": princpt,
        "error_2d": error_2d,
        "visible_joints": count.int(),
        "max_abs_beta": prediction.betas.abs().amax(dim=1),
    }
    if prediction.latent is not None:
        columns["latent"] = prediction.latent
    rows = {name: _numpy(value) for name, value in columns.items()}
    return {"id": np.array(batch["id"]), "gender": np.full(len(batch["id"]), "neutral"), **rows}


def _numpy(value: Tensor) -> NDArray:
    value = value.detach().cpu()
    return (value.float() if value.is_floating_point() else value).numpy()


class PseudoGTWriter(pl.Callback):
    """Writes one label table a data set and split, into ``folder/<dataset>-<split>/``.

    Args:
        folder: parent of the tables.
        expected: ids of everyone who must get a label, in the order of the sampler; rows are split into tables by the
            first two parts of the id.
        provenance: plain values for each table's labels.json.
        images: image path of each expected person, for the column of that name.
        flush_rows: people buffered in each process before a row group is written.

    Raises:
        LabelError: at the end of the pass, in every process, if the ids are not exactly the expected ones.
    """

    def __init__(
        self,
        folder: str | Path,
        expected: Sequence[str],
        provenance: Mapping[str, Any],
        images: Sequence[str] | None = None,
        flush_rows: int = 4096,
    ) -> None:
        self.provenance, self.flush_rows = dict(provenance), flush_rows
        self._expected: dict[Path, list[str]] = defaultdict(list)
        self._images: dict[Path, list[str]] = defaultdict(list)
        self._folder = Path(folder)
        for i, name in enumerate(expected):
            table = self._table_of(name)
            self._expected[table].append(name)
            if images is not None:
                self._images[table].append(images[i])
        self._buffers: dict[Path, list[dict[str, NDArray]]] = defaultdict(list)
        self._writers: dict[Path, ShardWriter] = {}

    @property
    def tables(self) -> list[Path]:
        """Folders of the tables that the pass writes."""
        return list(self._expected)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._buffers.clear()
        self._writers.clear()
        if trainer.is_global_zero:
            for table in self.tables:
                clear_labels(table)
        trainer.strategy.barrier("labels cleared")

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        columns = label_rows(batch, outputs["prediction"])
        tables = [self._table_of(name) for name in columns["id"]]
        for table in dict.fromkeys(tables):
            rows = [i for i, other in enumerate(tables) if other == table]
            part = {name: values[rows] for name, values in columns.items()}
            self._buffers[table].append(part)
            if sum(len(part["id"]) for part in self._buffers[table]) >= self.flush_rows:
                self._flush(table, trainer.global_rank)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for table in list(self._buffers):
            self._flush(table, trainer.global_rank)
        for writer in self._writers.values():
            writer.close()
        trainer.strategy.barrier("shards complete")
        failure = self._merge() if trainer.is_global_zero else None
        # Told to everyone, so that no process goes on with labels that another found incomplete.
        failure = trainer.strategy.broadcast(failure, src=0)
        if failure is not None:
            raise LabelError(failure)

    def _merge(self) -> str | None:
        try:
            for table, expected in self._expected.items():
                merge_shards(table, expected, self.provenance, self._images.get(table))
        except LabelError as error:
            return str(error)
        return None

    def _table_of(self, name: str) -> Path:
        dataset, split, _ = name.split("/", 2)
        return self._folder / f"{dataset}-{split}"

    def _flush(self, table: Path, rank: int) -> None:
        parts = self._buffers.pop(table)
        if table not in self._writers:
            self._writers[table] = ShardWriter(table, rank)
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self._writers[table].write(columns)
