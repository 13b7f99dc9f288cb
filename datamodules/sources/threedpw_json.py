"""3DPW in the COCO-style json of I2L-MeshNet and 3DCrowdNet: 3DPW_{train,validation,test}.json.

images: id, file_name (image_%05d.jpg), sequence, width, height, cam_param {focal, princpt, R, t}, frame_idx.
annotations: id, image_id, bbox, joint_cam (24 x 3 metres, camera frame: the official jointPositions seen by the
camera), smpl_param {pose 72, shape 10, trans 3, gender}, person_id, and in some files openpose_result (the official
poses2d).

What the public script that writes it shows [1], and what follows from it here:

* Pose and trans are in the camera frame. That script takes the rest pelvis of the neutral body to bring trans there,
  whatever the gender, so ``transl`` may be a few centimetres from where the sequence files put it. ``joints_3d`` come
  from joint_cam (or fitted_joint_cam, or smpl_joint_cam, where it is missing) and do not depend on it.
* People without a valid camera pose are not in the file, nor are those without any joint in the image. So all its rows
  have campose_valid = 1, and ``frames="all"`` means all frames of the file. The released test file has 35,515 people
  [2], as many as the protocol lsp14 counts. ``smpl24`` needs poses2d, and is refused where openpose_result is missing.
* The box is the file's: 1.2 times the hull of the joints inside the image.
* Without frame_idx the number in file_name is taken. Without person_id, people of a sequence are told apart by their
  shape, and numbered in the order in which they first appear; that may be another number than in the sequence files
  where the first person enters later. Ids are the same as from the sequence files otherwise.

[1] data/3dpw2coco.py of https://github.com/hongsukchoi/Pose2Mesh_RELEASE
[2] counted by readers of the file; 22,735 for train and 9,929 for validation
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.contracts import GENDERS
from body_models.joint_sets import SMPL24
from body_models.spec import SMPL
from datamodules.columns import Arrays
from datamodules.files import AnnotationError
from datamodules.people import PeopleBuilder
from datamodules.records import require_keys
from datamodules.sources.coco_json import iter_annotations, read_coco_file

_JOINT_KEYS = ("joint_cam", "fitted_joint_cam", "smpl_joint_cam")
_NUM_JOINTS = len(SMPL24.names)
# Nobody in 3DPW is this far away: such numbers are millimetres.
_FARTHEST_DEPTH = 200.0
_NEAREST_DEPTH = 0.1
_REMEDY = "Get 3DPW_{train,validation,test}.json from the page of I2L-MeshNet_RELEASE"
_GENDERS = {name: index for index, name in enumerate(GENDERS)} | {name[0]: i for i, name in enumerate(GENDERS)}


def find_threedpw_json(root: Path, split: str) -> Path | None:
    """The json of a split in a folder or its ``data/``, if there is one."""
    names = [f"3DPW_{split}.json", f"3DPW_latest_{split}.json"]
    found = (root / place / name for name in names for place in (".", "data", "annotations"))
    return next((path for path in found if path.is_file()), None)


def find_image_files(path: Path) -> Path:
    """The folder imageFiles of a json: beside it or one above."""
    places = [path.parent / "imageFiles", path.parent.parent / "imageFiles"]
    return next((place for place in places if place.is_dir()), places[0])


def read_threedpw_json(path: Path, split: str) -> tuple[Arrays, dict[str, Any]]:
    """Columns of a json, as :func:`datamodules.sources.threedpw.open_threedpw` builds a table from.

    Raises:
        AnnotationError: the file has another layout.
    """
    file = read_coco_file(path)
    cameras = {key: _read_camera(path, image) for key, image in file.images.items()}
    has_extrinsics = all("camera_rotation" in camera for camera in cameras.values())
    has_poses2d = all(isinstance(person, dict) and "openpose_result" in person for person in file.annotations)
    people = PeopleBuilder("threedpw", split, SMPL24, find_image_files(path))
    numbers: dict[str, dict[bytes, int]] = {}
    for annotation, image in iter_annotations(file, people):
        require_keys(path, "annotation", annotation, ("smpl_param",))
        camera = cameras[str(image["id"])]
        if not has_extrinsics:
            camera = {key: camera[key] for key in ("focal", "princpt")}
        body, joints = _read_body(path, annotation), _read_joints(path, annotation)
        sequence, frame = image["sequence"], _frame_number(path, image)
        person = annotation.get("person_id")
        if person is None:
            known = numbers.setdefault(sequence, {})
            person = known.setdefault(body["betas"].tobytes(), len(known))
        if type(person) is not int:
            msg = f"{path}: annotation {annotation['id']} has person_id {person!r}, which is no whole number"
            raise AnnotationError(msg)
        if joints[:, 2].min() < _NEAREST_DEPTH:
            people.drop("behind the camera")
            continue
        points = joints[:, :2] / joints[:, 2:] * camera["focal"] + camera["princpt"]
        seen = {"has_poses2d": _has_poses2d(path, annotation)} if has_poses2d else {}
        people.add(
            f"{sequence}/{frame}/{person}",
            image=f"{sequence}/{image['file_name']}",
            image_size=(image["width"], image["height"]),
            box=annotation["bbox"],
            joints_2d=np.pad(points, ((0, 0), (0, 1)), constant_values=1.0),
            joints_3d=np.pad(joints, ((0, 0), (0, 1)), constant_values=1.0),
            **camera,
            **body,
            sequence=sequence,
            frame=frame,
            person=person,
            campose_valid=True,
            **seen,
        )
    return people.finish()


def _numbers(path: Path, record: str, value: Any, *shape: int) -> NDArray[np.float64]:
    try:
        return np.asarray(value, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{path}: {record} is not numbers of shape {shape} ({error}). {_REMEDY}"
        raise AnnotationError(msg) from error


def _read_camera(path: Path, image: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    require_keys(path, "image", image, ("sequence", "cam_param"))
    require_keys(path, f"cam_param of image {image['id']}", image["cam_param"], ("focal", "princpt"))
    if not isinstance(image["sequence"], str):
        msg = f"{path}: image {image['id']} has sequence {image['sequence']!r}, which is no name"
        raise AnnotationError(msg)
    sizes: dict[str, tuple[str, tuple[int, ...]]] = {"focal": ("focal", (2,)), "princpt": ("princpt", (2,))}
    if "R" in image["cam_param"] and "t" in image["cam_param"]:
        sizes |= {"camera_rotation": ("R", (3, 3)), "camera_translation": ("t", (3,))}
    name = f"cam_param of image {image['id']}"
    return {
        column: _numbers(path, f"{key} in {name}", image["cam_param"][key], *shape)
        for column, (key, shape) in sizes.items()
    }


def _frame_number(path: Path, image: dict[str, Any]) -> int:
    frame = image.get("frame_idx")
    if frame is None and (match := re.search(r"(\d+)\.\w+$", image["file_name"])):
        frame = int(match[1])
    if type(frame) is not int or not 0 <= frame < 2**31:
        msg = f"{path}: image {image['id']} ({image['file_name']}) has no frame_idx, nor a number in its name"
        raise AnnotationError(msg)
    return frame


def _read_body(path: Path, annotation: dict[str, Any]) -> dict[str, Any]:
    name, smpl = f"smpl_param of annotation {annotation['id']}", annotation["smpl_param"]
    require_keys(path, name, smpl, ("pose", "shape", "trans", "gender"))
    gender = _GENDERS.get(smpl["gender"]) if isinstance(smpl["gender"], str) else None
    if gender is None:
        msg = f"{path}: {name} has gender {smpl['gender']!r}, which is none of {', '.join(GENDERS)}"
        raise AnnotationError(msg)
    pose = _numbers(path, f"pose in {name}", smpl["pose"], SMPL.pose_size)
    return {
        "global_orient": pose[:3],
        "body_pose": pose[3:],
        "betas": _numbers(path, f"shape in {name}", smpl["shape"], SMPL.shape_size),
        "transl": _numbers(path, f"trans in {name}", smpl["trans"], 3),
        "gender": gender,
    }


def _read_joints(path: Path, annotation: dict[str, Any]) -> NDArray[np.float64]:
    """(24, 3) metres, camera frame."""
    key = next((key for key in _JOINT_KEYS if key in annotation), None)
    if key is None:
        msg = f"{path}: annotation {annotation['id']} has none of {', '.join(_JOINT_KEYS)}. {_REMEDY}"
        raise AnnotationError(msg)
    joints = _numbers(path, f"{key} of annotation {annotation['id']}", annotation[key], _NUM_JOINTS, 3)
    if np.abs(joints[:, 2]).max() > _FARTHEST_DEPTH:
        msg = f"{path}: {key} of annotation {annotation['id']} is not in metres: up to {np.abs(joints[:, 2]).max():.0f}"
        raise AnnotationError(msg)
    return joints


def _has_poses2d(path: Path, annotation: dict[str, Any]) -> bool:
    name = f"openpose_result of annotation {annotation['id']}"
    return bool(_numbers(path, name, annotation["openpose_result"], -1).any())
