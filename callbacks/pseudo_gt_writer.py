"""Writes pseudo-GTs while ``trainer.predict`` runs over the people to annotate.

Each process streams its own parts, so nothing but one buffer is held in memory; at the end rank zero merges them and
checks that everyone expected is there, once. A dump that was interrupted goes on where it stopped. Use it with
``trainer.predict(..., return_predictions=False)``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from body_models.contracts import Batch, Prediction
from body_models.mirror import mirror_batch
from callbacks.label_rows import label_rows, mirror_disagreement, with_body_quality
from datamodules.annotation import AnnotationDataModule
from datamodules.ids import PersonId
from datamodules.pseudo_gt.native import LabelError
from datamodules.pseudo_gt.shards import DumpTable, PartWriter
from lightning_modules.fitting.refinement import Refiner
from lightning_modules.priors.pose_mixture import PoseMixture

_Rows = tuple[NDArray[np.int64], dict[str, NDArray[Any]]]


class PseudoGTWriter(pl.Callback):
    """Writes label tables; a person belongs to the table whose people start with the same ``dataset/split``.

    With an :class:`~datamodules.annotation.AnnotationDataModule`, people whose labels an interrupted dump left are not
    served again; served by other loaders, they are passed over.

    Args:
        tables: what to write, one or more of one kind of body.
        mixture: scores the poses of SMPL's joints, for ``prior_score``; None leaves it unknown.
        mirror: whether to look at each crop's mirror image too, for ``mirror_disagreement``: a second forward pass.
            It is about what the network says before it is refined.
        refiner: refines each prediction before it is written; None writes what the network says.
        evidence: what the annotator looks at: image, joints or both.
        flush_rows: people buffered in each process before they are written.

    Raises:
        LabelError: at the end of the pass, in every process, if the ids are not exactly the expected ones.
    """

    def __init__(
        self,
        tables: Sequence[DumpTable],
        mixture: PoseMixture | None = None,
        mirror: bool = True,
        refiner: Refiner | None = None,
        evidence: str = "image",
        flush_rows: int = 4096,
    ) -> None:
        self.mixture, self.mirror, self.refiner, self.flush_rows = mixture, mirror, refiner, flush_rows
        self.evidence = evidence
        self.spec = tables[0].spec
        if mixture is not None:
            self.spec.require_smpl("the pose mixture, which prior_score needs (dump.prior_score=false),")
        self.tables = {table.people.name: table for table in tables}
        self._done: dict[str, NDArray[np.bool_]] = {}
        self._buffers: dict[str, list[_Rows]] = defaultdict(list)
        self._writers: dict[str, PartWriter] = {}

    # setup and teardown, as Lightning leaves out all other hooks in a process whose loaders are empty.
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._buffers.clear()
        if trainer.is_global_zero:
            for table in self.tables.values():
                table.open()
        trainer.strategy.barrier("parts of an interrupted dump sorted out")
        self._done = {name: table.finished() for name, table in self.tables.items()}
        self._writers = {
            name: PartWriter(table.folder, trainer.global_rank, table.spec) for name, table in self.tables.items()
        }
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, AnnotationDataModule):
            data.leave_out(self._done)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Gradients pass through the refiner, which tensors made in Lightning's inference mode would not let.
        with torch.inference_mode(False):
            if self.refiner is not None:
                self.refiner.to(pl_module.device)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        prediction: Prediction = outputs["prediction"]
        disagreement: Tensor | None = None
        if self.mirror:
            disagreement = mirror_disagreement(self.spec, prediction, self._predict_mirrored(trainer, pl_module, batch))
        accepted: Tensor | None = None
        if self.refiner is not None:
            prediction, accepted = self.refiner(batch, prediction)
        columns = label_rows(batch, prediction, disagreement, accepted, self.evidence)
        names = [PersonId.parse(person).table for person in batch["id"]]
        for name in dict.fromkeys(names):
            mine = np.flatnonzero([other == name for other in names])
            rows = self._table(name).rows_of([batch["id"][i] for i in mine])
            kept = ~self._done[name][rows]
            if not kept.any():
                continue
            self._buffers[name].append((rows[kept], {key: values[mine[kept]] for key, values in columns.items()}))
            if sum(len(rows) for rows, _ in self._buffers[name]) >= self.flush_rows:
                self._flush(name)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for name in list(self._buffers):
            self._flush(name)
        trainer.strategy.barrier("parts complete")
        failure = self._merge() if trainer.is_global_zero else None
        # Told to everyone, so that no process goes on with labels that another found incomplete.
        failure = trainer.strategy.broadcast(failure, src=0)
        if failure is not None:
            raise LabelError(failure)

    def _predict_mirrored(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch) -> Prediction:
        with trainer.precision_plugin.forward_context():
            return pl_module(mirror_batch(batch, self.spec))

    def _table(self, name: str) -> DumpTable:
        if name not in self.tables:
            msg = f"people of {name} are predicted, but labels are to be written of {', '.join(self.tables)}"
            raise LabelError(msg)
        return self.tables[name]

    def _merge(self) -> str | None:
        try:
            for table in self.tables.values():
                table.merge()
        except LabelError as error:
            return str(error)
        return None

    def _flush(self, name: str) -> None:
        parts = self._buffers.pop(name)
        columns = {key: np.concatenate([part[key] for _, part in parts]) for key in parts[0][1]}
        rows = np.concatenate([rows for rows, _ in parts])
        self._writers[name].write(rows, with_body_quality(self.spec, columns, self.mixture))
