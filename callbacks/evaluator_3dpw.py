"""Evaluates a mesh network on 3DPW, in validation and test, by all protocols in one pass.

Ground-truth meshes come from the gendered models, predicted ones from the neutral model: taking the neutral one for
both is a common error worth several millimetres. Padded samples are counted once; everyone has to be there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from lightning_modules.protocols import Bodies, BodyScorer


class EvaluationError(RuntimeError):
    """An evaluation that did not see exactly the people it should have seen."""


@dataclass
class Evaluation:
    """Errors of every person, by ``<protocol>_<metric>``.

    Attributes:
        ids: (N,) str, sorted.
        values: (N,) by metric; NaN where the person does not belong to the protocol or could not be compared.
        excluded: how many are not counted, by protocol.
    """

    ids: NDArray
    values: dict[str, NDArray[np.float64]]
    excluded: dict[str, int]

    def means(self) -> dict[str, float]:
        """Mean of each metric over the people that count."""
        return {name: _mean(values) for name, values in self.values.items()}

    @property
    def sequences(self) -> NDArray:
        """(N,) sequence of each person: the third part of the id."""
        return np.array([name.split("/")[2] for name in self.ids])

    def per_sequence(self) -> dict[str, dict[str, float]]:
        """Means of each sequence: ``{sequence: {metric: mean}}``."""
        names = self.sequences
        return {
            str(name): {metric: _mean(values[names == name]) for metric, values in self.values.items()}
            for name in np.unique(names)
        }

    def save(self, path: Path) -> None:
        """Write ``ids`` and one array a metric as .npz."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {"ids": self.ids.astype(str), **self.values}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as content:
            values = {name: content[name] for name in content.files if name != "ids"}
            ids = content["ids"]
        return cls(ids, values, count_excluded(values))


def _mean(values: NDArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def count_excluded(values: Mapping[str, NDArray]) -> dict[str, int]:
    """Number of people without a value, by protocol."""
    return {name.split("_")[0]: int(np.isnan(value).sum()) for name, value in values.items()}


class ThreeDPWEvaluator(pl.Callback):
    """Logs ``val/threedpw/lsp14_pa_mpjpe`` and the like, and keeps each person's errors.

    Steps must return a mapping with a Prediction under ``"prediction"``.

    Args:
        body_models: folder of model files with both genders, or "standin".
        protocols: names in :data:`lightning_modules.protocols.PROTOCOLS`.
        name: source in the metrics' names.
        folder: where ``val_<name>.npz`` and ``test_<name>.npz`` are written (last pass wins); None for nowhere.
        excluded: ids that a protocol does not count, by its name: smpl24 leaves out frames without poses2d.

    Attributes:
        evaluation: of the last complete pass.
    """

    def __init__(
        self,
        body_models: str = "standin",
        protocols: Sequence[str] = ("lsp14", "smpl24"),
        name: str = "threedpw",
        folder: str | Path | None = None,
        excluded: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.name, self.folder = name, None if folder is None else Path(folder)
        self.excluded = {protocol: frozenset(ids) for protocol, ids in (excluded or {}).items()}
        self.evaluation: Evaluation | None = None
        self._scorer = BodyScorer(body_models, protocols)
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

    def _score(self, outputs: Any, batch: Any) -> None:
        values = self._scorer(Bodies.predicted(outputs["prediction"]), Bodies.true(batch))
        known = (batch["has_pose"] * batch["has_betas"]).cpu() > 0
        self._seen.append((batch["id"], {name: value.where(known, torch.nan) for name, value in values.items()}))

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
                if name.startswith(f"{protocol}_"):
                    joined[name][rows] = np.nan
        return Evaluation(ids, joined, count_excluded(joined))


def _is_limited(batches: int | float | None) -> bool:
    # Lightning means all batches by 1.0 and one batch by 1.
    return isinstance(batches, int) or (batches is not None and batches < 1.0)


def _people(loaders: Any) -> int:
    loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
    return sum(len(loader.dataset) for loader in loaders)
