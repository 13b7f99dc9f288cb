"""CLIFF's pseudo-GT npz: SPIN's keys, a translation and the focal length of an image-centred camera.

============ ========== ======= =========================================================================
key          shape      dtype   content
============ ========== ======= =========================================================================
imgname ...                     as in :mod:`datamodules.pseudo_gt.spin`, all of its keys
annot_id     (N,)       int64   the data set's own key; left out where a key is no number
global_t     (N, 3)     float32 translation in metres, camera frame of the full image
focal_l      (N,)       float32 sqrt(width^2 + height^2) of the image, pixels; principal point at its centre
============ ========== ======= =========================================================================

As huawei-noah/noah-research ``CLIFF/README.md`` and ``viz_cliffGT_perSubject.py`` have it: ``global_t`` is SMPL's
``transl``. The annotator's camera has its principal point elsewhere and another focal length, so the translation is
fitted anew (least squares on the projected joints) while the pose stays; what remains is reported. Domain knowledge:
0.25 to 0.6 px mean for the same focal length; more for another. The image's size is not in the file, so on the way
in it comes from the source (``--source``) or from ``focal_l`` alone, which does not tell it: without a source there
is no principal point.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.pseudo_gt.exchange import (
    BODY_COLUMNS,
    CAMERA_COLUMNS,
    LabelBlocks,
    Published,
    fit_translation,
    keys_of,
    make_ids,
    numeric_keys,
    project_points,
)
from datamodules.pseudo_gt.native import JOINTS, column_names, iter_labels
from datamodules.pseudo_gt.npz import NpzReader, NpzWriter
from datamodules.pseudo_gt.spin import body_columns, image_columns, read_family


def write_cliff(labels: LabelBlocks, path: Path) -> int:
    """Write CLIFF's npz; returns the number of people."""
    needed = ("id", "image", "image_size", "box", *BODY_COLUMNS, *CAMERA_COLUMNS)
    numeric = "id" in column_names(labels.folder) and all(
        numeric_keys(keys_of(block["id"])) is not None for block in iter_labels(labels.folder, columns=["id"])
    )
    with NpzWriter(path) as file:
        for block in labels.blocks("cliff", needed, (JOINTS, "gender")):
            joints = labels.body_joints(block)
            focal, princpt = image_camera(block["image_size"])
            seen = project_points(joints + block["transl"][:, None], block["focal"], block["princpt"])
            extra: dict[str, NDArray] = {
                "global_t": fit_translation(joints, seen, focal, princpt).astype(np.float32),
                "focal_l": focal[:, 0].astype(np.float32),
            }
            keys = numeric_keys(keys_of(block["id"])) if numeric else None
            if keys is not None:
                extra["annot_id"] = keys
            file.append({**image_columns(labels, block), **body_columns(labels, block, joints), **extra})
    return labels.rows


def image_camera(image_size: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """CLIFF's camera of images of sizes (N, 2) w, h: focal (N, 2) and princpt (N, 2), pixels."""
    size = image_size.astype(np.float64)
    diagonal = np.sqrt((size**2).sum(axis=1, keepdims=True))
    return np.repeat(diagonal, 2, axis=1), size / 2


def read_cliff(path: str | Path, dataset: str, split: str) -> Published:
    """Read CLIFF's npz: SPIN's columns, id where it has annot_id, transl and focal.

    princpt is the image's centre, which whoever knows the image's size has to add.

    Raises:
        LabelError: the file is not in this layout; the key and the person are named.
    """
    with NpzReader(path, "CLIFF's npz") as file:
        columns = read_family(file)
        has = file.numbers("has_smpl") > 0 if "has_smpl" in file else np.ones(file.rows or 0, dtype=bool)
        columns["transl"] = file.numbers("global_t", 3)[has]
        columns["focal"] = np.repeat(file.numbers("focal_l", 1), 2, axis=1)[has]
        if "annot_id" in file:
            columns["id"] = make_ids(dataset, split, file.texts("annot_id")[has])
    return Published(columns, "spin49")
