"""NeuralAnnot's JSON, as the published pseudo-GTs have it: in-the-wild sets, and MoCap sets in the world frame.

*In the wild*:
``{key: {"smpl_param": {"pose": 72, "shape": 10, "trans": 3}, "cam_param": {"focal": 2, "princpt": 2}}}``:
axis-angle and metres in the camera frame, pixels of the full image, the data set's own key of the person (COCO:
annotation id; MPII: counter of the COCO-style train.json). MPII's published files count pixels from 1, so there the
principal point is shifted on the way out and back on the way in. Joints come back to 0.1 px. Readers of this format
(Hand4Whole, Pose2Pose: ``smpl_params[str(aid)]``) want every annotation id that they use, so a filtered table must be
read with the same filter on the annotations.

*MoCap*: ``{subject: {sequence: {frame: {"pose": 72, "shape": 10, "trans": 3}}}}`` in the axes of the data set's world,
metres, one body a frame; the cameras are the data set's. Pose, shape and translation come back to 1e-6.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.pseudo_gt.formats.exchange import BODY_COLUMNS, CAMERA_COLUMNS, LabelBlocks, pose_of, split_pose
from datamodules.pseudo_gt.json_stream import iter_json, writing
from datamodules.pseudo_gt.native import Columns, LabelError

PIXEL_OFFSET = {"mpii": 1.0}
# A tenth of a micrometre: finer than the float32 the labels are made in, and half the file size of all digits.
_DECIMALS = 7
_SHAPES = {
    "smpl_param": {"pose": 72, "shape": 10, "trans": 3},
    "cam_param": {"focal": 2, "princpt": 2},
}


def write_neuralannot(labels: str | Path | LabelBlocks, path: str | Path) -> int:
    """Write a label table as NeuralAnnot JSON; returns the number of people.

    Args:
        labels: folder of a native table, or its blocks.
        path: the JSON file; appears when it is complete.
    """
    blocks = labels if isinstance(labels, LabelBlocks) else LabelBlocks(labels)
    count = 0
    with writing(Path(path)) as file:
        file.write("{")
        for columns in blocks.blocks("neuralannot", ("id", *BODY_COLUMNS, *CAMERA_COLUMNS)):
            for key, person in _people(columns):
                file.write(f"{',' if count else ''}\n{json.dumps(key)}: {json.dumps(person)}")
                count += 1
        file.write("\n}\n")
    return count


def _people(columns: Columns) -> list[tuple[str, dict[str, Any]]]:
    offset = np.array([PIXEL_OFFSET.get(name.split("/")[0], 0.0) for name in columns["id"]])
    values = {
        "pose": pose_of(columns),
        "shape": columns["betas"],
        "trans": columns["transl"],
        "focal": columns["focal"],
        "princpt": columns["princpt"] + offset[:, None],
    }
    rounded = {name: np.round(value.astype(np.float64), _DECIMALS).tolist() for name, value in values.items()}
    return [
        (
            name.split("/", 2)[2],
            {section: {field: rounded[field][i] for field in fields} for section, fields in _SHAPES.items()},
        )
        for i, name in enumerate(columns["id"])
    ]


def read_neuralannot(path: str | Path, dataset: str, split: str) -> Columns:
    """Read NeuralAnnot JSON into label columns: id, global_orient, body_pose, betas, transl, focal, princpt.

    Args:
        path: the JSON file.
        dataset: first part of the ids, e.g. coco.
        split: second part of the ids.

    Raises:
        LabelError: the file is not in this layout; the person and the field are named.
    """
    fields: dict[str, list[np.ndarray]] = {field: [] for section in _SHAPES.values() for field in section}
    keys = []
    for key, person in iter_json(path):
        keys.append(key)
        for section, names in _SHAPES.items():
            for field, length in names.items():
                fields[field].append(_numbers(path, f"person {key}", person, (section, field), length))
    arrays = {name: np.array(values, dtype=np.float32).reshape(len(keys), -1) for name, values in fields.items()}
    return {
        "id": np.array([f"{dataset}/{split}/{key}" for key in keys], dtype=object),
        **split_pose(arrays["pose"]),
        "betas": arrays["shape"],
        "transl": arrays["trans"],
        "focal": arrays["focal"],
        "princpt": arrays["princpt"] - np.float32(PIXEL_OFFSET.get(dataset, 0.0)),
    }


def write_neuralannot_mocap(labels: LabelBlocks, path: Path) -> int:
    """Write a table of the world frame; returns the number of frames.

    Raises:
        LabelError: the table is of the camera frame, or an id is not dataset/split/subject/sequence/frame.
    """
    if labels.frame != "world":
        msg = (
            f"{labels.folder} is in the camera frame, one label a view; neuralannot_mocap holds one body a frame in "
            "the world: write the table whose folder ends with -world"
        )
        raise LabelError(msg)
    places: dict[str, dict[str, list[tuple[str, int]]]] = {}
    parts: dict[str, list[np.ndarray]] = {"pose": [], "shape": [], "trans": []}
    row = 0
    for block in labels.blocks("neuralannot_mocap", ("id", *BODY_COLUMNS, "transl")):
        for name in block["id"]:
            if name.count("/") != 4:
                msg = f"{labels.folder}: id {name} is not dataset/split/subject/sequence/frame"
                raise LabelError(msg)
            _, _, subject, sequence, frame = name.split("/")
            places.setdefault(subject, {}).setdefault(sequence, []).append((frame, row))
            row += 1
        for name, values in (("pose", pose_of(block)), ("shape", block["betas"]), ("trans", block["transl"])):
            parts[name].append(values)
    arrays = {name: np.concatenate(values).astype(np.float64).round(_DECIMALS) for name, values in parts.items()}
    with writing(path) as file:
        file.write("{")
        for i, (subject, sequences) in enumerate(places.items()):
            file.write(f"{',' if i else ''}\n{json.dumps(subject)}: {{")
            for j, (sequence, frames) in enumerate(sequences.items()):
                file.write(f"{',' if j else ''}\n{json.dumps(sequence)}: {{")
                for k, (frame, place) in enumerate(frames):
                    person = {name: values[place].tolist() for name, values in arrays.items()}
                    file.write(f"{',' if k else ''}\n{json.dumps(frame)}: {json.dumps(person)}")
                file.write("}")
            file.write("}")
        file.write("\n}\n")
    return row


def read_neuralannot_mocap(path: str | Path, dataset: str, split: str) -> Columns:
    """Read the MoCap layout: id, sequence, frame, global_orient, body_pose, betas, transl, in the world's frame.

    Raises:
        LabelError: the file is not in this layout; the subject, sequence, frame and field are named.
    """
    ids, sequences, numbers = [], [], []
    fields: dict[str, list[np.ndarray]] = {name: [] for name in _SHAPES["smpl_param"]}
    for subject, by_sequence in iter_json(path):
        for sequence, frames in _object(path, f"subject {subject}", by_sequence).items():
            for frame, person in _object(path, f"subject {subject}, sequence {sequence}", frames).items():
                where = f"subject {subject}, sequence {sequence}, frame {frame}"
                if not str(frame).isdecimal():
                    msg = f"{path}: {where}: the frame is no number, so this is not the layout of MoCap sets"
                    raise LabelError(msg)
                for name, length in _SHAPES["smpl_param"].items():
                    fields[name].append(_numbers(path, where, person, (name,), length))
                ids.append(f"{dataset}/{split}/{subject}/{sequence}/{frame}")
                sequences.append(str(sequence))
                numbers.append(int(frame))
    arrays = {name: np.array(values, dtype=np.float32).reshape(len(ids), -1) for name, values in fields.items()}
    return {
        "id": np.array(ids, dtype=object),
        "sequence": np.array(sequences, dtype=object),
        "frame": np.array(numbers, dtype=np.int32),
        **split_pose(arrays["pose"]),
        "betas": arrays["shape"],
        "transl": arrays["trans"],
    }


def _object(path: str | Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"{path}: {where} holds a {type(value).__name__}, not an object: this is not the layout of MoCap sets"
        raise LabelError(msg)
    return value


def _numbers(path: str | Path, where: str, record: Any, place: tuple[str, ...], length: int) -> np.ndarray:
    field = ".".join(place)
    try:
        for part in place:
            record = record[part]
        values = np.asarray(record, dtype=np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path}: {where} has no numbers at {field}"
        raise LabelError(msg) from error
    if len(values) != length or not np.isfinite(values).all():
        msg = f"{path}: {where}: {field} must be {length} finite numbers, got {values.tolist()}"
        raise LabelError(msg)
    return values.astype(np.float32)
