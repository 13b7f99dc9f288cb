"""Leeds Sports Pose, extended training set: joints.mat and images/im%05d.jpg; or its high-resolution form, HR-LSPET.

joints is a (14, 3, N) array: x, y and whether the joint is visible, for N people, one an image. In the LSPET layout
column k belongs to im%05d.jpg with the number k + 1, N is 10,000. HR-LSPET has 9,428 of the images as .png beside its
joints.mat (or in images/), under their old numbers; column k belongs to the k-th of them, sorted by name, so all have
to be there. Ids are the image's name without its ending, the same in both.

Only visible joints are used; LSPET has no coordinates of the others, and public readers of HR-LSPET differ in whether
they use them. Neither layout says whether pixels are counted from 0 or 1; they are taken as they are, which is off by
at most one pixel. There is no box in the files: it is 1.2 times the hull of the visible joints.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import LSP14
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, ImageError, first_file, image_size, read_matlab, require_some_image
from datamodules.people import PeopleBuilder, PeopleTable, hull_box
from datamodules.progress import show_progress

VERSION = 1
_NUM_JOINTS = len(LSP14.names)
_HULL_MARGIN = 1.2
_REMEDY = "Get lspet_dataset.zip from http://sam.johnson.io/research/lspet.html, or hr-lspet.zip from MPI Informatik"


def open_lspet(root: str, split: str = "train", cache_dir: str = "cache") -> PeopleTable:
    """Table of LSPET or HR-LSPET.

    Args:
        root: folder with joints.mat and the images, in ``images/`` or directly; or joints.mat itself.
        split: ``train``, the only one.
        cache_dir: folder for caches.
    """
    if split != "train":
        msg = f"LSPET has no split {split!r}: use train"
        raise AnnotationError(msg)
    folder = Path(root).parent if Path(root).is_file() else Path(root)
    path = first_file([Path(root), folder / "joints.mat"], "LSPET", _REMEDY)
    images = folder / "images" if (folder / "images").is_dir() else folder
    # Sorted by number: the order must not depend on the file system.
    found = sorted(name for name in os.listdir(images) if re.fullmatch(r"im\d{5}\.(jpg|png)", name))
    arguments = {"root": str(images.absolute()), "images": len(found)}
    return PeopleTable(
        build_or_open(cache_dir, "lspet-train", [path], arguments, VERSION, lambda: _read(path, images, found))
    )


def _read(path: Path, folder: Path, found: list[str]) -> tuple[Arrays, dict[str, Any]]:
    joints = _read_joints(path)
    people = PeopleBuilder("lspet", "train", LSP14, folder)
    names = _names(path, found, len(joints))
    require_some_image(folder, names, path, _REMEDY)
    for name, person in zip(show_progress(names, "reading LSPET"), joints, strict=True):
        visible = person[:, 2] > 0
        if not visible.any():
            people.drop("no visible joint")
            continue
        try:
            size = image_size(folder / name)
        except ImageError:
            people.drop("image missing or unreadable", example=str(folder / name))
            continue
        people.add(
            name[:-4],
            image=name,
            image_size=size,
            box=hull_box(person[visible, :2], _HULL_MARGIN),
            joints_2d=np.where(visible[:, None], np.column_stack((person[:, :2], visible)), 0.0),
        )
    return people.finish()


def _read_joints(path: Path) -> NDArray[np.float64]:
    """(N, 14, 3) x, y in pixels and visibility."""
    joints = read_matlab(path, ["joints"], _REMEDY)["joints"]
    if joints.dtype.kind not in "fiu" or joints.ndim != 3 or joints.shape[:2] != (_NUM_JOINTS, 3):
        # LSP's own joints.mat has its first two axes the other way round, and 1 for hidden joints.
        msg = (
            f"{path}: joints is {joints.dtype} {joints.shape}, not numbers ({_NUM_JOINTS}, 3, N) as LSPET's. {_REMEDY}"
        )
        raise AnnotationError(msg)
    return joints.transpose(2, 0, 1).astype(np.float64)


def _names(path: Path, found: list[str], count: int) -> list[str]:
    """The image of each column."""
    if not any(name.endswith(".png") for name in found):
        return [f"im{number:05d}.jpg" for number in range(1, count + 1)]
    found = [name for name in found if name.endswith(".png")]
    if len(found) != count:
        msg = f"{path} has {count} people, but there are {len(found)} images im*.png: unpack hr-lspet.zip again"
        raise AnnotationError(msg)
    return found
