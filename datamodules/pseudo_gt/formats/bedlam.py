"""BEDLAM's training npz, also read by CameraHMR: a full-image camera for each person.

========= ============ ======= ==========================================================================
key       shape        dtype   content
========= ============ ======= ==========================================================================
imgname   (N,)         unicode path below the image folder
center    (N, 2)       float64 centre of the box, pixels
scale     (N,)         float64 side of the square box / 200
pose_cam  (N, 72)      float32 axis-angle, root first, camera frame
shape     (N, 10)      float32 betas
betas     (N, 10)      float32 the same: BEDLAM reads ``shape`` only if a key ``betas`` exists
trans_cam (N, 3)       float32 metres, camera frame
cam_int   (N, 3, 3)    float32 intrinsics of the full image, pixels
cam_ext   (N, 4, 4)    float32 identity; the readers add its last column to ``trans_cam``
gtkps     (N, 44, 3)   float32 x, y in pixels and confidence: OpenPose's 25 and the first 19 of SPIN's 24 joints
part      (N, 24, 3)   float32 as in :mod:`datamodules.pseudo_gt.formats.spin`, read by BEDLAM's SMPL data set
openpose  (N, 25, 3)   float32 the same
gender    (N,)         unicode m, f or neutral
========= ============ ======= ==========================================================================

As pixelite1201/BEDLAM ``train/dataset/dataset_smpl.py`` and pixelite1201/CameraHMR ``core/datasets/dataset_train.py``
read them. The principal point is free, so joints come back to 0.1 px. As there, on the way in ``pose`` stands for a
missing ``pose_cam``, ``cam_int``, ``cam_ext`` and ``trans_cam`` may be missing (CameraHMR's labels of real images have
no translation), and of two numbers under ``scale`` the larger counts. BEDLAM's own files hold projections of the true
body in ``gtkps``; here these are the annotated joints, with confidence 0 where nothing is annotated.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from body_models.spec import SMPL
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    CAMERA_COLUMNS,
    LabelBlocks,
    Published,
    pose_of,
    split_pose,
)
from datamodules.pseudo_gt.formats.spin import GENDER_LETTERS, image_columns, read_boxes, read_gender
from datamodules.pseudo_gt.native import JOINTS, Columns, LabelError
from datamodules.pseudo_gt.npz import NpzReader, NpzWriter

_GTKPS = 44


def write_bedlam(labels: LabelBlocks, path: Path) -> int:
    """Write the npz; returns the number of people."""
    with NpzWriter(path) as file:
        for block in labels.blocks("bedlam", ("image", "box", *BODY_COLUMNS, *CAMERA_COLUMNS), (JOINTS, "gender")):
            rows = len(block["betas"])
            images = image_columns(labels, block)
            intrinsics = np.zeros((rows, 3, 3), dtype=np.float32)
            intrinsics[:, [0, 1], [0, 1]] = block["focal"]
            intrinsics[:, :2, 2] = block["princpt"]
            intrinsics[:, 2, 2] = 1
            file.append(
                {
                    **images,
                    "pose_cam": pose_of(block),
                    "shape": block["betas"],
                    "betas": block["betas"],
                    "trans_cam": block["transl"],
                    "cam_int": intrinsics,
                    "cam_ext": np.tile(np.eye(4, dtype=np.float32), (rows, 1, 1)),
                    "gtkps": np.concatenate([images["openpose"], images["part"]], axis=1)[:, :_GTKPS],
                    "gender": np.array([GENDER_LETTERS[gender] for gender in block["gender"]], dtype=object),
                }
            )
    return labels.rows


def read_bedlam(path: str | Path, dataset: str, split: str) -> Published:
    """Read the npz: image, box, body, joints_2d (spin49); transl, focal, princpt, gender where it has them.

    People whose has_smpl is 0 are left out.

    Raises:
        LabelError: the file is not in this layout, or its bodies are SMPL-X; the key and the person are named.
    """
    with NpzReader(path, "BEDLAM's npz") as file:
        columns = read_boxes(file)
        name = "pose" if "pose" in file and "pose_cam" not in file else "pose_cam"
        pose = file.check(name, file.value(name), -1)
        if pose.shape[1] != SMPL.pose_size:
            msg = (
                f"{path}: {name} has {pose.shape[1]} numbers a person, SMPL has {SMPL.pose_size}: the file is of SMPL-X"
            )
            raise LabelError(msg)
        shape = file.check("shape", file.value("shape"), -1)
        if shape.shape[1] < SMPL.shape_size:
            msg = f"{path}: shape has {shape.shape[1]} numbers a person, SMPL's body has {SMPL.shape_size}"
            raise LabelError(msg)
        columns |= {**split_pose(pose), "betas": shape[:, : SMPL.shape_size], **_camera(file), **read_gender(file)}
        if "part" not in file and "openpose" not in file and "gtkps" in file:
            joints = file.check("gtkps", file.value("gtkps"), -1, 3)
            # Other files of this family have other joints there.
            if joints.shape[1] == _GTKPS:
                columns[JOINTS][:, :_GTKPS] = joints
    return Published(columns, "spin49", file.left_out)


def _camera(file: NpzReader) -> Columns:
    """transl, focal and princpt, as far as the file has them."""
    columns: Columns = {}
    parts = []
    if "trans_cam" in file:
        parts.append(file.numbers("trans_cam", 3))
    if "cam_ext" in file:
        parts.append(file.numbers("cam_ext", 4, 4)[:, :3, 3])
    # The readers take 0 for what is missing; a body at the camera's own place is no translation.
    if parts and (transl := np.sum(parts, axis=0)).any():
        columns["transl"] = transl
    if "cam_int" in file:
        intrinsics = file.numbers("cam_int", 3, 3)
        columns["focal"], columns["princpt"] = intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2]
    return columns
