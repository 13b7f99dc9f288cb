"""NeuralAnnot's JSON of in-the-wild sets, as the published pseudo-GTs have it.

``{key: {"smpl_param": {"pose": 72, "shape": 10, "trans": 3}, "cam_param": {"focal": 2, "princpt": 2}}}``:
axis-angle and metres in the camera frame, pixels of the full image, the data set's own key of the person (COCO:
annotation id; MPII: counter of the COCO-style train.json). MPII's published files count pixels from 1, so there the
principal point is shifted on the way out and back on the way in. Joints come back to 0.1 px. Readers of this format
(Hand4Whole, Pose2Pose: ``smpl_params[str(aid)]``) want every annotation id that they use, so a filtered table must be
read with the same filter on the annotations.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.ids import PersonId
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    CAMERA_COLUMNS,
    SMPL_SIZES,
    LabelBlocks,
    Published,
    is_absent,
    make_ids,
    numbers_at,
    pose_of,
    split_pose,
)
from datamodules.pseudo_gt.json_stream import iter_json, writing
from datamodules.pseudo_gt.native import Columns, require_people

PIXEL_OFFSET = {"mpii": 1.0}
# A tenth of a micrometre: finer than the float32 the labels are made in, and half the file size of all digits.
_DECIMALS = 7
_SHAPES = {
    "smpl_param": SMPL_SIZES,
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
    offset = np.array([PIXEL_OFFSET.get(PersonId.parse(name).dataset, 0.0) for name in columns["id"]])
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
            PersonId.parse(name).key,
            {section: {field: rounded[field][i] for field in fields} for section, fields in _SHAPES.items()},
        )
        for i, name in enumerate(columns["id"])
    ]


def read_neuralannot(path: str | Path, dataset: str, split: str) -> Published:
    """Read NeuralAnnot JSON: id, body, transl, focal, princpt.

    People whose label is null are left out.

    Args:
        path: the JSON file.
        dataset: first part of the ids, e.g. coco.
        split: second part of the ids.

    Raises:
        LabelError: the file is not in this layout; the person and the field are named.
    """
    fields: dict[str, list[np.ndarray]] = {field: [] for section in _SHAPES.values() for field in section}
    keys = []
    left_out = Counter[str]()
    for key, person in iter_json(path):
        if is_absent(person, *_SHAPES):
            left_out["its label is null"] += 1
            continue
        keys.append(key)
        for section, names in _SHAPES.items():
            for field, length in names.items():
                values = numbers_at(f"{path}: person {key:.40}", person, f"{section}.{field}", (length,))
                fields[field].append(values.astype(np.float32))
    require_people(path, len(keys), left_out)
    arrays = {name: np.array(values) for name, values in fields.items()}
    columns: Columns = {
        "id": make_ids(dataset, split, keys),
        **split_pose(arrays["pose"]),
        "betas": arrays["shape"],
        "transl": arrays["trans"],
        "focal": arrays["focal"],
        "princpt": arrays["princpt"] - np.float32(PIXEL_OFFSET.get(dataset, 0.0)),
    }
    return Published(columns, None, left_out)
