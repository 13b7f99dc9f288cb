"""The truth of one split of a data set, as protocols need it: who counts, true bodies, true joints, sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.parameters import BodyParameters
from callbacks.evaluator import TrueJoints
from callbacks.person_errors import EvaluationError
from datamodules.ids import PersonId
from datamodules.people import PeopleTable
from datamodules.sources import open_source
from lightning_modules.scoring.protocol import Protocol

_BODY = ("global_orient", "body_pose", "betas", "gender")


class Truth:
    """One split of a data set, opened once for each variant of its annotations that a protocol asks for.

    Args:
        source: ``kind``, ``root``, ``split`` and options of the reader; the protocols' own options go before them.
        protocols: of one data set.
        cache_dir: folder for indexes.

    Attributes:
        spec: the source of the people and their images, as DataModules take it.
    """

    def __init__(self, source: Mapping[str, Any], protocols: Sequence[Protocol], cache_dir: str) -> None:
        # Variants of the annotation differ in the joints only: the first stands for the people and their images.
        self._tables: list[tuple[Protocol, PeopleTable]] = []
        opened: dict[str, PeopleTable] = {}
        self.spec: dict[str, Any] = {}
        for protocol in protocols:
            spec = {**source, **protocol.options}
            key = repr(spec)
            if key not in opened:
                opened[key] = open_source(cache_dir=cache_dir, **spec)
            self._tables.append((protocol, opened[key]))
            self.spec = self.spec or spec

    @property
    def table(self) -> PeopleTable:
        """The people."""
        return self._tables[0][1]

    def excluded(self) -> dict[str, list[str]]:
        """People that a protocol does not count, by its key.

        Raises:
            EvaluationError: a protocol chooses people by a column that the files do not have.
        """
        left_out = {}
        for protocol, table in self._tables:
            keep = np.ones(len(table), dtype=bool)
            for column, value in protocol.rows.items():
                if not table.has(column):
                    lacking = f"{protocol.name} chooses people by {column}, which the files of {table.name} do not hold"
                    msg = f"{lacking}; leave this protocol out, or get the official files"
                    raise EvaluationError(msg)
                keep &= table.column(column) == value
            left_out[protocol.key] = [name for name, kept in zip(table.ids(), keep, strict=True) if not kept]
        return left_out

    def joints(self) -> dict[str, TrueJoints]:
        """True joints for each protocol that compares joints."""
        return {
            one.key: TrueJoints(table.ids(), _joints(table, one)) for one, table in self._tables if one.needs_joints
        }

    def bodies(self, rows: NDArray[Any] | slice = slice(None)) -> BodyParameters:
        """True bodies of some rows of the table, each of its own gender."""
        people = self.table.select(np.arange(len(self.table))[rows])
        return BodyParameters.of_columns({name: people.column(name) for name in _BODY})

    def groups(self) -> dict[str, str] | None:
        """Sequence of each person, the image where people are of no sequence; None where their ids say the same."""
        table = self.table
        column = table.groups()
        groups = dict(zip(table.ids(), (value.decode("utf-8", "replace") for value in column.tolist()), strict=True))
        told = all(PersonId.parse(name).key_parts[0] == group for name, group in groups.items())
        return None if told else groups


def _joints(table: PeopleTable, protocol: Protocol) -> NDArray[np.float32]:
    """(N, K, 3) in the protocol's order, NaN where unknown."""
    names = table.joint_set.names
    if not table.has("joints_3d") or not set(protocol.truth_names) <= set(names):
        msg = f"{table.name} has no 3D joints {', '.join(protocol.truth_names)}, which {protocol.name} compares"
        raise EvaluationError(msg)
    joints = table.column("joints_3d")[:, [names.index(name) for name in protocol.truth_names]]
    return np.where(joints[..., 3:] > 0, joints[..., :3], np.nan).astype(np.float32)
