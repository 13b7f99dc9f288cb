"""MMHuman3D's HumanData npz.

========================= ============ ======= =================================================================
key                       shape        dtype   content
========================= ============ ======= =================================================================
image_path                (N,)         unicode path below the data set's image folder
bbox_xywh                 (N, 5)       float32 x, y, w, h of the box in pixels, and 1
keypoints2d               (N, 190, 3)  float32 x, y in pixels and confidence, joints of the convention human_data
keypoints2d_mask          (190,)       uint8   which of the 190 this file can have
keypoints2d_convention    ()           unicode human_data
smpl                      dict         object  global_orient (N, 3), body_pose (N, 23, 3), betas (N, 10), transl (N, 3)
meta                      dict         object  gender (list), focal_length (N, 2), principal_point (N, 2), height, width
config                    ()           unicode name of the data set
__data_len__              ()           int64   N
__key_strict__            ()           bool    False
__keypoints_compressed__  ()           bool    False: absent joints are there, as zeros
========================= ============ ======= =================================================================

As open-mmlab/mmhuman3d ``data/data_structures/human_data.py`` loads it (numpy.load with allow_pickle). ``smpl`` and
``meta`` are dicts, so they are stored as pickled objects of NumPy arrays: HumanData knows no other way. Here they are
read through the project's restricted unpickler. Joints are placed as its own converters place SPIN's 24 (smpl_24 to
human_data), so COCO's hips are hip_extra and not SMPL's hips; toes and heels are SMPL's vertices.

The format has no camera of its own; ``meta`` carries one, under the names of mmhuman3d's NeuralAnnot converters, from
which joints come back to 0.1 px. Compressed files (only the joints of the mask) are read as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.contracts import GENDERS
from body_models.spec import SMPL
from datamodules.ids import PersonId
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    CAMERA_COLUMNS,
    PARTS,
    LabelBlocks,
    Published,
    require_positive,
)
from datamodules.pseudo_gt.native import JOINTS, Columns, LabelError
from datamodules.pseudo_gt.npz import NpzReader, NpzWriter

NUM_JOINTS = 190
# Rows of the convention human_data for SPIN's 24 joints, and for OpenPose's six foot joints.
_PARTS = [8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, 146, 147, 148, 149, 150, 151, 152, 55, 57, 56, 59, 58]
_FEET = [60, 61, 62, 63, 64, 65]
_FOOT_SLOTS = slice(19, 25)
_OPENPOSE = list(range(153, 178))
_META = {"focal": "focal_length", "princpt": "principal_point"}


def write_humandata(labels: LabelBlocks, path: Path) -> int:
    """Write the npz; returns the number of people."""
    needed = ("id", "image", "box", *BODY_COLUMNS, *CAMERA_COLUMNS)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in (*needed[3:], "image_size", "gender")}
    mask = np.zeros(NUM_JOINTS, dtype=np.uint8)
    config = ""
    with NpzWriter(path, compressed=("keypoints2d",)) as file:
        for block in labels.blocks("humandata", needed, (JOINTS, "gender", "image_size")):
            for name, values in parts.items():
                if name in block:
                    values.append(block[name])
            config = PersonId.parse(block["id"][0]).table
            joints = labels.spin_joints(block, len(block["id"]))
            keypoints = np.zeros((len(joints), NUM_JOINTS, 3), dtype=np.float32)
            keypoints[:, _PARTS], keypoints[:, _FEET] = joints[:, PARTS], joints[:, _FOOT_SLOTS]
            mask |= (keypoints[..., 2] > 0).any(axis=0)
            box = np.concatenate([block["box"], np.ones((len(joints), 1), dtype=np.float32)], axis=1)
            file.append({"image_path": block["image"], "bbox_xywh": box, "keypoints2d": keypoints})
        body = {name: np.concatenate(values) for name, values in parts.items() if values}
        smpl = {name: body[name] for name in ("global_orient", "betas", "transl")}
        file.put("smpl", {**smpl, "body_pose": body["body_pose"].reshape(-1, SMPL.num_rotations, 3)})
        meta: dict[str, Any] = {key: body[name] for name, key in _META.items()}
        meta["gender"] = body["gender"].tolist()
        if "image_size" in body:
            meta["width"], meta["height"] = body["image_size"].T.copy()
        file.put("meta", meta)
        file.put("keypoints2d_mask", mask)
        file.put("keypoints2d_convention", "human_data")
        file.put("config", config)
        file.put("__data_len__", labels.rows)
        file.put("__key_strict__", False)
        file.put("__keypoints_compressed__", False)
    return labels.rows


def read_humandata(path: str | Path, dataset: str, split: str) -> Published:
    """Read the npz: image, box, body; joints_2d (spin49), transl, focal, princpt, gender where it has them.

    People whose has_smpl is 0 are left out.

    Raises:
        LabelError: the file is not in this layout; the key and the person are named.
    """
    with NpzReader(path, "a HumanData npz") as file:
        if "has_smpl" in file:
            file.leave_out("has_smpl")
        columns: Columns = {"image": file.texts("image_path"), "box": _boxes(file)}
        smpl = _dict(file, "smpl")
        for name, length in (("global_orient", 3), ("body_pose", 3 * SMPL.num_rotations), ("betas", SMPL.shape_size)):
            if name not in smpl:
                msg = f"{path}: smpl has no {name}, so it is no file with SMPL bodies"
                raise LabelError(msg)
            columns[name] = file.check(f"smpl.{name}", smpl[name], length)
        meta = _dict(file, "meta") if "meta" in file else {}
        if "transl" in smpl:
            columns["transl"] = file.check("smpl.transl", smpl["transl"], 3)
            for name, key in _META.items():
                if key in meta:
                    columns[name] = file.check(f"meta.{key}", meta[key], 2)
        columns |= _genders(file, meta)
        if "keypoints2d" in file:
            columns[JOINTS] = _joints(file)
    return Published(columns, "spin49" if JOINTS in columns else None, file.left_out)


def _genders(file: NpzReader, meta: dict[str, Any]) -> Columns:
    """gender, where the file says it of everybody; anything unknown is neutral."""
    names = meta.get("gender")
    names = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(names, list) or len(names) != file.rows:
        return {}
    known = {name[0]: name for name in GENDERS}
    texts = file.strings("meta.gender", [name if isinstance(name, str | bytes) else "" for name in names])
    return {"gender": np.array([known.get(text[:1], "neutral") for text in texts], dtype=object)}


def _boxes(file: NpzReader) -> NDArray[np.float32]:
    """(N, 4) x, y, w, h; the fifth number, where there is one, is a score."""
    boxes = file.check("bbox_xywh", file.value("bbox_xywh"), -1)
    if boxes.shape[1] not in (4, 5):
        msg = f"{file.path}: bbox_xywh has {boxes.shape[1]} numbers a person, expected 4, or 5 with a score"
        raise LabelError(msg)
    require_positive(str(file.path), "width and height of bbox_xywh", boxes[:, 2:4])
    return boxes[:, :4].copy()


def _dict(file: NpzReader, name: str) -> dict[str, Any]:
    value = file.value(name)
    if not isinstance(value, dict):
        msg = f"{file.path}: {name} holds a {type(value).__name__}, not a dict; it is no HumanData npz"
        raise LabelError(msg)
    return value


def _joints(file: NpzReader) -> NDArray[np.float32]:
    keypoints = file.array("keypoints2d")
    count = keypoints.shape[1] if keypoints.ndim == 3 else 0
    place = np.arange(NUM_JOINTS)  # of each of the 190 in the file; -1 where it is not there
    if "__keypoints_compressed__" in file and _truth_values(file, "__keypoints_compressed__").any():
        mask = _truth_values(file, "keypoints2d_mask")
        if mask.shape != (NUM_JOINTS,) or mask.sum() != count:
            msg = f"{file.path}: keypoints2d has {count} joints, its mask names {int(mask.sum())}"
            raise LabelError(msg)
        place = np.where(mask, np.cumsum(mask) - 1, -1)
    elif count != NUM_JOINTS:
        msg = f"{file.path}: keypoints2d has {count} joints, HumanData has {NUM_JOINTS}"
        raise LabelError(msg)
    # Only what is used: all 190 in double precision would be the largest thing in memory.
    wanted = place[[*_OPENPOSE, *_FEET, *_PARTS]]
    keypoints = keypoints[:, wanted]
    found = file.check("keypoints2d", keypoints, len(wanted), 3)
    found[:, wanted < 0] = 0
    openpose, feet, parts = np.split(found, [len(_OPENPOSE), len(_OPENPOSE) + len(_FEET)], axis=1)
    joints = np.concatenate([openpose, parts], axis=1)
    joints[:, _FOOT_SLOTS] = np.where(feet[..., 2:] > 0, feet, joints[:, _FOOT_SLOTS])
    return joints


def _truth_values(file: NpzReader, name: str) -> NDArray[np.bool_]:
    values = file.array(name)
    return values.astype(bool) if values.dtype.kind in "biuf" else np.zeros(0, dtype=bool)
