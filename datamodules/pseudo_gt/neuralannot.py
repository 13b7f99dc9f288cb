"""NeuralAnnot's JSON for in-the-wild sets, as the published pseudo-GTs have it.

``{key: {"smpl_param": {"pose": 72, "shape": 10, "trans": 3}, "cam_param": {"focal": 2, "princpt": 2}}}``: axis-angle
and metres in the camera frame, pixels of the full image, the data set's own key of the person (COCO: annotation id;
MPII: counter of the COCO-style train.json). MPII's published files count pixels from 1, so there the principal point
is shifted on the way out and back on the way in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.pseudo_gt.native import Columns, LabelError, iter_labels

_PIXEL_OFFSET = {"mpii": 1.0}
# A tenth of a micrometre: finer than the float32 the labels are made in, and half the file size of all digits.
_DECIMALS = 7
_SHAPES = {
    "smpl_param": {"pose": 72, "shape": 10, "trans": 3},
    "cam_param": {"focal": 2, "princpt": 2},
}


def write_neuralannot(labels: str | Path, path: str | Path) -> int:
    """Write a label table as NeuralAnnot JSON; returns the number of people.

    Args:
        labels: folder of a native table.
        path: the JSON file; appears when it is complete.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    count = 0
    with temporary.open("w", encoding="utf-8") as file:
        file.write("{")
        for columns in iter_labels(labels):
            for key, person in _people(columns):
                file.write(f"{',' if count else ''}\n{json.dumps(key)}: {json.dumps(person)}")
                count += 1
        file.write("\n}\n")
    os.replace(temporary, path)
    return count


def _people(columns: Columns) -> list[tuple[str, dict[str, Any]]]:
    offset = np.array([_PIXEL_OFFSET.get(name.split("/")[0], 0.0) for name in columns["id"]])
    values = {
        "pose": np.concatenate([columns["global_orient"], columns["body_pose"]], axis=1),
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
    try:
        content = json.loads(Path(path).read_bytes())
    except ValueError as error:
        msg = f"{path} is not valid JSON ({error}); it may be truncated: get it again"
        raise LabelError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, not people by key; the MoCap layout is another format"
        raise LabelError(msg)
    fields: dict[str, list[np.ndarray]] = {field: [] for section in _SHAPES.values() for field in section}
    for key, person in content.items():
        for section, names in _SHAPES.items():
            for field, length in names.items():
                fields[field].append(_numbers(path, key, person, section, field, length))
    arrays = {name: np.array(values, dtype=np.float32).reshape(len(content), -1) for name, values in fields.items()}
    return {
        "id": np.array([f"{dataset}/{split}/{key}" for key in content], dtype=object),
        "global_orient": arrays["pose"][:, :3],
        "body_pose": arrays["pose"][:, 3:],
        "betas": arrays["shape"],
        "transl": arrays["trans"],
        "focal": arrays["focal"],
        "princpt": arrays["princpt"] - np.float32(_PIXEL_OFFSET.get(dataset, 0.0)),
    }


def _numbers(path: str | Path, key: str, person: Any, section: str, field: str, length: int) -> np.ndarray:
    try:
        values = np.asarray(person[section][field], dtype=np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path}: person {key} has no numbers at {section}.{field}"
        raise LabelError(msg) from error
    if len(values) != length or not np.isfinite(values).all():
        msg = f"{path}: person {key}: {section}.{field} must be {length} finite numbers, got {values.tolist()}"
        raise LabelError(msg)
    return values
