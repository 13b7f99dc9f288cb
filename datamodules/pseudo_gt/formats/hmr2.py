"""4D-Humans (HMR2.0): the npz of its ``ImageDataset``, and the tars that it is trained on.

The npz:

================== ========== ======= ====================================================================
key                shape      dtype   content
================== ========== ======= ====================================================================
imgname            (N,)       unicode path below the image folder
center             (N, 2)     float64 centre of the box, pixels
scale              (N, 2)     float64 width and height of the box in **pixels**: the reader divides by 200
body_keypoints_2d  (N, 25, 3) float32 x, y in pixels and confidence, OpenPose's 25 joints
extra_keypoints_2d (N, 19, 3) float32 the first 19 of SPIN's 24 ground-truth joints
body_keypoints_3d  (N, 25, 4) float32 metres, camera axes, MPII's pelvis at the origin; confidence 1
extra_keypoints_3d (N, 19, 4) float32 the same for the 19
body_pose          (N, 72)    float32 axis-angle, root first, camera frame
has_body_pose      (N,)       float32 1; without this key the reader silently zeroes the pose
betas              (N, 10)    float32
has_betas          (N,)       float32 1; without this key the reader silently zeroes the shape
================== ========== ======= ====================================================================

The tars (WebDataset shards of at most 1,000 images, ``000000.tar`` ...; the path is their folder): for each image
``<image>.jpg`` and ``<image>.data.pyd``, a pickled list with one dict a person: center (2), **scale (2) / 200**,
keypoints_2d (44, 3), keypoints_3d (44, 4), body_pose (72), betas (10), has_body_pose, has_betas, extra_info. JPEGs
are copied as they are, other images are encoded at quality 95, as they are stored (EXIF orientation is ignored).

As shubham-goel/4D-Humans ``hmr2/datasets/image_dataset.py`` reads them. It zeroes the confidence of the 3D OpenPose
joints 1 to 14, drops a shape with any |beta| above 3, and takes neither with a camera: pose, shape, box and joints
come back to 1e-6 and nothing can be projected. The pickles hold plain NumPy arrays; here they are read through the
project's restricted unpickler only.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from body_models.safe_pickle import ModelFileError, parse_pickle
from body_models.spec import SMPL
from datamodules.crops import read_image
from datamodules.files import ImageError, check_image, find_files, image_size
from datamodules.progress import show_progress
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    PIXELS_PER_SCALE,
    LabelBlocks,
    Published,
    centre_and_size,
    keys_of,
    make_ids,
    numbers_at,
    pose_of,
    require_positive,
    spin_parts_3d,
    split_pose,
    square_box,
)
from datamodules.pseudo_gt.formats.spin import read_scale
from datamodules.pseudo_gt.native import JOINTS, Columns, LabelError, require_people
from datamodules.pseudo_gt.npz import NpzReader, NpzWriter, dump_portable

_OPENPOSE, _EXTRA, _ALL = slice(0, 25), slice(25, 44), slice(0, 44)
_JPEG_QUALITY = 95
IMAGES_PER_TAR = 1000
_PERSON = {
    "center": (2,),
    "scale": (2,),
    "keypoints_2d": (44, 3),
    "body_pose": (SMPL.pose_size,),
    "betas": (SMPL.shape_size,),
}


def write_hmr2(labels: LabelBlocks, path: Path) -> int:
    """Write the npz; returns the number of people."""
    with NpzWriter(path) as file:
        for block in labels.blocks("hmr2", ("image", "box", *BODY_COLUMNS), (JOINTS, "gender")):
            centre, size = centre_and_size(block["box"])
            joints = labels.spin_joints(block, len(centre))
            posed = spin_parts_3d(labels.body_joints(block), _ALL)
            ones = np.ones(len(centre), dtype=np.float32)
            file.append(
                {
                    "imgname": block["image"],
                    "center": centre,
                    "scale": np.stack([size, size], axis=1),
                    "body_keypoints_2d": joints[:, _OPENPOSE],
                    "extra_keypoints_2d": joints[:, _EXTRA],
                    "body_keypoints_3d": posed[:, _OPENPOSE],
                    "extra_keypoints_3d": posed[:, _EXTRA],
                    "body_pose": pose_of(block),
                    "has_body_pose": ones,
                    "betas": block["betas"],
                    "has_betas": ones,
                }
            )
    return labels.rows


def read_hmr2(path: str | Path, dataset: str, split: str) -> Published:
    """Read the npz: image, box, body, joints_2d (spin49; its last 5 joints are not in the file).

    People without a pose or a shape are left out.

    Raises:
        LabelError: the file is not in this layout; the key and the person are named.
    """
    with NpzReader(path, "4D-Humans' npz") as file:
        file.leave_out("has_body_pose", "has_betas")
        images = file.texts("imgname")
        joints = np.zeros((len(images), 49, 3), dtype=np.float32)
        for name, place, count in (("body_keypoints_2d", _OPENPOSE, 25), ("extra_keypoints_2d", _EXTRA, 19)):
            if name in file:
                joints[:, place] = file.numbers(name, count, 3)
        columns = {
            "image": images,
            "box": square_box(file.numbers("center", 2, dtype=np.float64), read_scale(file)),
            JOINTS: joints,
            **split_pose(file.numbers("body_pose", SMPL.pose_size)),
            "betas": file.numbers("betas", SMPL.shape_size),
        }
    return Published(columns, "spin49", file.left_out)


def write_hmr2_tar(labels: LabelBlocks, path: Path) -> int:
    """Write the tars into a new folder; returns the number of people.

    Raises:
        LabelError: the folder is there already, the table does not say where its images are, or one is missing.
    """
    if path.exists():
        msg = f"{path} is there already; 4D-Humans' tars are a folder of their own: remove it, or name another"
        raise LabelError(msg)
    if labels.image_root is None:
        msg = f"{labels.folder} does not say where its images are (image_root), which the tars contain"
        raise LabelError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        spool = folder / "people"
        people, images_of, keys = _spool(labels, spool)
        by_image: dict[str, list[int]] = {}
        for row, image in enumerate(images_of):
            by_image.setdefault(image, []).append(row)
        images = list(by_image)
        for number, start in enumerate(range(0, len(images), IMAGES_PER_TAR)):
            with tarfile.open(folder / f"{number:06d}.tar", "w") as tar:
                for name in show_progress(images[start : start + IMAGES_PER_TAR], f"Writing {number:06d}.tar"):
                    key = str(Path(name).with_suffix("")).replace(".", "_")
                    _add(tar, f"{key}.jpg", _jpeg(Path(labels.image_root, name)))
                    _add(
                        tar,
                        f"{key}.data.pyd",
                        dump_portable([_person(people[row], keys[row]) for row in by_image[name]]),
                    )
        spool.unlink()
        folder.chmod(0o755)
        os.rename(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return labels.rows


def _spool(labels: LabelBlocks, file: Path) -> tuple[NDArray[Any], list[str], list[str]]:
    """Everybody's numbers in a file, as the people of an image need not stand together in a table; images and keys."""
    people: NDArray[Any] | None = None
    images: list[str] = []
    keys: list[str] = []
    for block in labels.blocks("hmr2_tar", ("id", "image", "box", *BODY_COLUMNS), (JOINTS, "gender")):
        centre, size = centre_and_size(block["box"])
        values: dict[str, NDArray[Any]] = {
            "center": centre,
            "scale": np.repeat(size[:, None] / PIXELS_PER_SCALE, 2, axis=1),
            "keypoints_2d": labels.spin_joints(block, len(centre))[:, _ALL],
            "keypoints_3d": spin_parts_3d(labels.body_joints(block), _ALL),
            "body_pose": pose_of(block),
            "betas": block["betas"],
        }
        if people is None:
            kinds = [(name, value.dtype, value.shape[1:]) for name, value in values.items()]
            people = np.memmap(file, np.dtype(kinds), "w+", shape=(labels.rows,))
        for name, value in values.items():
            people[name][len(images) : len(images) + len(centre)] = value
        images += block["image"].tolist()
        keys += list(keys_of(block["id"]))
    assert people is not None
    return people, images, keys


def _person(row: NDArray[Any], key: str) -> dict[str, object]:
    return {
        **{name: np.array(row[name]) for name in row.dtype.names or ()},
        "has_body_pose": np.array(1.0),
        "has_betas": np.array(1.0),
        "extra_info": {"annot_id": key},
    }


def _jpeg(path: Path) -> bytes:
    try:
        if check_image(path) == "JPEG":
            return path.read_bytes()
        pixels = read_image(path, image_size(path))
    except (OSError, ImageError) as error:
        msg = f"{error}; the tars contain the images"
        raise LabelError(msg) from error
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def read_hmr2_tar(path: str | Path, dataset: str, split: str) -> Published:
    """Read a folder of tars, or one: image (without suffix), box, body, joints_2d (spin49), id where they have one.

    People without a pose or a shape are left out.

    Raises:
        LabelError: a file is not in this layout; the image, the person and the field are named.
    """
    path = Path(path)
    files = find_files(path, "*.tar") if path.is_dir() else [path]
    if not files:
        msg = f"{path} holds no .tar file"
        raise LabelError(msg)
    fields: dict[str, list[NDArray[Any]]] = {name: [] for name in _PERSON}
    images: list[str] = []
    keys = []
    left_out = Counter[str]()
    for image, person in itertools.chain.from_iterable(map(_iter_tar, files)):
        where = f"{path}: image {image}, person {len(images) + left_out.total()}"
        # A body that is not there may be NaN or nothing, so the flags go first; as in the readers, none is 0.
        flags = {name: numbers_at(where, {name: 0, **person}, name, ()) for name in ("has_body_pose", "has_betas")}
        if absent := [name for name, value in flags.items() if value <= 0]:
            left_out[f"{absent[0]} is 0"] += 1
            continue
        values = {name: numbers_at(where, person, name, shape) for name, shape in _PERSON.items()}
        for name, value in values.items():
            # Boxes as exact as they were written; the many numbers of joints and bodies as labels have them.
            fields[name].append(value if name in ("center", "scale") else value.astype(np.float32))
        images.append(f"{image}.jpg")
        extra = person.get("extra_info")
        keys.append(extra.get("annot_id") if isinstance(extra, dict) else None)
    require_people(path, len(images), left_out)
    arrays = {name: np.array(values) for name, values in fields.items()}
    joints = np.zeros((len(images), 49, 3), dtype=np.float32)
    joints[:, _ALL] = arrays["keypoints_2d"]
    require_positive(str(path), "scale", arrays["scale"])
    columns: Columns = {
        "image": np.array(images, dtype=object),
        "box": square_box(arrays["center"], arrays["scale"].max(axis=1) * PIXELS_PER_SCALE),
        JOINTS: joints,
        **split_pose(arrays["body_pose"]),
        "betas": arrays["betas"],
    }
    if all(isinstance(key, str) for key in keys):
        columns["id"] = make_ids(dataset, split, keys)
    return Published(columns, "spin49", left_out)


def _iter_tar(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    suffix = ".data.pyd"
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.isfile() or not member.name.endswith(suffix):
                    continue
                file = tar.extractfile(member)
                assert file is not None
                people = parse_pickle(file.read(), f"{path}, {member.name}")
                image = member.name.removesuffix(suffix)
                if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
                    msg = f"{path}, {member.name} does not hold a list of people"
                    raise LabelError(msg)
                for person in people:
                    yield image, person
    except (tarfile.TarError, OSError, EOFError) as error:
        msg = f"{path} is not a readable tar file ({error}); get it again"
        raise LabelError(msg) from error
    except ModelFileError as error:
        raise LabelError(str(error)) from error
