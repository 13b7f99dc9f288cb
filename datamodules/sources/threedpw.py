"""3DPW: sequenceFiles/{train,validation,test}/*.pkl and imageFiles/<sequence>/image_%05d.jpg.

Without sequenceFiles, the COCO-style 3DPW_{split}.json is read: see :mod:`datamodules.sources.threedpw_json`.

World coordinates become camera coordinates here. SMPL turns the body about its root joint, not about the origin, so
with rest pelvis p, root rotation G and translation v, seen by a camera (R, t):

    G' = R G,    v' = R (p + v) + t - p

The file's own jointPositions hold p + v (the posed root joint), so no model file is needed to read the data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from body_models.contracts import GENDERS
from body_models.joint_sets import SMPL24
from body_models.safe_pickle import load_pickle
from body_models.spec import SMPL
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, ImageError, MissingFilesError, find_files, image_size, macos_note
from datamodules.people import PeopleBuilder, PeopleTable, hull_box, turn_by
from datamodules.progress import show_progress
from datamodules.sources.threedpw_json import find_image_files, find_threedpw_json, read_threedpw_json

VERSION = 3
SPLITS = ("train", "validation", "test")
# SMPL's joints end at the base of the head and at the ball of the foot: a fifth more covers the person.
_HULL_MARGIN = 1.2
_NEAREST_DEPTH = 0.1
_GENDERS = {"m": GENDERS.index("male"), "f": GENDERS.index("female")}
_REMEDY = "Get sequenceFiles.zip and imageFiles.zip from https://virtualhumans.mpi-inf.mpg.de/3DPW/"

FRAME_FILTERS: dict[str, tuple[str, ...]] = {
    "all": (),
    "lsp14": ("campose_valid",),
    "smpl24": ("campose_valid", "has_poses2d"),
}
"""Which frames each protocol counts: the columns that must be true."""


def open_threedpw(root: str, split: str = "train", cache_dir: str = "cache", frames: str = "lsp14") -> PeopleTable:
    """Table of 3DPW, one row for each person and frame.

    Args:
        root: folder with imageFiles and sequenceFiles or 3DPW_{split}.json (there, in ``data/`` or ``annotations/``),
            or such a json itself, with imageFiles beside it or one above.
        split: train, validation or test.
        cache_dir: folder for caches.
        frames: name of a frame filter: ``lsp14`` leaves out frames without a valid camera pose, ``smpl24`` also
            those whose poses2d are all zero, ``all`` none.
    """
    for value, choices in ((split, SPLITS), (frames, tuple(FRAME_FILTERS))):
        if value not in choices:
            msg = f"3DPW: {value!r} is not one of {', '.join(choices)}"
            raise AnnotationError(msg)
    folder = Path(root)
    files = find_files(folder / "sequenceFiles" / split, "*.pkl")
    path = folder if folder.is_file() else find_threedpw_json(folder, split)
    if files:
        table = _build(cache_dir, split, files, folder / "imageFiles", lambda: _read(folder, split, files))
    elif path is not None:
        table = _build(cache_dir, split, [path], find_image_files(path), lambda: read_threedpw_json(path, split))
    else:
        tried = f"{root}/sequenceFiles/{split}/*.pkl and {root}/3DPW_{split}.json"
        raise MissingFilesError([f"3DPW {split}: looked for {tried}. {_REMEDY}"])
    return filter_frames(table, frames)


def _build(
    cache_dir: str, split: str, files: list[Path], images: Path, build: Callable[[], tuple[Arrays, dict[str, Any]]]
) -> PeopleTable:
    arguments = {"split": split, "images": str(images.absolute())}
    return PeopleTable(build_or_open(cache_dir, f"threedpw-{split}", files, arguments, VERSION, build))


def filter_frames(table: PeopleTable, name: str) -> PeopleTable:
    """The rows of a 3DPW table that a frame filter keeps; the others are counted.

    Raises:
        AnnotationError: the file that the table was read from does not say which frames these are.
    """
    for column in FRAME_FILTERS[name]:
        if not table.has(column):
            msg = f"{table.name}: its file does not hold {column}, by which {name} chooses frames; use sequenceFiles"
            raise AnnotationError(msg)
        table = table.select(table.column(column).astype(bool), f"{column} = 0")
    return table


def _read(root: Path, split: str, files: list[Path]) -> tuple[Arrays, dict[str, Any]]:
    people = PeopleBuilder("threedpw", split, SMPL24, root / "imageFiles")
    people.note(macos_note(root / "sequenceFiles" / split, "*.pkl"))
    missing = []
    for path in show_progress(files, f"reading 3DPW {split}"):
        folder = root / "imageFiles" / path.stem
        first = min(folder.glob("image_*.jpg"), default=None)
        if first is None:
            missing.append(f"images {folder}/image_%05d.jpg. {_REMEDY}")
            continue
        try:
            size = image_size(first)
        except ImageError as error:
            missing.append(str(error))
            continue
        _read_sequence(people, path, size)
    if missing:
        raise MissingFilesError(missing)
    return people.finish()


class SequenceFile(NamedTuple):
    """What a sequence file says.

    Attributes:
        extrinsics: (F, 4, 4) world to camera, metres.
        intrinsics: (3, 3) pixels.
        tracks: of each person: poses (F, 72), trans (F, 3), joints (F, 24, 3), betas (10,), campose_valid (F,),
            has_poses2d (F,), gender (index into GENDERS); world axes, metres.
    """

    extrinsics: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    tracks: list[dict[str, Any]]


def read_sequence_file(path: Path) -> SequenceFile:
    """Read a file of sequenceFiles.

    Raises:
        AnnotationError: it is none.
    """
    content = load_pickle(path)
    try:
        extrinsics = np.asarray(content["cam_poses"], dtype=np.float64).reshape(-1, 4, 4)
        intrinsics = np.asarray(content["cam_intrinsics"], dtype=np.float64).reshape(3, 3)
        tracks = [_read_track(content, person, len(extrinsics)) for person in range(len(content["poses"]))]
        Rotation.from_matrix(extrinsics[:, :3, :3])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        msg = f"{path} is not a 3DPW sequence file ({error!r}). {_REMEDY}"
        raise AnnotationError(msg) from error
    return SequenceFile(extrinsics, intrinsics, tracks)


def _read_sequence(people: PeopleBuilder, path: Path, size: tuple[int, int]) -> None:
    extrinsics, intrinsics, tracks = read_sequence_file(path)
    rotation, translation = extrinsics[:, :3, :3], extrinsics[:, :3, 3]
    view = Rotation.from_matrix(rotation)
    focal, princpt = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    for person, track_ in enumerate(tracks):
        joints = np.einsum("fij,fkj->fki", rotation, track_["joints"]) + translation[:, None]
        pelvis = track_["joints"][:, 0] - track_["trans"]
        transl = joints[:, 0] - pelvis
        orient = turn_by(view, track_["poses"][:, :3])
        for frame in range(len(joints)):
            if joints[frame, :, 2].min() < _NEAREST_DEPTH:
                people.drop("behind the camera")
                continue
            points = joints[frame, :, :2] / joints[frame, :, 2:] * focal + princpt
            people.add(
                f"{path.stem}/{frame}/{person}",
                image=f"{path.stem}/image_{frame:05d}.jpg",
                image_size=size,
                box=hull_box(points, _HULL_MARGIN),
                joints_2d=np.pad(points, ((0, 0), (0, 1)), constant_values=1.0),
                joints_3d=np.pad(joints[frame], ((0, 0), (0, 1)), constant_values=1.0),
                focal=focal,
                princpt=princpt,
                camera_rotation=rotation[frame],
                camera_translation=translation[frame],
                global_orient=orient[frame],
                body_pose=track_["poses"][frame, 3:],
                betas=track_["betas"],
                transl=transl[frame],
                gender=track_["gender"],
                sequence=path.stem,
                frame=frame,
                person=person,
                campose_valid=track_["campose_valid"][frame],
                has_poses2d=track_["has_poses2d"][frame],
            )


def _read_track(content: dict[str, Any], person: int, count: int) -> dict[str, Any]:
    """Arrays of one person, checked to have a row for each of the sequence's frames."""

    def column(name: str, *shape: int) -> NDArray[np.float64]:
        return np.asarray(content[name][person], dtype=np.float64).reshape(count, *shape)

    gender = content["genders"][person]
    if gender not in _GENDERS:
        msg = f"gender of person {person} is {gender!r}, not m or f"
        raise ValueError(msg)
    return {
        "poses": column("poses", SMPL.pose_size),
        "trans": column("trans", 3),
        "joints": column("jointPositions", len(SMPL.joints), 3),
        "betas": np.asarray(content["betas"][person], dtype=np.float64)
        .ravel()[: SMPL.shape_size]
        .reshape(SMPL.shape_size),
        "campose_valid": column("campose_valid").astype(bool),
        "has_poses2d": column("poses2d", 3, 18).any(axis=(1, 2)),
        "gender": _GENDERS[gender],
    }
