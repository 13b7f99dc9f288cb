"""EMDB: P0 to P9, each with <sequence>/images/%05d.jpg and <sequence>/P*_<sequence>_data.pkl.

A pickle holds one sequence [1]: the camera (constant intrinsics, extrinsics of each frame, which bring the world to the
camera), SMPL parameters in the world of the file's gender, which may be neutral, the 24 projected joints, boxes as
corners, and which frames are good: in the others the person is out of view or wholly hidden, and they are left out.

SMPL turns the body about its root joint, so bringing translation v to a camera (R, t) is R (p + v) + t - p, with the
rest pelvis p of the body, which needs the body model.

[1] github.com/eth-ait/emdb, dataset.md.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from body_models.bodies import Body, BodyModels
from body_models.contracts import GENDERS
from body_models.joint_sets import SMPL24
from body_models.safe_pickle import load_pickle
from body_models.spec import SMPL
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, as_floats, find_files, macos_note
from datamodules.people import PeopleBuilder, PeopleTable, turn_by
from datamodules.progress import show_progress

VERSION = 1
SPLITS = ("emdb1", "emdb2")
_PATTERN = "P*/*/*_data.pkl"
_REMEDY = "Get it from https://eth-ait.github.io/emdb/, and unpack all parts into one folder"


def open_emdb(root: str, split: str = "emdb1", cache_dir: str = "cache", body_models: str = "free") -> PeopleTable:
    """Table of EMDB, one row for each good frame.

    Args:
        root: folder with P0 to P9.
        split: emdb1, the sequences that networks of single images are judged on, or emdb2, those of global
            trajectories; a sequence may be in both, in one, or in none.
        cache_dir: folder for caches.
        body_models: reference of SMPL's bodies of all genders that occur.

    Raises:
        MissingFilesError: there are no files, or an image folder is missing.
        AnnotationError: a file is not one of EMDB's.
    """
    if split not in SPLITS:
        msg = f"EMDB: split {split!r} is not one of {', '.join(SPLITS)}"
        raise AnnotationError(msg)
    folder = Path(root)
    files = find_files(folder, _PATTERN)
    if not files:
        raise MissingFilesError([f"EMDB: looked for {folder}/{_PATTERN}. {_REMEDY}"])
    arguments = {"root": str(folder.absolute()), "split": split, "body_models": body_models}
    build = partial(_read, folder, split, files, body_models)
    return PeopleTable(build_or_open(cache_dir, f"emdb-{split}", files, arguments, VERSION, build))


class SequenceFile(NamedTuple):
    """What a pickle of EMDB says of its F frames; world axes, metres, pixels.

    Attributes:
        gender: index into GENDERS.
        splits: those of :data:`SPLITS` that it belongs to.
        good: (F,) whether the person is to be seen.
        intrinsics: (3, 3).
        extrinsics: (F, 4, 4) world to camera.
        size: width, height of the images.
        poses: (F, P) axis-angle, the root first.
        trans: (F, 3).
        betas: (S,).
        joints_2d: (F, K, 2) of SMPL24.
        boxes: (F, 4) x, y, w, h.
    """

    gender: int
    splits: tuple[str, ...]
    good: NDArray[np.bool_]
    intrinsics: NDArray[np.float64]
    extrinsics: NDArray[np.float64]
    size: tuple[int, int]
    poses: NDArray[np.float64]
    trans: NDArray[np.float64]
    betas: NDArray[np.float64]
    joints_2d: NDArray[np.float64]
    boxes: NDArray[np.float64]


def read_sequence_file(path: Path) -> SequenceFile:
    """Read a ``*_data.pkl``; nothing that stands in it is run.

    Raises:
        AnnotationError: it is none of EMDB's.
        ModelFileError: it is no pickle of plain data.
    """
    content = load_pickle(path)
    try:
        return _sequence(content)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        msg = f"{path} is not a sequence of EMDB ({error!r:.200}). {_REMEDY}"
        raise AnnotationError(msg) from error


def _sequence(content: Any) -> SequenceFile:
    frames = _flag_or_number(content["n_frames"], int)
    camera, smpl = content["camera"], content["smpl"]

    def rows(values: Any, *shape: int) -> NDArray[np.float64]:
        return as_floats(values).reshape(frames, *shape)

    gender = content["gender"]
    if gender not in GENDERS:
        msg = f"gender is {gender!r:.40}, not one of {', '.join(GENDERS)}"
        raise ValueError(msg)
    extrinsics = rows(camera["extrinsics"], 4, 4)
    Rotation.from_matrix(extrinsics[:, :3, :3])
    corners = rows(content["bboxes"]["bboxes"], 4)
    return SequenceFile(
        gender=GENDERS.index(gender),
        splits=tuple(split for split in SPLITS if _flag_or_number(content[split], bool)),
        good=rows(content["good_frames_mask"]).astype(bool),
        intrinsics=as_floats(camera["intrinsics"]).reshape(3, 3),
        extrinsics=extrinsics,
        size=(_flag_or_number(camera["width"], int), _flag_or_number(camera["height"], int)),
        poses=np.concatenate([rows(smpl["poses_root"], 3), rows(smpl["poses_body"], SMPL.pose_size - 3)], axis=1),
        trans=rows(smpl["trans"], 3),
        betas=as_floats(smpl["betas"]).reshape(SMPL.shape_size),
        joints_2d=rows(content["kp2d"], len(SMPL24.names), 2),
        boxes=np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1),
    )


def _flag_or_number(value: Any, kind: type) -> Any:
    """A flag or whole number that may be NumPy's.

    Raises:
        ValueError: it is another kind of value.
    """
    number = as_floats(value).reshape(()).item()
    if number != int(number) or (kind is bool and number not in (0, 1)):
        msg = f"{value!r:.40} is not {'true or false' if kind is bool else 'a whole number'}"
        raise ValueError(msg)
    return kind(number)


def _read(root: Path, split: str, files: list[Path], body_models: str) -> tuple[Arrays, dict[str, Any]]:
    people = PeopleBuilder("emdb", split, SMPL24, root)
    people.note(macos_note(root, _PATTERN))
    bodies = BodyModels(body_models)
    try:
        bodies.spec.require_smpl("EMDB")
    except ValueError as error:
        msg = f"{root}: {error}; give SMPL's folder, or free, as body_models"
        raise AnnotationError(msg) from error
    missing = []
    for path in show_progress(files, f"reading EMDB {split}"):
        sequence = read_sequence_file(path)
        if split not in sequence.splits:
            people.drop(f"sequence is not in {split}", len(sequence.good))
            continue
        if not (path.parent / "images").is_dir():
            missing.append(f"images of EMDB: looked for {path.parent}/images/%05d.jpg. {_REMEDY}")
            continue
        _add(people, path.parent.relative_to(root), sequence, bodies[GENDERS[sequence.gender]])
    if missing:
        raise MissingFilesError(missing)
    return people.finish()


def _add(people: PeopleBuilder, folder: Path, sequence: SequenceFile, body: Body) -> None:
    """The good frames of a sequence whose folder is ``<subject>/<sequence>``."""
    name = "_".join(folder.parts)
    people.drop("not a good frame", int((~sequence.good).sum()))
    rotation, translation = sequence.extrinsics[:, :3, :3], sequence.extrinsics[:, :3, 3]
    pelvis = body.rest_pelvis(torch.from_numpy(sequence.betas)[None])[0].double().numpy()
    orient = turn_by(Rotation.from_matrix(rotation), sequence.poses[:, :3])
    # What is too large becomes infinite, and is counted.
    with np.errstate(over="ignore", invalid="ignore"):
        transl = np.einsum("fij,fj->fi", rotation, sequence.trans + pelvis) + translation - pelvis
    for frame in np.flatnonzero(sequence.good).tolist():
        people.add(
            f"{name}/{frame}",
            image=f"{folder.as_posix()}/images/{frame:05d}.jpg",
            image_size=sequence.size,
            box=sequence.boxes[frame],
            joints_2d=np.pad(sequence.joints_2d[frame], ((0, 0), (0, 1)), constant_values=1.0),
            focal=sequence.intrinsics[[0, 1], [0, 1]],
            princpt=sequence.intrinsics[:2, 2],
            camera_rotation=rotation[frame],
            camera_translation=translation[frame],
            global_orient=orient[frame],
            body_pose=sequence.poses[frame, 3:],
            betas=sequence.betas,
            transl=transl[frame],
            gender=sequence.gender,
            sequence=name,
            frame=frame,
        )
