"""Evaluates a mesh network in validation and test, by all protocols of a data set in one pass.

Padded samples are counted once; everyone has to be there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from body_models.contracts import Batch
from body_models.parameters import BodyParameters
from callbacks.person_errors import Evaluation, EvaluationError
from lightning_modules.scoring.protocol import PER_JOINT, Protocol
from lightning_modules.scoring.protocols import BodyScorer, predicted, protocol_of


class TrueJoints(NamedTuple):
    """True joints of people: ids, and (N, K, 3) metres in the order of a protocol's truth_names."""

    ids: Sequence[str]
    joints: NDArray[Any]


class MeshEvaluator(pl.Callback):
    """Logs ``val/<name>/<protocol>_<metric>`` and the like, and keeps each person's errors.

    Ground-truth meshes come from the gendered models, predicted ones from the neutral model: taking the neutral one
    for both is a common error worth several millimetres. Protocols on joints compare the predicted body's joints with
    those of the batch. Steps must return a mapping with a Prediction under ``"prediction"``.

    Args:
        name: source in the metrics' names.
        protocols: as :func:`lightning_modules.scoring.protocols.find_protocols` takes them.
        body_models: reference of the bodies of all genders, see :mod:`body_models.bodies`.
        folder: where ``val_<name>.npz`` and ``test_<name>.npz`` are written (last pass wins); None for nowhere.
        excluded: ids that a protocol does not count, by its key: smpl24 leaves out frames without poses2d.
        truths: by the protocol's key true joints that replace the batch's: the same people in another annotation.
        groups: sequence or image of each person, by id, where the ids do not say it.

    Attributes:
        evaluation: of the last complete pass.
    """

    def __init__(
        self,
        name: str,
        protocols: Sequence[str],
        body_models: str = "free",
        folder: str | Path | None = None,
        excluded: Mapping[str, Collection[str]] | None = None,
        truths: Mapping[str, TrueJoints] | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.folder = name, None if folder is None else Path(folder)
        self.excluded = {protocol: frozenset(ids) for protocol, ids in (excluded or {}).items()}
        self.groups = groups
        self.evaluation: Evaluation | None = None
        self._scorer = BodyScorer(body_models, protocols)
        self._truths = {
            key: ({person: row for row, person in enumerate(truth.ids)}, torch.from_numpy(truth.joints))
            for key, truth in (truths or {}).items()
        }
        self._seen: list[tuple[list[str], dict[str, torch.Tensor]]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen.clear()

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen.clear()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self._score(outputs, batch)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self._score(outputs, batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        limited = trainer.sanity_checking or _is_limited(trainer.limit_val_batches)
        self._finish(trainer, pl_module, "val", None if limited else _people(trainer.val_dataloaders))

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        limited = _is_limited(trainer.limit_test_batches)
        self._finish(trainer, pl_module, "test", None if limited else _people(trainer.test_dataloaders))

    def _score(self, outputs: Any, batch: Batch) -> None:
        protocols = self._scorer.protocols
        pred = predicted(outputs["prediction"])
        on_bodies = {protocol.key for protocol in protocols if not protocol.needs_joints}
        true = BodyParameters.of_batch(batch) if on_bodies else None
        joints = {protocol.key: self._joints(protocol, batch) for protocol in protocols if protocol.needs_joints}
        scores = self._scorer.score(pred, true, joints)
        arrays = {**scores.values, **{f"{key}_{PER_JOINT}": value for key, value in scores.per_joint.items()}}
        if on_bodies:
            known = (batch["has_pose"] * batch["has_betas"]).cpu() > 0
            for name, value in arrays.items():
                if protocol_of(name) in on_bodies:
                    arrays[name] = value.where(known.view(-1, *[1] * (value.ndim - 1)), torch.nan)
        self._seen.append((batch["id"], arrays))

    def _joints(self, protocol: Protocol, batch: Batch) -> torch.Tensor:
        if protocol.key not in self._truths:
            return protocol.joints_of(batch, self._scorer.spec)
        rows, joints = self._truths[protocol.key]
        lost = [person for person in batch["id"] if person not in rows]
        if lost:
            msg = f"{protocol.name}: no true joints of {', '.join(lost[:3])}: is the truth of another split?"
            raise EvaluationError(msg)
        return joints[[rows[person] for person in batch["id"]]]

    def _finish(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str, expected: int | None) -> None:
        evaluation = self._gather()
        if expected is not None and len(evaluation.ids) != expected:
            msg = f"{stage}: saw {len(evaluation.ids)} people of {expected}; are their ids distinct?"
            raise EvaluationError(msg)
        # Every process logs the same numbers under the same keys, so nothing has to be reduced.
        pl_module.log_dict({f"{stage}/{self.name}/{key}": value for key, value in evaluation.means().items()})
        self.evaluation = evaluation
        if self.folder is not None and trainer.is_global_zero and not trainer.sanity_checking:
            evaluation.save(self.folder / f"{stage}_{self.name}.npz")

    def _gather(self) -> Evaluation:
        names = [name for ids, _ in self._seen for name in ids]
        metrics = list(self._seen[0][1]) if self._seen else []
        values = {name: np.concatenate([part[name].numpy() for _, part in self._seen]) for name in metrics}
        self._seen.clear()
        parts: list[Any] = [(names, values)]
        if dist.is_initialized():
            parts = [None] * dist.get_world_size()
            dist.all_gather_object(parts, (names, values))
        parts = [part for part in parts if part[0]]
        if not parts:
            msg = "the evaluation saw nobody: is the data set empty?"
            raise EvaluationError(msg)
        ids, first = np.unique([name for names, _ in parts for name in names], return_index=True)
        joined = {name: np.concatenate([values[name] for _, values in parts])[first] for name in parts[0][1]}
        for protocol, left_out in self.excluded.items():
            rows = np.array([name in left_out for name in ids])
            for name in joined:
                if protocol_of(name) == protocol:
                    joined[name][rows] = np.nan
        groups = None if self.groups is None else np.array([self.groups[name] for name in ids])
        return Evaluation.of(ids, joined, groups)


def _is_limited(batches: int | float | None) -> bool:
    # Lightning means all batches by 1.0 and one batch by 1.
    return isinstance(batches, int) or (batches is not None and batches < 1.0)


def _people(loaders: Any) -> int:
    loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
    return sum(len(loader.dataset) for loader in loaders)
