"""MPI-INF-3DHP's training people in the json layout: images at 1k and world joints, one annotation a view.

MPI-INF-3DHP_1k.json is COCO style; its images carry subject_idx, seq_idx, frame_idx and cam_idx.
MPI-INF-3DHP_joint_3d.json[subject][sequence][frame] has 17 joints in world millimetres, MPI-INF-3DHP_camera_1k.json
[subject][sequence][camera] has R, t (millimetres), focal and princpt (pixels of the 1k image). 2D joints are the
projections of the 3D joints. Images lie in images_1k/S{subject}/Seq{sequence}/imageSequence/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import MPI_INF_3DHP17
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, read_json
from datamodules.people import PeopleBuilder, PeopleTable
from datamodules.records import require_keys
from datamodules.sources.coco_json import iter_annotations, read_coco_file

VERSION = 2
_NAME = "MPI-INF-3DHP_1k.json"
_COMPANIONS = ("MPI-INF-3DHP_joint_3d.json", "MPI-INF-3DHP_camera_1k.json")
_REMEDY = "Get the parsed MPI-INF-3DHP data that the repositories of the NeuralAnnot authors link to"
_INDICES = ("subject_idx", "seq_idx", "frame_idx", "cam_idx")
_CAMERA_SHAPES = {"R": (3, 3), "t": (3,), "focal": (2,), "princpt": (2,)}


def find_json(root: Path) -> Path | None:
    """The annotation json of a root: itself, or in the folder."""
    if root.is_file():
        return root
    return next((path for path in (root / _NAME, root / "annotations" / _NAME) if path.is_file()), None)


def open_json_layout(path: Path, cache_dir: str, variant: str, cameras: Sequence[int], frame_step: int) -> PeopleTable:
    """Table of the people of the json layout; ids are those of the official tree, with the json's frame numbers.

    Args:
        path: of MPI-INF-3DHP_1k.json; its two companions lie beside it, images_1k beside it or one folder up.
        cache_dir: folder for caches.
        variant: ``annot3``, the only one in this layout.
        cameras: numbers of the cameras to use.
        frame_step: use the frames whose number is divisible by it.
    """
    if variant != "annot3":
        msg = f"{path}: the json layout has no {variant}; use annot3, or the official training tree"
        raise AnnotationError(msg)
    files = [path, *(path.with_name(name) for name in _COMPANIONS)]
    lost = [file for file in files if not file.is_file()]
    if lost:
        raise MissingFilesError([f"{file}. {_REMEDY}" for file in lost])
    places = (path.parent / "images_1k", path.parent.parent / "images_1k")
    images = next((place for place in places if place.is_dir()), places[0])
    arguments = {"images": str(images.absolute()), "cameras": list(cameras), "frame_step": frame_step}

    def build() -> tuple[Arrays, dict[str, Any]]:
        return _read(files, images, cameras, frame_step)

    return PeopleTable(build_or_open(cache_dir, "mpi_inf_3dhp-json", files, arguments, VERSION, build))


def _read(
    files: list[Path], image_root: Path, cameras: Sequence[int], frame_step: int
) -> tuple[Arrays, dict[str, Any]]:
    path, joints_path, camera_path = files
    file = read_coco_file(path)
    joints, views = read_json(joints_path), read_json(camera_path)
    people = PeopleBuilder("mpi_inf_3dhp", "train", MPI_INF_3DHP17, image_root)
    parsed: dict[tuple[int, ...], dict[str, NDArray[Any]]] = {}
    for annotation, image in iter_annotations(file, people):
        require_keys(path, "image", image, _INDICES)
        indices = [image[name] for name in _INDICES]
        if not all(isinstance(index, int) for index in indices):
            msg = f"{path}: image {image['id']} has {indices} as {', '.join(_INDICES)}, which are not whole numbers"
            raise AnnotationError(msg)
        subject, sequence, frame, camera = indices
        if camera not in cameras:
            people.drop("camera is not selected")
            continue
        if frame % frame_step:
            people.drop("frame is left out by frame_step")
            continue
        take = (subject, sequence, camera)
        if take not in parsed:
            parsed[take] = _read_camera(camera_path, views, take)
        view = parsed[take]
        world = _look_up(joints, (subject, sequence, frame))
        if world is None:
            people.drop("frame has no 3D joints")
            continue
        local = _array(joints_path, (subject, sequence, frame), world, (len(MPI_INF_3DHP17.names), 3))
        local = (local @ view["R"].T + view["t"]) / 1000
        key = f"S{subject}/Seq{sequence}"
        with np.errstate(divide="ignore", invalid="ignore"):
            # Joints in the camera's plane become infinite, which the table drops and counts.
            points = local[:, :2] / local[:, 2:] * view["focal"] + view["princpt"]
        people.add(
            f"{key}/{frame}/{camera}",
            image=f"{key}/imageSequence/{image['file_name']}",
            image_size=(image["width"], image["height"]),
            box=annotation["bbox"],
            joints_2d=np.pad(points, ((0, 0), (0, 1)), constant_values=1.0),
            joints_3d=np.pad(local, ((0, 0), (0, 1)), constant_values=1.0),
            focal=view["focal"],
            princpt=view["princpt"],
            camera_rotation=view["R"],
            camera_translation=view["t"] / 1000,
            sequence=key,
            frame=frame,
            camera=camera,
        )
    return people.finish()


def _read_camera(path: Path, views: Any, take: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    record = _look_up(views, take)
    require_keys(path, f"camera {take}", record, tuple(_CAMERA_SHAPES))
    return {name: _array(path, (*take, name), record[name], shape) for name, shape in _CAMERA_SHAPES.items()}


def _look_up(content: Any, keys: Sequence[int]) -> Any:
    """content[key][key]..., where JSON has made strings of the keys; None where one is missing."""
    for key in keys:
        content = content.get(str(key)) if isinstance(content, dict) else None
    return content


def _array(path: Path, keys: Sequence[object], value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{path}: {list(keys)} is not an array of numbers ({error}). {_REMEDY}"
        raise AnnotationError(msg) from error
    if array.shape != shape:
        msg = f"{path}: {list(keys)} has shape {array.shape}, expected {shape}. {_REMEDY}"
        raise AnnotationError(msg)
    return array
