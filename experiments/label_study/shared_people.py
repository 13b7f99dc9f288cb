"""Label tables compared on the people that they share: what each says, how far they are apart, and from the truth.

Tables are aligned by id on disk and read a block at a time, so memory does not grow with them. What an imported table
lacks is computed from its bodies where they suffice; the 2D error of all tables is measured on the same joints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from body_models.bodies import BodyModels, body_spec
from body_models.camera import project
from body_models.joint_sets import JOINT_SETS, JointSet
from body_models.parameters import BodyParameters, gender_numbers
from body_models.rotations import geodesic_distance
from body_models.spec import BodySpec
from callbacks.label_rows import body_quality
from datamodules.progress import show_progress
from datamodules.pseudo_gt.native import (
    JOINTS,
    Columns,
    LabelError,
    column_names,
    iter_labels,
    read_provenance,
)
from experiments.evaluation.true_bodies import LABEL_PROTOCOL, read_truth
from experiments.results.run_results import Column
from lightning_modules.scoring.metrics import mpjpe, pa_mpjpe
from lightning_modules.scoring.protocols import BodyScorer

QUALITY, TRUTH, MUTUAL = "Quality", "Against true bodies (smpl24)", "Between the tables (24 SMPL joints)"
COLUMNS = (
    Column("error_2d", QUALITY, "2D error", "% of box"),
    Column("prior_score", QUALITY, "prior score", "-log density"),
    Column("limit_violations", QUALITY, "joints beyond their limits", "a person"),
    Column("limit_excess_deg", QUALITY, "excess over joint limits", "degrees"),
    Column("max_abs_beta", QUALITY, "largest |beta|", ""),
    Column("mpjpe", TRUTH, "MPJPE"),
    Column("pa_mpjpe", TRUTH, "PA-MPJPE"),
    Column("mpvpe", TRUTH, "MPVPE"),
    Column("depth", TRUTH, "depth error"),
    Column("turned", TRUTH, "pelvis off by > 60°", "% of people"),
)
"""Figures of one table, in order; smaller is better in each."""
DISTANCES = (
    Column("pa_mpjpe", MUTUAL, "PA-MPJPE"),
    Column("mpjpe", MUTUAL, "MPJPE"),
    Column("orientation", MUTUAL, "root orientation", "degrees"),
)
"""Figures of two tables."""
_BODY = ("global_orient", "body_pose", "betas")
_CAMERA = {"transl": (3,), "focal": (2,), "princpt": (2,)}
_FROM_BODY = ("limit_violations", "limit_excess_deg", "max_abs_beta")
_NUMBERS = {"error_2d": (), "prior_score": ()}
_BLOCK = 512


@dataclass
class LabelSet:
    """One of the tables.

    Attributes:
        name: the part of its path in which the tables differ.
        folder: of the table.
        there: its columns.
        meta: content of its labels.json.
        values: figure -> (M,) of the shared people, NaN where not known; no entry where known of nobody.
    """

    name: str
    folder: Path
    there: list[str]
    meta: dict[str, Any]
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def mean(self, key: str) -> float | None:
        """Mean of a figure over the people it is known of; None where it is known of nobody."""
        values = self.values.get(key)
        return None if values is None else float(np.nanmean(values, dtype=np.float64))


@dataclass
class LabelComparison:
    """Tables and what was measured on the M people that all of them have.

    Attributes:
        sets: the tables, in the order given.
        ids: (M,) of the shared people, in the order of the first table.
        union: people in any of the tables.
        images: (M,) image of each, or None where no table says.
        joints_of: name of the table whose 2D joints the 2D error was measured on; None where each says its own.
        pairs: (index, index) -> figure -> (M,).
        truth: file of the true bodies, or None.
    """

    sets: list[LabelSet]
    ids: NDArray[Any]
    union: int
    images: NDArray[Any] | None = None
    joints_of: str | None = None
    pairs: dict[tuple[int, int], dict[str, NDArray[np.float32]]] = field(default_factory=dict)
    truth: Path | None = None

    @property
    def columns(self) -> list[Column]:
        """Figures that some table has."""
        return [column for column in COLUMNS if any(column.key in one.values for one in self.sets)]

    @property
    def disagreement(self) -> NDArray[np.float32]:
        """(M,) mm: largest PA-MPJPE between any two tables."""
        return np.max([values["pa_mpjpe"] for values in self.pairs.values()], axis=0)


def open_sets(folders: Sequence[Path]) -> list[LabelSet]:
    """The tables, named by what tells their paths apart.

    Raises:
        LabelError: fewer than two, the same one twice, incomplete labels, or tables in different frames.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        msg = f"give two different label tables or more, not {', '.join(map(str, folders)) or 'none'}"
        raise LabelError(msg)
    sets = [
        LabelSet(name, folder, column_names(folder), read_provenance(folder))
        for name, folder in zip(path_names(folders), folders, strict=True)
    ]
    for one in sets:
        if missing := [column for column in _BODY if column not in one.there]:
            msg = f"{one.folder} has no column {', '.join(missing)}, so it holds no bodies to compare; import it again"
            raise LabelError(msg)
        if one.meta["frame"] != sets[0].meta["frame"]:
            msg = (
                f"{one.folder} is in the {one.meta['frame']} frame, {sets[0].folder} in the {sets[0].meta['frame']} "
                "frame: compare tables of one frame"
            )
            raise LabelError(msg)
    return sets


def path_names(folders: Sequence[Path]) -> list[str]:
    """Short names of label folders: their paths without what all of them begin and end with."""
    parts = [folder.resolve().parts for folder in folders]
    first = _common(parts)
    last = _common([one[first:][::-1] for one in parts])
    names = ["/".join(part for part in one[first : len(one) - last] if part != "labels") for one in parts]
    return names if all(names) and len(set(names)) == len(names) else list(map(str, folders))


def _common(parts: Sequence[Sequence[str]]) -> int:
    """Number of first parts that are the same in all."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False)))


def compare_sets(
    sets: Sequence[LabelSet], scratch: Path, body_models: str = "free", truth: Path | None = None
) -> LabelComparison:
    """Measure tables on the people that they share.

    Args:
        sets: the tables; their values are filled in.
        scratch: empty folder for the aligned tables, about 0.5 KB a person and table.
        body_models: reference of the bodies, see :mod:`body_models.bodies`.
        truth: file of true bodies of these people, or of some of them.

    Raises:
        LabelError: nobody is in all tables.
    """
    ids = [np.concatenate([block["id"] for block in iter_labels(one.folder, columns=["id"])]) for one in sets]
    others = [set(names.tolist()) for names in ids[1:]]
    shared = np.array([name for name in ids[0] if all(name in other for other in others)], dtype=object)
    union = len(set(ids[0].tolist()).union(*others))
    if len(shared) == 0:
        examples = ", ".join(f"{one.name}: {names[0]}" for one, names in zip(sets, ids, strict=True))
        msg = f"the tables have nobody in common ({examples}); ids are dataset/split/key"
        raise LabelError(msg)
    result = LabelComparison(list(sets), shared, union, truth=truth)
    row = {name: i for i, name in enumerate(shared)}
    places = [np.array([row.get(name, -1) for name in names]) for names in ids]
    spec = body_spec(body_models)
    tables = [
        _align(one, spec, place, scratch / str(i), len(shared))
        for i, (one, place) in enumerate(zip(sets, places, strict=True))
    ]
    reference = _reference_joints(result, places, scratch)
    if reference is None:
        for one, table in zip(sets, tables, strict=True):
            if "error_2d" in table:
                _keep_known(one, "error_2d", 100 * table["error_2d"])
    for one, table in zip(sets, tables, strict=True):
        if "prior_score" in table:
            _keep_known(one, "prior_score", np.array(table["prior_score"]))
    _measure(result, tables, reference, body_models)
    if truth is not None:
        _measure_truth(result, tables, body_models, truth)
    return result


def _align(one: LabelSet, spec: BodySpec, place: NDArray[Any], folder: Path, people: int) -> Columns:
    """Columns of the shared people in their common order, as files mapped into memory."""
    folder.mkdir()
    body = {"global_orient": (3,), "body_pose": (3 * spec.num_rotations,), "betas": (spec.shape_size,)}
    shapes = {name: shape for name, shape in {**body, **_CAMERA, **_NUMBERS}.items() if name in one.there}
    columns: Columns = {
        name: open_memmap(folder / f"{name}.npy", "w+", np.float32, (people, *shape)) for name, shape in shapes.items()
    }
    columns["gender"] = open_memmap(folder / "gender.npy", "w+", np.uint8, (people,))
    names = [*shapes, "gender"] if "gender" in one.there else list(shapes)
    for rows, block in _blocks(one, place, names):
        for name in shapes:
            columns[name][rows] = block[name]
        if "gender" in block:
            columns["gender"][rows] = gender_numbers(block["gender"])
    return columns


def _blocks(one: LabelSet, place: NDArray[Any], names: list[str]) -> Iterator[tuple[NDArray[Any], Columns]]:
    """Blocks of the shared people of a table, each with their rows in the common order."""
    shared = place >= 0
    start, rows = 0, place[shared]
    for block in iter_labels(one.folder, columns=names, keep=shared):
        count = len(block[names[0]])
        yield rows[start : start + count], block
        start += count


@dataclass
class _Reference:
    """2D joints that the 2D error is measured on: (M, K, 3) pixels and confidence, (M,) box side in pixels."""

    joint_set: JointSet
    joints: NDArray[np.float32]
    side: NDArray[np.float32]


def _reference_joints(result: LabelComparison, places: Sequence[NDArray[Any]], scratch: Path) -> _Reference | None:
    """Joints and boxes of the first table that has them; images likewise."""
    people = len(result.ids)
    for one, place in zip(result.sets, places, strict=True):
        if "image" in one.there and result.images is None:
            images = np.empty(people, dtype=object)
            for rows, block in _blocks(one, place, ["image"]):
                images[rows] = block["image"]
            result.images = np.unique(images.astype(str), return_inverse=True)[1]
    for one, place in zip(result.sets, places, strict=True):
        if {JOINTS, "box"} <= set(one.there) and one.meta["joint_set"] in JOINT_SETS:
            joint_set = JOINT_SETS[one.meta["joint_set"]]
            joints = open_memmap(scratch / "joints.npy", "w+", np.float32, (people, len(joint_set.names), 3))
            side = np.empty(people, np.float32)
            for rows, block in _blocks(one, place, [JOINTS, "box"]):
                joints[rows], side[rows] = block[JOINTS], block["box"][:, 2]
            result.joints_of = one.name
            return _Reference(joint_set, joints, side)
    return None


def _measure(
    result: LabelComparison, tables: Sequence[Columns], reference: _Reference | None, body_models: str
) -> None:
    people, sets = len(result.ids), result.sets

    def empty(names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        return {name: np.full(people, np.nan, np.float32) for name in names}

    pairs = {pair: empty([column.key for column in DISTANCES]) for pair in combinations(range(len(sets)), 2)}
    own = [empty([*_FROM_BODY, "error_2d"]) for _ in sets]
    bodies = BodyModels(body_models, _BLOCK)
    starts = range(0, people, _BLOCK)
    for start in show_progress(starts, "comparing labels"):
        rows = slice(start, start + _BLOCK)
        posed, turned = [], []
        for table, values in zip(tables, own, strict=True):
            part = {name: np.array(column[rows]) for name, column in table.items()}
            pred = BodyParameters.of_columns(part)
            joints = bodies.joints(pred.without_translation())
            quality = body_quality(bodies.spec, pred.body_pose, torch.from_numpy(part["body_pose"]), pred.betas)
            for name in _FROM_BODY:
                values[name][rows] = quality[name].numpy()
            if reference is not None and _CAMERA.keys() <= part.keys():
                values["error_2d"][rows] = 100 * _error_2d(joints, bodies.spec, part, reference, rows)
            posed.append(joints[:, : len(bodies.spec.joints)])
            turned.append(pred.global_orient)
        for (i, j), values in pairs.items():
            values["pa_mpjpe"][rows] = pa_mpjpe(posed[i], posed[j]).numpy()
            values["mpjpe"][rows] = mpjpe(posed[i], posed[j], root=0).numpy()
            values["orientation"][rows] = torch.rad2deg(geodesic_distance(turned[i], turned[j])).numpy()
    result.pairs = pairs
    for one, values in zip(sets, own, strict=True):
        for name, value in values.items():
            _keep_known(one, name, value)


def _error_2d(
    joints: Tensor, spec: BodySpec, table: Columns, reference: _Reference, rows: slice
) -> NDArray[np.float32]:
    """(B,) mean distance of the annotated joints that the body has, in box sides; NaN where none is annotated."""
    index = spec.rows(reference.joint_set)
    mapped = np.flatnonzero(index >= 0)
    moved = joints[:, index[mapped]] + torch.from_numpy(table["transl"])[:, None]
    points = project(moved, torch.from_numpy(table["focal"]), torch.from_numpy(table["princpt"])).numpy()
    known = np.array(reference.joints[rows][:, mapped])
    distance = np.linalg.norm(points - known[..., :2], axis=-1) / reference.side[rows, None]
    visible = known[..., 2] > 0
    with np.errstate(invalid="ignore"):
        return (distance * visible).sum(axis=1) / visible.sum(axis=1)


def _measure_truth(result: LabelComparison, tables: Sequence[Columns], body_models: str, truth: Path) -> None:
    with np.load(truth, allow_pickle=False) as content:
        true_ids = set(content["id"].astype(str).tolist())
    known = np.flatnonzero([name in true_ids for name in result.ids])
    if len(known) == 0:
        msg = f"{truth} has nobody of the shared people, for example {result.ids[0]}: is it of another world?"
        raise LabelError(msg)
    true = read_truth(truth, result.ids[known].tolist())
    scorer = BodyScorer(body_models, [LABEL_PROTOCOL])
    for one, table in zip(result.sets, tables, strict=True):
        pred = BodyParameters.of_columns({name: np.array(table[name][known]) for name in (*_BODY, "gender")})
        parts = [
            scorer(pred.select(slice(start, start + _BLOCK)), true.select(slice(start, start + _BLOCK)))
            for start in show_progress(range(0, len(known), _BLOCK), f"{one.name} against true bodies")
        ]
        for name in (column.key for column in COLUMNS if column.group == TRUTH):
            values = np.full(len(result.ids), np.nan, np.float32)
            values[known] = np.concatenate([part[f"{LABEL_PROTOCOL}_{name}"].numpy() for part in parts])
            _keep_known(one, name, values)


def _keep_known(one: LabelSet, name: str, values: NDArray[Any]) -> None:
    if not np.isnan(values).all():
        one.values[name] = values
