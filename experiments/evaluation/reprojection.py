"""How far the bodies of a label table lie from 2D joints: those that they were made from, and hidden ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from datamodules.holdout import HoldOut
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import iter_labels, reproject

PCK = 0.05
"""Of the box's side, within which a hidden joint counts as found."""
_Distances = tuple[list[str], NDArray[np.float64], NDArray[np.bool_]]


def _distances(table: Path, people: PeopleTable, body_models: str) -> Iterator[_Distances]:
    """Ids (N), distances (N, K) in box sides of all joints from the re-projected body, and which are known."""
    bodies = BodyModels(body_models)
    index = bodies.spec.rows(people.joint_set)
    for columns in iter_labels(table):
        points, joints = reproject(columns, bodies)[:, index], columns["joints_2d"]
        far = np.linalg.norm(points - joints[..., :2], axis=-1) / columns["box"][:, None, 2]
        yield list(columns["id"]), far, (joints[..., 2] > 0) & (index >= 0)


def reprojection_errors(table: Path, people: PeopleTable, body_models: str) -> NDArray[np.float64]:
    """Distances of all labelled joints, in sides of the box that the network saw.

    Args:
        table: folder of a label table.
        people: that it is of.
        body_models: reference of the bodies.
    """
    return np.concatenate([far[known] for _, far, known in _distances(table, people, body_models)])


def held_out_errors(table: Path, people: PeopleTable, hold_out: HoldOut, body_models: str) -> dict[str, float]:
    """What the joints that were hidden from the annotator say of its labels; nothing where none was.

    Args:
        table: folder of a label table.
        people: that it is of.
        hold_out: which joints were hidden.
        body_models: reference of the bodies.

    Returns:
        ``error``, mean distance in box sides; ``pck``, share within :data:`PCK`; ``joints``, how many there are.
    """
    parts = [
        far[known & hold_out.hidden(ids, known.shape[1])] for ids, far, known in _distances(table, people, body_models)
    ]
    distances = np.concatenate(parts)
    if len(distances) == 0:
        return {}
    return {
        "error": float(distances.mean()),
        "pck": float((distances <= PCK).mean()),
        "joints": float(len(distances)),
    }
