"""What the formats of pseudo-GTs share: label tables on the way out, published files on the way in, cameras between.

Each format is a file of its own with ``write_NAME(labels, path)`` and ``read_NAME(path, dataset, split)`` side by side;
:mod:`datamodules.pseudo_gt.formats` lists them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from body_models.joint_sets import JOINT_SETS, SPIN49, convert_joints
from body_models.parameters import BodyParameters
from body_models.spec import SMPL
from datamodules.ids import PersonId
from datamodules.progress import show_progress
from datamodules.pseudo_gt.native import (
    BLOCK_ROWS,
    JOINTS,
    Columns,
    LabelError,
    body_sizes,
    column_names,
    iter_labels,
    read_provenance,
)

SMPL_SIZES = {"pose": SMPL.pose_size, "shape": SMPL.shape_size, "trans": 3}
"""Numbers of SMPL's parameters under the names that json layouts have for them."""
BODY_COLUMNS = ("global_orient", "body_pose", "betas")
CAMERA_COLUMNS = ("transl", "focal", "princpt")
_POSED_AT_ONCE = 512
_SMPL_COLUMNS = {"3R": 3 * SMPL.num_rotations, "S": SMPL.shape_size}
PIXELS_PER_SCALE = 200.0  # the field's unit of box sizes, from MPII's annotations
PARTS = slice(25, 49)  # SPIN's 24 ground-truth joints within its 49; before them come OpenPose's 25
_PELVIS_PART = 14  # MPII's pelvis within the 24, where files of this family have their origin


class Published(NamedTuple):
    """People of a published file.

    Attributes:
        columns: of the native table, as far as the file has them; ``id`` where it has the data set's own keys.
        joint_set: name of the joint set of ``joints_2d``, or None where there are none.
        left_out: people of the file whose label is flagged as absent, by reason.
    """

    columns: Columns
    joint_set: str | None
    left_out: Mapping[str, int] = MappingProxyType({})


class LabelBlocks:
    """The people of a label table on their way into another format, a block at a time, with a progress bar.

    Args:
        folder: of the table.
        body_models: reference of the bodies, for formats that hold 3D joints or a camera of their own.
        keep: (N,) mask of the rows to write; None for all.

    Attributes:
        rows: number of people.
        frame: camera or world.

    Raises:
        LabelError: the labels are of bodies that these formats have no place for.
    """

    def __init__(self, folder: str | Path, body_models: str = "free", keep: NDArray[np.bool_] | None = None) -> None:
        self.folder = Path(folder)
        content = read_provenance(folder)
        if body_sizes(folder) != _SMPL_COLUMNS:
            msg = (
                f"{folder} has bodies of the kind {content['body']['kind']}; the layouts of other code bases hold "
                "SMPL's alone, so these labels stay in the native table"
            )
            raise LabelError(msg)
        self.rows: int = content["rows"] if keep is None else int(keep.sum())
        self.frame: str = content["frame"]
        self.image_root: str | None = content["image_root"]
        self._joint_set = None if content["joint_set"] is None else JOINT_SETS[content["joint_set"]]
        self._names = column_names(folder)
        self._bodies, self._keep = BodyModels(body_models, _POSED_AT_ONCE), keep

    @property
    def has_joints(self) -> bool:
        """Whether the table holds the 2D joints that it was made with."""
        return JOINTS in self._names and self._joint_set is not None

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the table's own joints; none where it holds no joints."""
        return self._joint_set.names if self.has_joints and self._joint_set is not None else ()

    def present(self, names: list[str]) -> list[str]:
        """Those of some columns that the table has."""
        return [name for name in names if name in self._names]

    def blocks(self, what: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> Iterator[Columns]:
        """Blocks of columns.

        Args:
            what: the format, for messages and the progress bar.
            needed: columns that the format cannot do without.
            optional: columns that are left out where the table has none; ``gender`` is neutral then.

        Raises:
            LabelError: a column that is needed is missing.
        """
        missing = [name for name in needed if name not in self._names]
        if missing:
            msg = (
                f"{self.folder} has no column {', '.join(missing)}, which {what} needs. Tables of version 1 and "
                "imported labels lack some: run the dump again, or write a format that needs less (--list)"
            )
            raise LabelError(msg)
        columns = [*needed, *(name for name in optional if name in self._names and name not in needed)]
        steps = -(-self.rows // BLOCK_ROWS)
        for block in show_progress(
            iter_labels(self.folder, columns=columns, keep=self._keep), f"Writing {what}", total=steps
        ):
            if "gender" in optional and "gender" not in block:
                block["gender"] = np.full(len(block[columns[0]]), "neutral", dtype=object)
            yield block

    def spin_joints(self, block: Mapping[str, NDArray[Any]], rows: int) -> NDArray[np.float32]:
        """(n, 49, 3) x, y in pixels and confidence of SPIN's 49 joints; zeros where the table has no such joint."""
        if not self.has_joints or self._joint_set is None:
            return np.zeros((rows, len(SPIN49.names), 3), dtype=np.float32)
        return convert_joints(block[JOINTS], self._joint_set, SPIN49)

    def body_joints(self, block: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """(n, J, 3) body joints in metres, without translation: posed with the body of each person's gender."""
        return self._bodies.joints(BodyParameters.of_columns(block).without_translation()).numpy()


def spin_parts_3d(body_joints: NDArray[Any], joints: slice = PARTS) -> NDArray[np.float32]:
    """(N, K, 4) metres and confidence 1 of SPIN's joints on posed bodies (N, J, 3), with MPII's pelvis at the origin.

    Args:
        body_joints: (N, J, 3) metres.
        joints: of SPIN's 49; all have a body joint.
    """
    posed = body_joints[:, SMPL.rows(SPIN49)]
    posed = posed[:, joints] - posed[:, [PARTS.start + _PELVIS_PART]]
    return np.concatenate([posed, np.ones_like(posed[..., :1])], axis=2).astype(np.float32)


def pose_of(block: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """(N, P) axis-angle, root first."""
    return np.concatenate([block["global_orient"], block["body_pose"]], axis=1)


def split_pose(pose: NDArray[Any]) -> Columns:
    """global_orient and body_pose of (N, P) axis-angle, root first."""
    return {"global_orient": pose[:, :3], "body_pose": pose[:, 3:]}


def centre_and_size(box: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (N, 2) and longer side (N,) in pixels of boxes (N, 4) x, y, w, h."""
    box = box.astype(np.float64)
    return box[:, :2] + box[:, 2:] / 2, box[:, 2:].max(axis=1)


def square_box(centre: NDArray[Any], size: NDArray[Any]) -> NDArray[np.float32]:
    """(N, 4) x, y, w, h of squares with centres (N, 2) and sides (N,), in pixels."""
    size = np.asarray(size, dtype=np.float64)[:, None]
    return np.concatenate([centre - size / 2, size, size], axis=1).astype(np.float32)


def keys_of(ids: NDArray[Any]) -> list[str]:
    """The data sets' own keys: ids without data set and split."""
    return [PersonId.parse(name).key for name in ids]


def numeric_keys(keys: list[str]) -> NDArray[np.int64] | None:
    """(N,) keys as integers, or None where one is not."""
    return np.array(keys, dtype=np.int64) if all(key.isdecimal() and len(key) < 19 for key in keys) else None


def make_ids(dataset: str, split: str, keys: object) -> NDArray[Any]:
    """(N,) object array of ids from the data set's own keys."""
    return np.array([f"{dataset}/{split}/{key}" for key in np.asarray(keys).tolist()], dtype=object)


def numbers_at(where: str, record: Any, place: str, shape: tuple[int, ...] | None) -> NDArray[np.float64]:
    """Finite numbers in a record of a JSON file or of a pickle.

    Args:
        where: the file and the person, for messages.
        record: objects within objects.
        place: the keys that lead to the numbers, joined by dots.
        shape: of the numbers; () for a single one, None for any length.

    Raises:
        LabelError: there are no numbers, another number of them, or some are not finite in float32.
    """
    try:
        for key in place.split("."):
            record = record[key]
        values = np.asarray(record, dtype=np.float64)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        msg = f"{where} has no numbers at {place}"
        raise LabelError(msg) from error
    with np.errstate(over="ignore"):  # what is too large for a label table becomes infinite
        strange = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
    if shape is not None and values.size != math.prod(shape):
        found = f"{values.size:,} numbers"
    elif len(strange):
        found = f"{values.ravel()[strange[0]]} at place {strange[0]} ({len(strange):,} such)"
    else:
        return values.reshape(-1 if shape is None else shape)
    wanted = " x ".join(map(str, shape)) if shape else "" if shape is None else "1"
    msg = f"{where}: {place} must be {wanted} finite numbers, got {found}".replace("  ", " ")
    raise LabelError(msg)


def is_absent(record: Any, *places: str) -> bool:
    """Whether a record, or what it holds under one of some keys, is null: how files say that a label is absent."""
    return record is None or (isinstance(record, dict) and any(record.get(place, ...) is None for place in places))


def require_positive(where: str, name: str, values: NDArray[Any]) -> None:
    """Raise a LabelError that names the first row of (N, ...) sizes with one that is 0 or less."""
    bad = np.flatnonzero((values <= 0).reshape(len(values), -1).any(axis=1))
    if len(bad):
        msg = f"{where}: person {bad[0]}: {name} must be positive, got {values[bad[0]]} ({len(bad):,} such)"
        raise LabelError(msg)


def project_points(points: NDArray[Any], focal: NDArray[Any], princpt: NDArray[Any]) -> NDArray[np.float64]:
    """(N, J, 2) pixels of points (N, J, 3) in the camera frame, focal and princpt (N, 2), in double precision."""
    points = points.astype(np.float64)
    depth = np.maximum(points[..., 2:], 1e-2)
    return points[..., :2] / depth * focal[:, None] + princpt[:, None]


def fit_translation(
    joints: NDArray[Any], target: NDArray[Any], focal: NDArray[Any], princpt: NDArray[Any]
) -> NDArray[np.float64]:
    """Translations that bring bodies to where they were seen, under another camera, with the pose unchanged.

    Least squares on the projected joints by Gauss-Newton, from the start that the extents suggest.

    Args:
        joints: (N, J, 3) metres, without translation.
        target: (N, J, 2) pixels.
        focal: (N, 2) pixels of the other camera.
        princpt: (N, 2) pixels of the other camera.

    Returns:
        (N, 3) metres, camera frame.
    """
    joints = joints.astype(np.float64)
    rays = (target - princpt[:, None]) / focal[:, None]
    middle, seen = joints.mean(axis=1), rays.mean(axis=1)
    flat = (joints - middle[:, None])[..., :2]
    extent = np.sqrt((flat**2).sum(axis=(1, 2)))
    depth = extent / np.maximum(np.sqrt(((rays - seen[:, None]) ** 2).sum(axis=(1, 2))), 1e-9)
    transl = np.concatenate([seen * depth[:, None], depth[:, None]], axis=1) - middle
    for _ in range(10):
        points = joints + transl[:, None]
        z = np.maximum(points[..., 2], 1e-2)
        scale = focal[:, None] / z[..., None]
        residual = points[..., :2] * scale + princpt[:, None] - target
        jacobian = np.zeros((*residual.shape, 3))
        jacobian[..., 0, 0], jacobian[..., 1, 1] = scale[..., 0], scale[..., 1]
        jacobian[..., :, 2] = -points[..., :2] * scale / z[..., None]
        rows = jacobian.reshape(len(joints), -1, 3)
        normal = rows.transpose(0, 2, 1) @ rows + 1e-9 * np.eye(3)
        gradient = rows.transpose(0, 2, 1) @ residual.reshape(len(joints), -1, 1)
        transl = transl - np.linalg.solve(normal, gradient)[..., 0]
    return transl
