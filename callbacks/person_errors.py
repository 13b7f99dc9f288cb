"""What an evaluation leaves: the errors of every person, and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.ids import PersonId
from lightning_modules.scoring.protocol import PER_JOINT
from lightning_modules.scoring.protocols import PROTOCOLS, protocol_of


class EvaluationError(RuntimeError):
    """An evaluation that did not see exactly the people it should have seen."""


@dataclass
class Evaluation:
    """Errors of every person, by ``<protocol>_<metric>``.

    Attributes:
        ids: (N,) str, sorted.
        values: (N,) by metric; NaN where the person does not belong to the protocol or could not be compared.
        excluded: how many are not counted, by protocol.
        per_joint: (N, J) errors of single joints in mm by protocol, in the order of its joint_names.
        groups: (N,) str, sequence or image of each person, where the ids do not say it.
    """

    ids: NDArray[Any]
    values: dict[str, NDArray[np.float64]]
    excluded: dict[str, int]
    per_joint: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    groups: NDArray[Any] | None = None

    def means(self) -> dict[str, float]:
        """Mean of each metric over the people that count."""
        return {name: _mean(values) for name, values in self.values.items()}

    @property
    def sequences(self) -> NDArray[Any]:
        """(N,) sequence (or image) of each person: its group, or else the third part of the id."""
        if self.groups is not None:
            return self.groups
        return np.array([PersonId.parse(name).key_parts[0] for name in self.ids])

    def per_sequence(self) -> dict[str, dict[str, float]]:
        """Means of each sequence: ``{sequence: {metric: mean}}``."""
        names, numbers = np.unique(self.sequences, return_inverse=True)
        means = {metric: _group_means(values, numbers, len(names)) for metric, values in self.values.items()}
        return {
            str(name): {metric: float(values[i]) for metric, values in means.items()} for i, name in enumerate(names)
        }

    def joint_means(self, protocol: str) -> dict[str, float]:
        """Mean error in mm of each joint of a protocol."""
        errors = self.per_joint[protocol]
        names = PROTOCOLS[protocol].joint_names
        return {name: _mean(errors[:, joint]) for joint, name in enumerate(names)}

    def worst(self, metric: str, count: int) -> list[tuple[str, float]]:
        """The people with the largest values of a metric, worst first: ``(id, value)``."""
        values = self.values[metric]
        rows = np.flatnonzero(~np.isnan(values))
        order = rows[np.argsort(-values[rows], kind="stable")[:count]]
        return [(str(self.ids[row]), float(values[row])) for row in order]

    def save(self, path: Path) -> None:
        """Write ``ids``, one array a metric, and one (N, J) a protocol as .npz."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {"ids": self.ids.astype(str), **self.values}
        arrays |= {f"{protocol}_{PER_JOINT}": errors for protocol, errors in self.per_joint.items()}
        if self.groups is not None:
            arrays["groups"] = self.groups.astype(str)
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        return cls.of(arrays.pop("ids"), arrays, arrays.pop("groups", None))

    @classmethod
    def of(
        cls, ids: NDArray[Any], arrays: Mapping[str, NDArray[Any]], groups: NDArray[Any] | None = None
    ) -> Evaluation:
        """Of (N,) metrics and (N, J) ``<protocol>_per_joint``, in one mapping."""
        ending = f"_{PER_JOINT}"
        per_joint = {name.removesuffix(ending): value for name, value in arrays.items() if name.endswith(ending)}
        values = {name: value for name, value in arrays.items() if not name.endswith(ending)}
        return cls(ids, values, count_excluded(values), per_joint, groups)

    @classmethod
    def join(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Evaluations of different people by the same protocols, as one, sorted by id."""
        ids = np.concatenate([part.ids for part in parts])
        order = np.argsort(ids, kind="stable")
        arrays = {name: np.concatenate([part._arrays()[name] for part in parts])[order] for name in parts[0]._arrays()}
        groups = np.concatenate([part.sequences for part in parts])[order]
        return cls.of(ids[order], arrays, groups)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {**self.values, **{f"{name}_{PER_JOINT}": errors for name, errors in self.per_joint.items()}}


def _mean(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _group_means(values: NDArray[Any], numbers: NDArray[Any], count: int) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    people = np.bincount(numbers[known], minlength=count)
    sums = np.bincount(numbers[known], values[known], minlength=count)
    return np.where(people > 0, sums / np.maximum(people, 1), np.nan)


def count_excluded(values: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Number of people without a value, by protocol; what is no metric of a protocol, such as limits, is not asked."""
    excluded: dict[str, int] = {}
    of_protocols = tuple(f"{key}_" for key in PROTOCOLS)
    for name, value in values.items():
        if not name.startswith(of_protocols):
            continue
        protocol = protocol_of(name)
        missing = int(np.isnan(value).sum())
        excluded[protocol] = min(excluded.get(protocol, missing), missing)
    return excluded
