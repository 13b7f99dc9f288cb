"""MPI-INF-3DHP: the official training tree, and the one way into its other layouts.

========= =============================================== ==============================================================
split     layout                                          read by
========= =============================================== ==============================================================
train     S{1..8}/Seq{1,2}/{annot.mat,                    this file; frames are taken from
          camera.calibration, imageSequence/}             imageSequence/video_k/frame_%06d.jpg or SPIN's
                                                          imageFrames/video_k/, or decoded once from
                                                          imageSequence/video_k.avi (:mod:`.mpi_inf_3dhp_video`)
train     MPI-INF-3DHP_1k.json and its two companions     :mod:`.mpi_inf_3dhp_json`
test      TS{1..6}/annot_data.mat                         :mod:`.mpi_inf_3dhp_test`
========= =============================================== ==============================================================

Millimetres become metres in these files and nowhere else. A frame's number in the ids is its row in the annotations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import MPI_INF_3DHP28
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, as_floats, read_lines, read_matlab
from datamodules.people import PeopleBuilder, PeopleTable, hull_box
from datamodules.progress import show_progress
from datamodules.sources.mpi_inf_3dhp_json import find_json, open_json_layout
from datamodules.sources.mpi_inf_3dhp_test import open_test_tree
from datamodules.sources.mpi_inf_3dhp_video import FramesCache

VERSION = 3
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""The cameras at chest and knee height, which most work trains on."""
FRAME_FOLDERS = ("imageSequence", "imageFrames")
"""Folders of a take in which video_k/frame_%06d.jpg are looked for: the official one, and that of SPIN's extraction."""
VARIANTS = ("annot3", "univ_annot3")
SPLITS = ("train", "test")
_NUM_JOINTS = len(MPI_INF_3DHP28.names)
# 28 joints reach from the top of the head to the toes, so the hull needs little around it.
_HULL_MARGIN = 1.1
# Reported by users of the data set: in these rows of annot.mat left and right are exchanged, in all cameras.
_SWAPPED = {"S4/Seq2": range(3759, 5853)}
_REMEDY = (
    "Get the training set with get_dataset.sh from https://vcai.mpi-inf.mpg.de/3dhp-dataset/; frames are read from "
    "imageSequence/video_k/frame_%06d.jpg, imageFrames/video_k/frame_%06d.jpg or imageSequence/video_k.avi"
)


def open_mpi_inf_3dhp(
    root: str,
    split: str = "train",
    cache_dir: str = "cache",
    variant: str = "annot3",
    cameras: Sequence[int] = CAMERAS,
    frame_step: int = 1,
) -> PeopleTable:
    """Table of MPI-INF-3DHP's people, one row for each frame and camera that is on disk.

    Args:
        root: folder with S1, S2, ... or with MPI-INF-3DHP_1k.json (or that json) for the split train; folder with TS1,
            TS2, ... (or with mpi_inf_3dhp_test_set) for the split test.
        split: ``train`` or ``test``.
        cache_dir: folder for caches, also for the frames decoded from videos.
        variant: ``annot3`` (the actor's own size) or ``univ_annot3`` (scaled to one universal size); results on the
            two differ much, so tables must name it.
        cameras: numbers of the training cameras to use.
        frame_step: use every n-th frame; only those are decoded from videos.
    """
    if split not in SPLITS or variant not in VARIANTS or frame_step < 1:
        msg = (
            f"MPI-INF-3DHP: split {split!r}, variant {variant!r}, frame_step {frame_step}: use one of "
            f"{', '.join(SPLITS)}, one of {', '.join(VARIANTS)}, and a frame_step of at least 1"
        )
        raise AnnotationError(msg)
    if split == "test":
        return open_test_tree(Path(root), cache_dir, variant, frame_step)
    takes = sorted(path.parent for path in Path(root).glob("S[0-9]*/Seq[0-9]*/annot.mat"))
    if takes:
        return _open_train_tree(Path(root), takes, cache_dir, variant, cameras, frame_step)
    if (path := find_json(Path(root))) is None:
        places = f"{root}/S*/Seq*/annot.mat and for {root}/MPI-INF-3DHP_1k.json"
        raise MissingFilesError([f"MPI-INF-3DHP: looked for {places}. {_REMEDY}"])
    return open_json_layout(path, cache_dir, variant, cameras, frame_step)


class _Frames(NamedTuple):
    """The images of one camera of a take.

    Attributes:
        names: file names by number.
        end: where its video ends, if they are from one.
        folder: name of the folder in which the camera's folder lies.
    """

    names: dict[int, str]
    end: int | None
    folder: str


def _open_train_tree(
    root: Path, takes: list[Path], cache_dir: str, variant: str, cameras: Sequence[int], frame_step: int
) -> PeopleTable:
    lost = [take / "camera.calibration" for take in takes if not (take / "camera.calibration").is_file()]
    if lost:
        raise MissingFilesError([f"{path}. {_REMEDY}" for path in lost])
    files = [take / name for take in takes for name in ("annot.mat", "camera.calibration")]
    folders = {(take, k): _frames_folder(take, k) for take in takes for k in cameras}
    videos = {(take, k): take / FRAME_FOLDERS[0] / f"video_{k}.avi" for take, k in folders}
    videos = {key: path for key, path in videos.items() if not folders[key].is_dir() and path.is_file()}
    image_root, ends = root, {}
    if videos:
        # All images below one folder, under the names that extracted frames have.
        cache = FramesCache(root, cache_dir, frame_step)
        image_root = cache.folder
        calibrations = {take: read_calibration(take / "camera.calibration") for take, _ in videos}
        for key, folder in folders.items():
            if key in videos:
                ends[key] = cache.decode(videos[key], calibrations[key[0]].get(key[1], {}).get("size"))
            elif folder.is_dir():
                cache.link(folder)
    # More frames extracted later make a new table: a folder's time changes with its entries.
    stamps = [
        ends[key] if key in ends else folder.stat().st_mtime_ns if folder.is_dir() else 0
        for key, folder in folders.items()
    ]
    arguments = {
        "root": str(root.absolute()),
        "image_root": str(image_root.absolute()),
        "variant": variant,
        "cameras": list(cameras),
        "frame_step": frame_step,
        "frames": stamps,
        # A folder that is moved keeps its time.
        "folders": [str(folder.relative_to(root)) for folder in folders.values()],
    }

    def build() -> tuple[Arrays, dict[str, Any]]:
        people = PeopleBuilder("mpi_inf_3dhp", "train", MPI_INF_3DHP28, image_root)
        for take in show_progress(takes, "reading MPI-INF-3DHP"):
            views = {}
            for k in cameras:
                names = _list_frames(image_root / folders[take, k].relative_to(root))
                views[k] = _Frames(names, ends.get((take, k)), folders[take, k].parent.name)
            _read_take(people, take, views, variant, frame_step)
        return people.finish()

    files += videos.values()
    return PeopleTable(build_or_open(cache_dir, "mpi_inf_3dhp-train", files, arguments, VERSION, build))


def _frames_folder(take: Path, camera: int) -> Path:
    """The folder of a camera's extracted frames that is there; the official one if none is."""
    places = [take / name / f"video_{camera}" for name in FRAME_FOLDERS]
    return next((place for place in places if place.is_dir()), places[0])


def _list_frames(folder: Path) -> dict[int, str]:
    """File names by frame number; empty if nothing was extracted."""
    if not folder.is_dir():
        return {}
    found = ((re.fullmatch(r"frame_(\d+)\.(jpg|png)", name), name) for name in sorted(os.listdir(folder)))
    return {int(match[1]): name for match, name in found if match}


def _read_take(people: PeopleBuilder, take: Path, views: dict[int, _Frames], variant: str, frame_step: int) -> None:
    joints_2d, joints_3d = _read_annotations(take / "annot.mat", variant)
    calibration = read_calibration(take / "camera.calibration")
    key = f"{take.parent.name}/{take.name}"
    swapped = _SWAPPED.get(key, range(0))
    for camera, (names, end, folder) in views.items():
        if not 0 <= camera < len(joints_2d) or camera not in calibration:
            people.drop(f"camera {camera} is not annotated", len(range(0, max(map(len, joints_2d)), frame_step)))
            continue
        wanted = range(0, len(joints_2d[camera]), frame_step)
        if not names:
            places = " or ".join(str(take / place / f"video_{camera}") for place in FRAME_FOLDERS)
            people.drop("no frames and no video of this camera", len(wanted), example=f"looked for {places}")
            continue
        # Frames are counted from 1, unless the tool that extracted them began with 0.
        first = 0 if 0 in names else 1
        view = calibration[camera]
        boxes = hull_box(joints_2d[camera], _HULL_MARGIN)
        points_2d, points_3d = _with_confidence(joints_2d[camera]), _with_confidence(joints_3d[camera] / 1000)
        for frame in wanted:
            name = names.get(frame + first)
            if frame in swapped:
                people.drop("left and right are swapped in annot.mat")
                continue
            if name is None:
                ended = end is not None and frame >= end
                people.drop("video ends before its annotations" if ended else "frame not on disk")
                continue
            people.add(
                f"{key}/{frame}/{camera}",
                image=f"{key}/{folder}/video_{camera}/{name}",
                image_size=view["size"],
                box=boxes[frame],
                joints_2d=points_2d[frame],
                joints_3d=points_3d[frame],
                focal=view["focal"],
                princpt=view["princpt"],
                camera_rotation=view["rotation"],
                camera_translation=view["translation"],
                sequence=key,
                frame=frame,
                camera=camera,
            )


def _with_confidence(points: NDArray[Any]) -> NDArray[np.float64]:
    """(F, K, D + 1): points with a confidence of 1."""
    return np.pad(points, ((0, 0), (0, 0), (0, 1)), constant_values=1.0)


def _read_annotations(path: Path, variant: str) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Joints (F, 28, 2) in pixels and (F, 28, 3) in millimetres, camera frame, one array a camera."""
    content = read_matlab(path, ["annot2", variant], _REMEDY)
    result = []
    for name, size in (("annot2", 2), (variant, 3)):
        try:
            cells = [as_floats(cell) for cell in content[name].ravel()]
            result.append([cell.reshape(len(cell), _NUM_JOINTS, size) for cell in cells])
        except (ValueError, TypeError) as error:
            msg = f"{path}: {name} is not a cell of (frames, {_NUM_JOINTS * size}) arrays ({error}). {_REMEDY}"
            raise AnnotationError(msg) from error
    if [len(cell) for cell in result[0]] != [len(cell) for cell in result[1]]:
        msg = f"{path}: annot2 and {variant} have different numbers of frames; get the file again"
        raise AnnotationError(msg)
    return result[0], result[1]


def read_calibration(path: Path) -> dict[int, dict[str, NDArray[Any]]]:
    """Cameras of a camera.calibration by number: size, focal, princpt (pixels), rotation, translation (metres).

    Raises:
        AnnotationError: the file has another layout.
    """
    cameras: dict[int, dict[str, NDArray[Any]]] = {}
    lines = read_lines(path, _REMEDY)
    try:
        for line in lines:
            key, *values = line.split() or [""]
            if key == "name":
                camera = cameras.setdefault(int(values[0]), {})
            elif key == "size":
                camera["size"] = np.array(values[:2], dtype=np.float64).astype(int)
            elif key == "intrinsic":
                matrix = np.array(values, dtype=np.float64).reshape(4, 4)
                camera["focal"], camera["princpt"] = matrix[[0, 1], [0, 1]], matrix[:2, 2]
            elif key == "extrinsic":
                matrix = np.array(values, dtype=np.float64).reshape(4, 4)
                camera["rotation"], camera["translation"] = matrix[:3, :3], matrix[:3, 3] / 1000
        incomplete = [number for number, camera in cameras.items() if len(camera) != 5]
    except (ValueError, IndexError, UnboundLocalError) as error:
        msg = f"{path} is not a camera.calibration of MPI-INF-3DHP ({error}). {_REMEDY}"
        raise AnnotationError(msg) from error
    if incomplete or not cameras:
        msg = f"{path}: cameras {incomplete or 'none'} lack size, intrinsic or extrinsic. {_REMEDY}"
        raise AnnotationError(msg)
    return cameras
