"""EFT's json: bodies as rotation matrices, and a weak-perspective camera of the crop.

``{"ver": 0.1, "data": [person, ...]}`` with, for each person:

======================== ========== ========================================================================
key                      shape      content
======================== ========== ========================================================================
parm_pose                24, 3, 3   rotation matrices, root first, camera frame
parm_shape               10         betas
parm_cam                 3          s, tx, ty: crop coordinates in -1..1 are s * (X, Y) + (tx, ty)
bbox_center              2          pixels
bbox_scale               number     side of the square box / 200
gt_keypoint_2d           49, 3      x, y in pixels and confidence of SPIN's 49 joints
joint_validity_openpose18 18        confidence of the one of SPIN's 24 joints that is each of OpenPose's 18
smpltype                 string     smpl
annotId                  integer    COCO's annotation id; a running number for other data sets
imageName                string     file name without folders
======================== ========== ========================================================================

As facebookresearch/eft ``docs/README_dataformat.md``, ``demo/visEFTFit.py`` (which reads all of these but the
keypoints) and open-mmlab/mmhuman3d ``data_converters/eft.py`` have it. The validity is derived as EFT's exporter does:
from SPIN's 24 joints by ``JOINT_MAP_SPIN24_TO_OPENPOSE18`` of ``eft/cores/jointorders.py``, so that COCO's hips, which
are not the hips of OpenPose's 25, are valid. The camera is fitted to the projected joints by least squares, the pose
stays; known residuals are 0.07 to 0.22 px mean. EFT's own viewer rounds the crop's corners to whole pixels on top of
that.

On the way in the weak-perspective camera becomes a pinhole of a focal length so long (body at 5 km) that the
perspective is below 0.1 px; ``transl`` is then no estimate of where the person stands.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from body_models.joint_sets import SPIN49
from body_models.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from body_models.spec import SMPL
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    CAMERA_COLUMNS,
    PARTS,
    PIXELS_PER_SCALE,
    LabelBlocks,
    Published,
    centre_and_size,
    is_absent,
    keys_of,
    make_ids,
    numbers_at,
    numeric_keys,
    pose_of,
    project_points,
    require_positive,
    split_pose,
    square_box,
)
from datamodules.pseudo_gt.json_stream import iter_json, writing
from datamodules.pseudo_gt.native import JOINTS, LabelError, require_people

# Of SPIN's 24: nose, neck, right and left arm from the shoulder, right and left leg from the hip, eyes and ears.
_OPENPOSE18 = [19, 12, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 21, 20, 23, 22]
_FAR = 5000.0  # metres
_BLOCK = 4096
_SHAPES = {
    "parm_pose": (len(SMPL.joints), 3, 3),
    "parm_shape": (SMPL.shape_size,),
    "parm_cam": (3,),
    "bbox_center": (2,),
    "bbox_scale": (),
}


def write_eft(labels: LabelBlocks, path: Path) -> int:
    """Write EFT's json; returns the number of people."""
    needed = ("id", "image", "box", *BODY_COLUMNS, *CAMERA_COLUMNS)
    count = 0
    with writing(path) as file:
        file.write('{"ver": 0.1, "data": [')
        for block in labels.blocks("eft", needed, (JOINTS, "gender")):
            bodies = labels.body_joints(block)
            centre, size = centre_and_size(block["box"])
            seen = project_points(bodies + block["transl"][:, None], block["focal"], block["princpt"])
            cameras = fit_weak_perspective(bodies, (seen - centre[:, None]) / (size / 2)[:, None, None])
            pose = axis_angle_to_matrix(torch.tensor(pose_of(block)).double().unflatten(1, (-1, 3))).numpy()
            joints = labels.spin_joints(block, len(centre))
            numbers = numeric_keys(keys_of(block["id"]))
            for i, image in enumerate(block["image"]):
                person = {
                    "parm_pose": np.round(pose[i], 9).tolist(),
                    "parm_shape": block["betas"][i].tolist(),
                    "parm_cam": np.round(cameras[i], 9).tolist(),
                    "bbox_scale": float(size[i] / PIXELS_PER_SCALE),
                    "bbox_center": centre[i].tolist(),
                    "gt_keypoint_2d": np.round(joints[i].astype(np.float64), 4).tolist(),
                    "joint_validity_openpose18": joints[i, PARTS, 2][_OPENPOSE18].tolist(),
                    "smpltype": "smpl",
                    "annotId": count if numbers is None else int(numbers[i]),
                    "imageName": Path(image).name,
                }
                file.write(("," if count else "") + "\n" + json.dumps(person, separators=(",", ":")))
                count += 1
        file.write("\n]}\n")
    return count


def fit_weak_perspective(joints: NDArray[Any], seen: NDArray[Any]) -> NDArray[np.float64]:
    """(N, 3) s, tx, ty that bring s * (X, Y) + t closest to the points seen.

    Args:
        joints: (N, J, 3) metres, without translation.
        seen: (N, J, 2) any unit.
    """
    flat = joints[..., :2].astype(np.float64)
    middle, seen_middle = flat.mean(axis=1), seen.mean(axis=1)
    flat, moved = flat - middle[:, None], seen - seen_middle[:, None]
    scale = (flat * moved).sum(axis=(1, 2)) / np.maximum((flat**2).sum(axis=(1, 2)), 1e-12)
    return np.concatenate([scale[:, None], seen_middle - scale[:, None] * middle], axis=1)


def read_eft(path: str | Path, dataset: str, split: str) -> Published:
    """Read EFT's json: image, box, body, transl, focal, princpt, joints_2d (spin49), and id where the set is COCO.

    People whose parm_cam has the scale 0 are left out: their camera shows nothing.

    Raises:
        LabelError: the file is not in this layout; the person and the field are named.
    """
    fields: dict[str, list[NDArray[Any]]] = {name: [] for name in _SHAPES}
    images: list[str] = []
    keys, joints, poses = [], [], []
    left_out = Counter[str]()
    for _, person in (entry for entry in iter_json(path, lists=("data",)) if entry[0] == "data"):
        where = f"{path}: person {len(images) + left_out.total()}"
        if is_absent(person, "parm_pose", "parm_shape", "parm_cam"):
            left_out["its label is null"] += 1
            continue
        if person.get("parm_cam") in (0, [0]) or numbers_at(where, person, "parm_cam", (3,))[0] == 0:
            left_out["the scale of parm_cam is 0"] += 1
            continue
        for name, shape in _SHAPES.items():
            fields[name].append(numbers_at(where, person, name, shape))
        if len(fields["parm_pose"]) == _BLOCK:
            poses.append(_axis_angle(fields["parm_pose"]))
        known = {"gt_keypoint_2d": np.zeros((len(SPIN49.names), 3)), **person}
        # The largest part of a file: in the precision of label tables.
        joints.append(numbers_at(where, known, "gt_keypoint_2d", (len(SPIN49.names), 3)).astype(np.float32))
        images.append(str(person.get("imageName", "")))
        keys.append(person.get("annotId"))
    if not images and not left_out:
        msg = f'{path} has no people under "data", so it is not EFT\'s json'
        raise LabelError(msg)
    require_people(path, len(images), left_out)
    poses.append(_axis_angle(fields.pop("parm_pose")))
    arrays = {name: np.array(values) for name, values in fields.items()}
    require_positive(str(path), "bbox_scale", arrays["bbox_scale"])
    size, centre = arrays["bbox_scale"] * PIXELS_PER_SCALE, arrays["bbox_center"]
    scale, shift = arrays["parm_cam"][:, :1], arrays["parm_cam"][:, 1:]
    require_positive(str(path), "scale of parm_cam", scale)
    columns = {
        JOINTS: np.array(joints),
        "image": np.array(images, dtype=object),
        "box": square_box(centre, size),
        **split_pose(np.concatenate(poses)),
        "betas": arrays["parm_shape"].astype(np.float32),
        "transl": np.concatenate([shift / scale, np.full_like(scale, _FAR)], axis=1).astype(np.float32),
        "focal": np.repeat(scale * size[:, None] / 2 * _FAR, 2, axis=1).astype(np.float32),
        "princpt": centre.astype(np.float32),
    }
    if dataset == "coco" and all(isinstance(key, int) for key in keys):
        columns["id"] = make_ids(dataset, split, keys)
    return Published(columns, "spin49", left_out)


def _axis_angle(matrices: list[NDArray[Any]]) -> NDArray[np.float32]:
    """(N, P) axis-angle of N poses, matrices (1 + R, 3, 3) each, which are removed from the list."""
    stacked = torch.tensor(np.array(matrices).reshape(-1, len(SMPL.joints), 3, 3))
    matrices.clear()
    return matrix_to_axis_angle(stacked).flatten(1).float().numpy()
