"""CLIFF's pseudo-GT npz: SPIN's keys, a translation and the focal length of an image-centred camera.

============ ========== ======= =========================================================================
key          shape      dtype   content
============ ========== ======= =========================================================================
imgname ...                     as in :mod:`datamodules.pseudo_gt.formats.spin`, all of its keys
annot_id     (N,)       int64   the data set's own key; left out where a key is no number
global_t     (N, 3)     float32 translation in metres, camera frame of the full image
focal_l      (N,)       float32 pixels; principal point at the image's centre
============ ========== ======= =========================================================================

As huawei-noah/noah-research ``CLIFF/README.md`` and ``viz_cliffGT_perSubject.py`` have it: ``global_t`` is SMPL's
``transl``. The annotator's camera has its principal point elsewhere, so the translation is fitted anew (least squares
on the projected joints) while the pose stays; what remains is reported. CLIFF's own files hold the image's diagonal as
``focal_l``; here it is the label's own focal length, because another one changes the perspective and leaves pixels
(medians of 2 instead of 0.1 on the synthetic world). The image's size is not in the file, so on the way
in it comes from the source (``--source``) or from ``focal_l`` alone, which does not tell it: without a source there
is no principal point.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.pseudo_gt.formats.exchange import (
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
from datamodules.pseudo_gt.formats.spin import body_columns, image_columns, read_family
from datamodules.pseudo_gt.native import JOINTS, column_names, iter_labels
from datamodules.pseudo_gt.npz import NpzReader, NpzWriter


def write_cliff(labels: LabelBlocks, path: Path) -> int:
    """Write CLIFF's npz; returns the number of people."""
    needed = ("id", "image", "image_size", "box", *BODY_COLUMNS, *CAMERA_COLUMNS)
    numeric = "id" in column_names(labels.folder) and all(
        numeric_keys(keys_of(block["id"])) is not None for block in iter_labels(labels.folder, columns=["id"])
    )
    with NpzWriter(path) as file:
        for block in labels.blocks("cliff", needed, (JOINTS, "gender")):
            joints = labels.body_joints(block)
            focal = block["focal"].astype(np.float64).mean(axis=1, keepdims=True).repeat(2, axis=1)
            princpt = image_centre(block["image_size"])
            seen = project_points(joints + block["transl"][:, None], block["focal"], block["princpt"])
            extra: dict[str, NDArray[Any]] = {
                "global_t": fit_translation(joints, seen, focal, princpt).astype(np.float32),
                "focal_l": focal[:, 0].astype(np.float32),
            }
            keys = numeric_keys(keys_of(block["id"])) if numeric else None
            if keys is not None:
                extra["annot_id"] = keys
            file.append({**image_columns(labels, block), **body_columns(labels, block, joints), **extra})
    return labels.rows


def image_centre(image_size: NDArray[Any]) -> NDArray[np.float64]:
    """Principal point (N, 2) of CLIFF's camera in images of sizes (N, 2) w, h, pixels."""
    return image_size.astype(np.float64) / 2


def read_cliff(path: str | Path, dataset: str, split: str) -> Published:
    """Read CLIFF's npz: SPIN's columns, id where it has annot_id, transl and focal.

    princpt is the image's centre, which whoever knows the image's size has to add.

    Raises:
        LabelError: the file is not in this layout; the key and the person are named.
    """
    with NpzReader(path, "CLIFF's npz") as file:
        columns = read_family(file)
        columns["transl"] = file.numbers("global_t", 3)
        columns["focal"] = np.repeat(file.numbers("focal_l", 1), 2, axis=1)
        if "annot_id" in file:
            columns["id"] = make_ids(dataset, split, file.texts("annot_id"))
    return Published(columns, "spin49", file.left_out)
