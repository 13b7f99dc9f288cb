"""Whether a published file's boxes and cameras are in the units that they should be in, by the source's own people.

Code bases of one family differ in units: SPIN's ``scale`` is the box's side / 200, 4D-Humans' npz has it in pixels;
translations come in metres and in millimetres; cameras are of the full image or of the crop. Numbers in a wrong unit
look like any others, so what a file says of its people is compared with what their data set says. Single labels may
well be wrong; where most are, and a factor or the crop's camera would put them right, the unit is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from body_models.camera import crop_camera_to_image
from body_models.spec import SMPL
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import JOINTS, Columns, LabelError, reproject

_NEEDED = ("global_orient", "body_pose", "betas", "transl", "focal", "princpt", "box")
_COMPARED = 500  # people, evenly chosen
_BOX_RATIO = 3.0  # margins of published boxes are between 1 and 1.5 of the person
_BODY_RATIO = 4.0  # many people are cut off by the image or hidden
_BODY_OFFSET = 1.0  # of the box's side
_FOLLOWS = 0.5  # of the distances between people
_MIN_JOINTS = 3
_LARGEST_CROP = 4096  # pixels
_FACTORS = (200.0, 1 / 200, 1000.0, 1 / 1000, 100.0, 1 / 100)


def check_boxes(path: str | Path, boxes: NDArray[Any], known: NDArray[Any]) -> None:
    """Raise if boxes are not in pixels.

    Args:
        path: of the file, for the message.
        boxes: (N, 4) x, y, w, h of the file.
        known: (N, 4) of the same people in the source.

    Raises:
        LabelError: most are several times too large or too small; the factor is named.
    """
    ratio = float(np.median(boxes[:, 2:].max(axis=1) / known[:, 2:].max(axis=1)))
    if not 1 / _BOX_RATIO < ratio < _BOX_RATIO:
        msg = (
            f"{path}: its boxes are {ratio:.3g} times as large as those of the source (median of {len(boxes):,}), so "
            f"their sizes are in another unit: times {_round(1 / ratio):.4g} would fit. Most layouts have the side / "
            "200, 4D-Humans' npz has pixels"
        )
        raise LabelError(msg)


def check_camera(path: str | Path, columns: Columns, source: PeopleTable) -> None:
    """Raise if the bodies are not projected to where their people are.

    The free body is posed, because a unit is wrong by more than bodies differ.

    Args:
        path: of the file, for the message.
        columns: body, transl, focal and princpt, and the crop's box, of the people of ``source``, row by row.
        source: the data set's people.

    Raises:
        LabelError: most are projected elsewhere, or far too large or small; the remedy is named where one is known.
    """
    rows = np.unique(np.linspace(0, len(source) - 1, min(_COMPARED, len(source))).astype(np.int64))
    some = {name: columns[name][rows] for name in _NEEDED}
    people = source.select(rows)
    bodies = BodyModels("free")
    seen = _compare(some, people, bodies)
    if seen.fits and seen.follows:
        return
    # The camera of a crop has its principal point at the crop's centre, so that tells the crop's side.
    crop = round(float(np.clip(2 * np.median(some["princpt"]), 1, _LARGEST_CROP)))
    other = _compare(_of_crop(some, crop), people, bodies)
    if not seen.follows and other.fits and other.follows and other.offset < seen.offset:
        msg = (
            f"{path}: its cameras are of a crop of {crop} pixels, not of the image: focal and princpt times the "
            f"box's side / {crop}, and the box's corner added to princpt, would fit"
        )
        raise LabelError(msg)
    if seen.fits:
        return
    size, factor = f"{seen.ratio:.3g} times as large as in the source", _round(seen.ratio)
    if _compare({**some, "transl": some["transl"] * np.float32(factor)}, people, bodies).fits:
        unit = ": is it in millimetres?" if factor == 1 / 1000 else ""
        msg = f"{path}: its bodies are projected {size}; translations times {factor:.4g} would fit{unit}"
        raise LabelError(msg)
    msg = (
        f"{path}: its bodies are projected {seen.offset:.3g} box widths beside the source's people and {size} (medians "
        f"of {len(rows):,}); the camera must be the full image's, transl in metres, focal and princpt in pixels"
    )
    raise LabelError(msg)


def _of_crop(columns: Columns, size: int) -> Columns:
    """The columns, if their camera is of the crop: the same camera on the full image."""
    focal, princpt, box = (torch.from_numpy(columns[name]).float() for name in ("focal", "princpt", "box"))
    focal, princpt = crop_camera_to_image(focal, princpt, box, size)
    return {**columns, "focal": focal.numpy(), "princpt": princpt.numpy()}


class _Seen(NamedTuple):
    """Projected bodies beside what the source says.

    Attributes:
        ratio: median of the projected size to the true one.
        offset: median distance in box widths.
        fits: whether most are about as large and about there.
        follows: whether bodies are as far from each other as the people are; a crop's camera puts all in one place.
    """

    ratio: float
    offset: float
    fits: bool
    follows: bool


def _compare(columns: Columns, people: PeopleTable, bodies: BodyModels) -> _Seen:
    index = SMPL.rows(people.joint_set)
    mapped = np.flatnonzero(index >= 0)
    points = reproject(columns, bodies)[:, index[mapped]].astype(np.float64)
    annotated = people.column(JOINTS)[:, mapped].astype(np.float64)
    weight = (annotated[..., 2:] > 0).astype(np.float64)
    # Whoever has too few joints is compared with the box, of which the joints cover most.
    boxes = people.column("box").astype(np.float64)
    few = weight.sum(axis=(1, 2)) < _MIN_JOINTS
    weight[few] = 1
    centre, size = _extent(points, weight)
    true_centre, true_size = _extent(annotated[..., :2], weight)
    true_centre[few] = boxes[few, :2] + boxes[few, 2:] / 2
    true_size[few] = np.linalg.norm(boxes[few, 2:], axis=1) / np.sqrt(12)  # of points spread evenly
    ratio = np.maximum(size, 1e-9) / np.maximum(true_size, 1.0)
    offset = np.linalg.norm(centre - true_centre, axis=1) / boxes[:, 2:].max(axis=1)
    fits = (ratio > 1 / _BODY_RATIO) & (ratio < _BODY_RATIO) & (offset < _BODY_OFFSET)
    spread, true_spread = (np.sqrt(((one - np.median(one, axis=0)) ** 2).mean()) for one in (centre, true_centre))
    return _Seen(
        float(np.median(ratio)),
        float(np.median(offset)),
        bool(fits.mean() >= 0.5),
        bool(spread > _FOLLOWS * true_spread),
    )


def _extent(points: NDArray[Any], weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weighted mean (N, 2) and root mean square distance from it (N,) of points (N, K, 2), weights (N, K, 1)."""
    total = weight.sum(axis=1)
    centre = (points * weight).sum(axis=1) / total
    spread = (weight * (points - centre[:, None]) ** 2).sum(axis=(1, 2)) / total[:, 0]
    return centre, np.sqrt(spread)


def _round(factor: float) -> float:
    """The usual factor between units that is nearest, if it is near."""
    nearest = min(_FACTORS, key=lambda usual: abs(np.log(usual / factor)))
    return nearest if 1 / 2 < nearest / factor < 2 else factor
