"""MPI-INF-3DHP's test set: TS{1..6}/{annot_data.mat, imageSequence/img_%06d.jpg}.

annot_data.mat is HDF5 (MATLAB v7.3) with annot2, annot3 and univ_annot3 of 17 joints a frame, valid_frame and
activity_annotation (1 to 7). Images are counted from 1. The intrinsics are not in it but in
test_util/camera_calibration/{ts1-4,ts5-6}cameras.calib, in millimetres of the sensor. Where these are missing, the
intrinsics are fitted to annot2 and annot3, which are projections of each other. Either way annot3 must project onto
annot2, or the file is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import MPI_INF_3DHP17
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, as_floats, image_size, missing_files, read_lines
from datamodules.people import PeopleBuilder, PeopleTable, hull_box
from datamodules.progress import show_progress

VERSION = 1
ACTIVITIES = {
    1: "Standing/Walking", 2: "Exercising", 3: "Sitting", 4: "Crouching/Reaching", 5: "On the floor", 6: "Sports",
    7: "Miscellaneous",
}  # fmt: skip
"""Column ``activity`` -> its name in the official evaluation."""
_NUM_JOINTS = len(MPI_INF_3DHP17.names)
# From the ankles to the top of the head: feet and hands reach beyond.
_HULL_MARGIN = 1.2
_MAX_FRAMES = 1_000_000
# Above what is valid, or an activity, by far, and within a 32-bit number.
_MAX_FLAG = 1000
# Lens distortion, which the calibration leaves to its user, moves joints by a few pixels; another camera by many more.
_MAX_MEDIAN_ERROR = 20.0
_CALIBRATIONS = {"ts1-4cameras.calib": ("TS1", "TS2", "TS3", "TS4"), "ts5-6cameras.calib": ("TS5", "TS6")}
_REMEDY = "Get the test set with get_testset.sh from https://vcai.mpi-inf.mpg.de/3dhp-dataset/"
_HDF5_ERRORS = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError, OverflowError)

Camera = tuple[NDArray[Any], NDArray[Any]]
"""(2,) focal lengths and (2,) principal point, pixels."""


def open_test_tree(root: Path, cache_dir: str, variant: str, frame_step: int) -> PeopleTable:
    """Table of the test people in frames marked valid; columns of its own: ``activity`` (see :data:`ACTIVITIES`).

    Args:
        root: folder with TS1, TS2, ..., or the one above it.
        cache_dir: folder for caches.
        variant: ``annot3`` or ``univ_annot3``, for the 3D joints.
        frame_step: use every n-th frame.
    """
    places = (root, root / "mpi_inf_3dhp_test_set")
    folder = next((place for place in places if any(place.glob("TS[0-9]*/annot_data.mat"))), None)
    if folder is None:
        raise MissingFilesError([f"MPI-INF-3DHP test: looked for {root}/TS*/annot_data.mat. {_REMEDY}"])
    takes = sorted(path.parent for path in folder.glob("TS[0-9]*/annot_data.mat"))
    calibrations = [folder / "test_util" / "camera_calibration" / name for name in _CALIBRATIONS]
    files = [take / "annot_data.mat" for take in takes] + [path for path in calibrations if path.is_file()]
    images = [take / "imageSequence" for take in takes]
    arguments = {
        "root": str(folder.absolute()),
        "variant": variant,
        "frame_step": frame_step,
        "images": [path.stat().st_mtime_ns if path.is_dir() else 0 for path in images],
    }

    def build() -> tuple[Arrays, dict[str, Any]]:
        people = PeopleBuilder("mpi_inf_3dhp", "test", MPI_INF_3DHP17, folder)
        for take in show_progress(takes, "reading MPI-INF-3DHP test"):
            _read_take(people, take, calibrations, variant, frame_step)
        return people.finish()

    return PeopleTable(build_or_open(cache_dir, "mpi_inf_3dhp-test", files, arguments, VERSION, build))


def _read_take(people: PeopleBuilder, take: Path, calibrations: Sequence[Path], variant: str, frame_step: int) -> None:
    annotations = _read_annotations(take / "annot_data.mat")
    joints_2d, joints_3d = annotations["annot2"], annotations[variant] / 1000
    boxes = hull_box(joints_2d, _HULL_MARGIN)
    wanted = np.arange(0, len(joints_2d), frame_step)
    valid = annotations["valid_frame"][wanted].astype(bool)
    people.drop("valid_frame = 0", int((~valid).sum()))
    names = [f"{take.name}/imageSequence/img_{frame + 1:06d}.jpg" for frame in wanted[valid]]
    lost = missing_files(take.parent, [name.encode() for name in names])
    people.drop("frame not on disk", int(lost.sum()))
    kept = [(frame, name) for frame, name, gone in zip(wanted[valid], names, lost, strict=True) if not gone]
    if not kept:
        return
    size = image_size(take.parent / kept[0][1])
    focal, princpt = _camera(take, calibrations, size, joints_2d, annotations["annot3"])
    for frame, name in kept:
        people.add(
            f"{take.name}/{frame}",
            image=name,
            image_size=size,
            box=boxes[frame],
            joints_2d=np.pad(joints_2d[frame], ((0, 0), (0, 1)), constant_values=1.0),
            joints_3d=np.pad(joints_3d[frame], ((0, 0), (0, 1)), constant_values=1.0),
            focal=focal,
            princpt=princpt,
            sequence=take.name,
            frame=int(frame),
            activity=np.int32(annotations["activity"][frame]),
        )


def _read_annotations(path: Path) -> dict[str, NDArray[Any]]:
    """annot2 (F, 17, 2), annot3 and univ_annot3 (F, 17, 3) in millimetres, valid_frame and activity (F,)."""
    arrays = {}
    try:
        with h5py.File(path, "r") as content:
            activity = "activity_annotation" if "activity_annotation" in content else "activity"
            names = {"annot2": (_NUM_JOINTS, 2), "annot3": (_NUM_JOINTS, 3), "univ_annot3": (_NUM_JOINTS, 3)}
            for name, shape in {**names, "valid_frame": (), activity: ()}.items():
                stored = content[name]
                if stored.size > _MAX_FRAMES * max(1, int(np.prod(shape))):
                    msg = f"{name} has shape {stored.shape}"
                    raise ValueError(msg)
                arrays[name] = _frames_first(as_floats(stored[()]), shape, name)
                if not shape and not (np.abs(arrays[name]) < _MAX_FLAG).all():
                    msg = f"{name} is no small number in every frame"
                    raise ValueError(msg)
            arrays["activity"] = arrays.pop(activity)
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1 or not counts["annot2"]:
            msg = f"numbers of frames differ or are 0: {counts}"
            raise ValueError(msg)
    except _HDF5_ERRORS as error:
        msg = f"{path} is not an annot_data.mat of MPI-INF-3DHP's test set ({error}). {_REMEDY}"
        raise AnnotationError(msg) from error
    return arrays


def _frames_first(array: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """(F, *shape), whether HDF5 has MATLAB's axes or, as MATLAB stores them, these reversed."""
    array = array.reshape([side for side in array.shape if side != 1] or [1])
    if shape and array.ndim == len(shape):
        # A single frame lost its axis with the other axes of one.
        array = array[None] if array.shape == shape else array[..., None]
    for candidate in (array, array.transpose()):
        if candidate.shape[1:] == shape and (shape or candidate.ndim == 1):
            return candidate
    msg = f"{name} has shape {array.shape}, expected (frames, {', '.join(map(str, shape))})"
    raise ValueError(msg)


def _camera(
    take: Path, calibrations: Sequence[Path], size: tuple[int, int], joints_2d: NDArray[Any], joints_3d: NDArray[Any]
) -> Camera:
    """Intrinsics in pixels: of the calibration file, or fitted where it is missing; both checked against the joints."""
    # Joints in the camera's plane have no direction.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        rays = joints_3d[..., :2] / joints_3d[..., 2:]
    good = np.isfinite(joints_2d).all(-1) & np.isfinite(rays).all(-1) & (joints_3d[..., 2] > 0)
    points, rays = joints_2d[good], rays[good]
    if not len(points):
        msg = f"{take / 'annot_data.mat'}: no joint of annot3 lies in front of the camera. {_REMEDY}"
        raise AnnotationError(msg)
    path = next((path for path in calibrations if take.name in _CALIBRATIONS[path.name] and path.is_file()), None)
    try:
        cameras = [_fit(points, rays)] if path is None else _read_calibration(path, size)
    except np.linalg.LinAlgError as error:
        msg = f"{take / 'annot_data.mat'}: no camera can be fitted to annot2 and annot3 ({error}). {_REMEDY}"
        raise AnnotationError(msg) from error
    with np.errstate(over="ignore", invalid="ignore"):
        medians = [np.median(np.linalg.norm(rays * focal + centre - points, axis=1)) for focal, centre in cameras]
    errors = np.nan_to_num(medians, nan=np.inf)
    if errors.min() > _MAX_MEDIAN_ERROR:
        what = "no camera fits" if path is None else f"{path} does not belong to it"
        msg = (
            f"{take / 'annot_data.mat'}: annot3 projects {errors.min():.0f} pixels away from annot2: {what}. {_REMEDY}"
        )
        raise AnnotationError(msg)
    return cameras[int(np.argmin(errors))]


def _fit(points: NDArray[Any], rays: NDArray[Any]) -> Camera:
    """The pinhole camera whose projections of rays (N, 2) are closest to points (N, 2)."""
    ones = np.ones(len(rays))
    lines = [np.linalg.lstsq(np.column_stack((rays[:, axis], ones)), points[:, axis])[0] for axis in (0, 1)]
    return np.array([line[0] for line in lines]), np.array([line[1] for line in lines])


def _read_calibration(path: Path, size: tuple[int, int]) -> list[Camera]:
    """The cameras of a .calib file, which gives sensor, focal length and offset of the centre in millimetres."""
    cameras: list[dict[str, NDArray[Any]]] = []
    lines = read_lines(path, _REMEDY)
    try:
        for line in lines:
            key, *values = line.split() or [""]
            if key == "camera":
                cameras.append({})
            elif key in ("sensorSize", "focalLength", "centerOffset"):
                numbers = [float(value) for value in values[: 1 if key == "focalLength" else 2]]
                cameras[-1][key] = np.array(numbers)
        result = []
        for camera in cameras:
            pixels = np.array(size) / camera["sensorSize"]
            result.append((camera["focalLength"] * pixels, np.array(size) / 2 + camera["centerOffset"] * pixels))
    except (ValueError, IndexError, KeyError) as error:
        msg = f"{path} is not a camera calibration of MPI-INF-3DHP's test set ({error!r}). {_REMEDY}"
        raise AnnotationError(msg) from error
    if not result:
        msg = f"{path} holds no camera. {_REMEDY}"
        raise AnnotationError(msg)
    return result
