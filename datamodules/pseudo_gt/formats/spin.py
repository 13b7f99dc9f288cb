"""SPIN's training npz, also read by PARE, VIBE and most regressors of this family, and SPIN's static fits.

============ ========== ======= =========================================================================
key          shape      dtype   content
============ ========== ======= =========================================================================
imgname      (N,)       unicode path below the data set's image folder
center       (N, 2)     float64 centre of the box, pixels
scale        (N,)       float64 side of the square box / 200
part         (N, 24, 3) float32 x, y in pixels and confidence of SPIN's 24 ground-truth joints
openpose     (N, 25, 3) float32 x, y in pixels and confidence of OpenPose's 25 joints
pose         (N, 72)    float32 axis-angle, camera frame
shape        (N, 10)    float32 betas
has_smpl     (N,)       float32 1
S            (N, 24, 4) float32 metres, camera axes, MPII's pelvis at the origin; confidence 1
gender       (N,)       unicode m, f or neutral
============ ========== ======= =========================================================================

Read as nkolot/SPIN ``datasets/base_dataset.py`` does: numpy.load without pickles, so imgname must not be an array of
objects; ``scale`` is the box's side / 200. Joints are taken from the annotated ones by definition; a joint that no
annotated joint is has confidence 0, and OpenPose's slots are filled from the annotation, not from a detector. ``S``
is not measured: it is the pseudo-GT's own body. The format has no camera, so pose, shape, box and joints come back
to 1e-6, and nothing can be projected. SPIN counts any gender but ``m`` as female; only its 3DPW evaluation uses it.
The reader counts pixels from 0, as this table does, so MPII's coordinates are not shifted.

*Static fits* (``train/fits_dict.py``): ``<name>_fits.npy``, (N, 82) float32, pose 72 and shape 10 of each row of the
data set's npz, which is written beside it under the same name (``.npz``; the table above up to openpose).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from body_models.contracts import GENDERS
from body_models.safe_pickle import NUMPY_ERRORS
from body_models.spec import SMPL
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    PARTS,
    PIXELS_PER_SCALE,
    LabelBlocks,
    Published,
    centre_and_size,
    pose_of,
    require_positive,
    spin_parts_3d,
    split_pose,
    square_box,
)
from datamodules.pseudo_gt.native import JOINTS, Columns, LabelError
from datamodules.pseudo_gt.npz import NpzReader, NpzWriter
from datamodules.writing import replacing

GENDER_LETTERS = {"male": "m", "female": "f", "neutral": "neutral"}
_FIT_SIZE = SMPL.pose_size + SMPL.shape_size
_GENDERS = {"m": "male", "f": "female", **{name: name for name in GENDERS}}


def write_spin(labels: LabelBlocks, path: Path) -> int:
    """Write SPIN's npz; returns the number of people."""
    with NpzWriter(path) as file:
        for block in labels.blocks("spin", ("image", "box", *BODY_COLUMNS), (JOINTS, "gender")):
            file.append({**image_columns(labels, block), **body_columns(labels, block)})
    return labels.rows


def image_columns(labels: LabelBlocks, block: Columns) -> dict[str, NDArray[Any]]:
    """imgname, center, scale, part and openpose of a block, as all files of the family have them."""
    centre, size = centre_and_size(block["box"])
    joints = labels.spin_joints(block, len(centre))
    return {
        "imgname": block["image"],
        "center": centre,
        "scale": size / PIXELS_PER_SCALE,
        "part": np.ascontiguousarray(joints[:, PARTS]),
        "openpose": np.ascontiguousarray(joints[:, : PARTS.start]),
    }


def body_columns(labels: LabelBlocks, block: Columns, joints: NDArray[Any] | None = None) -> dict[str, NDArray[Any]]:
    """pose, shape, has_smpl, S and gender of a block; ``joints`` are its posed bodies where they are known."""
    return {
        "pose": pose_of(block),
        "shape": block["betas"],
        "has_smpl": np.ones(len(block["betas"]), dtype=np.float32),
        "S": spin_parts_3d(labels.body_joints(block) if joints is None else joints),
        "gender": np.array([GENDER_LETTERS[gender] for gender in block["gender"]], dtype=object),
    }


def read_spin(path: str | Path, dataset: str, split: str) -> Published:
    """Read SPIN's npz: image, box, global_orient, body_pose, betas, joints_2d (spin49), gender.

    People whose has_smpl is 0 are left out.

    Raises:
        LabelError: the file is not in this layout; the key and the person are named.
    """
    with NpzReader(path, "SPIN's npz") as file:
        return Published(read_family(file), "spin49", file.left_out)


def read_family(file: NpzReader) -> Columns:
    """What the files of SPIN's family have in common."""
    return {
        **read_boxes(file), **split_pose(file.numbers("pose", SMPL.pose_size)),
        "betas": file.numbers("shape", SMPL.shape_size), **read_gender(file),
    }  # fmt: skip


def read_gender(file: NpzReader) -> Columns:
    """gender of a file of the family, where it has one; anything unknown is neutral."""
    if "gender" not in file:
        return {}
    return {"gender": np.array([_GENDERS.get(name, "neutral") for name in file.texts("gender")], dtype=object)}


def read_boxes(file: NpzReader) -> Columns:
    """image, box and joints_2d of a file of the family, of which people without a body are left out."""
    if "has_smpl" in file:
        file.leave_out("has_smpl")
    columns = {
        "image": file.texts("imgname"),
        "box": square_box(file.numbers("center", 2, dtype=np.float64), PIXELS_PER_SCALE * read_scale(file)),
    }
    joints = np.zeros((len(columns["box"]), 49, 3), dtype=np.float32)
    if "part" in file:
        joints[:, PARTS] = file.numbers("part", PARTS.stop - PARTS.start, 3)
    if "openpose" in file:
        joints[:, : PARTS.start] = file.numbers("openpose", 25, 3)
    return {**columns, JOINTS: joints}


def read_scale(file: NpzReader) -> NDArray[np.float64]:
    """(N,) the larger of each person's one or two numbers under ``scale``, as 4D-Humans and CameraHMR read it."""
    scale = file.check("scale", file.value("scale"), -1, dtype=np.float64)
    if scale.shape[1] not in (1, 2):
        msg = f"{file.path}: scale must be one or two numbers a person, got {scale.shape[1]}"
        raise LabelError(msg)
    require_positive(str(file.path), "scale", scale)
    return scale.max(axis=1)


def write_spin_fits(labels: LabelBlocks, path: Path) -> int:
    """Write SPIN's static fits, and the data set's npz beside them; returns the number of people."""
    with (
        replacing(path) as temporary,
        temporary.open("wb") as fits,
        NpzWriter(path.with_suffix(".npz")) as companion,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": (labels.rows, 82)}
        npy.write_array_header_1_0(fits, header)
        for block in labels.blocks("spin_fits", ("image", "box", *BODY_COLUMNS), (JOINTS,)):
            rows = np.concatenate([pose_of(block), block["betas"]], axis=1)
            fits.write(np.ascontiguousarray(rows, dtype="<f4").data)
            companion.append(image_columns(labels, block))
    return labels.rows


def read_spin_fits(path: str | Path, dataset: str, split: str) -> Published:
    """Read SPIN's static fits with the data set's npz beside them; columns as :func:`read_spin`, without gender."""
    path = Path(path)
    try:
        fits = np.load(path, allow_pickle=False)
    except NUMPY_ERRORS as error:
        msg = f"{path} is not a readable .npy file ({error}): get it again"
        raise LabelError(msg) from error
    if not isinstance(fits, np.ndarray) or fits.ndim != 2 or fits.shape[1] != _FIT_SIZE:
        msg = (
            f"{path} must hold (N, {_FIT_SIZE}) numbers (pose 72, shape 10), got {getattr(fits, 'shape', 'an archive')}"
        )
        raise LabelError(msg)
    companion = path.with_suffix(".npz")
    if not companion.is_file():
        msg = f"{path}: its rows are those of the data set's npz; copy that to {companion}"
        raise LabelError(msg)
    with NpzReader(companion, "the npz of SPIN's data set") as file:
        columns = read_boxes(file)
        if file.rows != len(fits):
            msg = f"{path} has {len(fits)} rows, {companion} has {file.rows}: they are of different sets"
            raise LabelError(msg)
        fits = file.check(f"row of {path.name}", fits, _FIT_SIZE)
    return Published(
        {**columns, **split_pose(fits[:, : SMPL.pose_size]), "betas": fits[:, SMPL.pose_size :]},
        "spin49",
        file.left_out,
    )
