"""MPI-INF-3DHP, the official training tree with extracted frames.

S{1..8}/Seq{1,2}/ hold annot.mat, camera.calibration and imageSequence/video_{k}/frame_%06d.jpg. Millimetres become
metres here and nowhere else. A frame's number in the ids is its row in annot.mat.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import MPI_INF_3DHP28
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, read_matlab
from datamodules.people import PeopleBuilder, PeopleTable, hull_box
from datamodules.progress import show_progress

VERSION = 1
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""The cameras at chest and knee height, which most work trains on."""
VARIANTS = ("annot3", "univ_annot3")
_NUM_JOINTS = len(MPI_INF_3DHP28.names)
# 28 joints reach from the top of the head to the toes, so the hull needs little around it.
_HULL_MARGIN = 1.1
_REMEDY = (
    "Get the training set with get_dataset.sh from https://vcai.mpi-inf.mpg.de/3dhp-dataset/ and extract the frames "
    "of imageSequence/video_k.avi to imageSequence/video_k/frame_%06d.jpg"
)


def open_mpi_inf_3dhp(
    root: str,
    split: str = "train",
    cache_dir: str = "cache",
    variant: str = "annot3",
    cameras: Sequence[int] = CAMERAS,
    frame_step: int = 1,
) -> PeopleTable:
    """Table of MPI-INF-3DHP's training people, one row for each frame and camera that is on disk.

    Args:
        root: folder with S1, S2, ...
        split: ``train``.
        cache_dir: folder for caches.
        variant: ``annot3`` (the actor's own size) or ``univ_annot3`` (scaled to one universal size).
        cameras: numbers of the cameras to use.
        frame_step: use every n-th frame.
    """
    if split != "train" or variant not in VARIANTS:
        msg = f"MPI-INF-3DHP: split {split!r}, variant {variant!r}: use split train and one of {', '.join(VARIANTS)}"
        raise AnnotationError(msg)
    takes = sorted(path.parent for path in Path(root).glob("S[0-9]*/Seq[0-9]*/annot.mat"))
    if not takes:
        raise MissingFilesError([f"MPI-INF-3DHP: looked for {root}/S*/Seq*/annot.mat. {_REMEDY}"])
    lost = [take / "camera.calibration" for take in takes if not (take / "camera.calibration").is_file()]
    if lost:
        raise MissingFilesError([f"{path}. {_REMEDY}" for path in lost])
    files = [take / name for take in takes for name in ("annot.mat", "camera.calibration")]
    # The listing of the frames is part of the content: more frames extracted later make a new table.
    frames = {(take, k): _list_frames(take / "imageSequence" / f"video_{k}") for take in takes for k in cameras}
    arguments = {
        "root": str(Path(root).absolute()),
        "variant": variant,
        "cameras": list(cameras),
        "frame_step": frame_step,
        "frames": [len(names) for names in frames.values()],
    }

    def build() -> tuple[Arrays, dict[str, Any]]:
        people = PeopleBuilder("mpi_inf_3dhp", split, MPI_INF_3DHP28, Path(root))
        for take in show_progress(takes, "reading MPI-INF-3DHP"):
            _read_take(people, take, {k: frames[take, k] for k in cameras}, variant, frame_step)
        return people.finish()

    return PeopleTable(build_or_open(cache_dir, "mpi_inf_3dhp-train", files, arguments, VERSION, build))


def _list_frames(folder: Path) -> dict[int, str]:
    """File names by frame number; empty if nothing was extracted."""
    if not folder.is_dir():
        return {}
    found = ((re.fullmatch(r"frame_(\d+)\.(jpg|png)", path.name), path.name) for path in sorted(folder.iterdir()))
    return {int(match[1]): name for match, name in found if match}


def _read_take(
    people: PeopleBuilder, take: Path, frames: dict[int, dict[int, str]], variant: str, frame_step: int
) -> None:
    joints_2d, joints_3d = _read_annotations(take / "annot.mat", variant)
    calibration = read_calibration(take / "camera.calibration")
    subject, sequence = take.parent.name, take.name
    for camera, names in frames.items():
        if camera >= len(joints_2d) or camera not in calibration:
            people.drop(f"camera {camera} is not annotated")
            continue
        count = len(joints_2d[camera])
        wanted = range(0, count, frame_step)
        if not names:
            people.drop("no frames extracted for this camera", len(wanted))
            continue
        # Frames are counted from 0 or from 1, depending on the tool that extracted them.
        first = min(names)
        first = first if first in (0, 1) else 0
        view = calibration[camera]
        for frame in wanted:
            name = names.get(frame + first)
            if name is None:
                people.drop("frame not on disk")
                continue
            points = joints_2d[camera][frame]
            people.add(
                f"{subject}/{sequence}/{frame}/{camera}",
                image=f"{subject}/{sequence}/imageSequence/video_{camera}/{name}",
                image_size=view["size"],
                box=hull_box(points, _HULL_MARGIN),
                joints_2d=np.pad(points, ((0, 0), (0, 1)), constant_values=1.0),
                joints_3d=np.pad(joints_3d[camera][frame] / 1000, ((0, 0), (0, 1)), constant_values=1.0),
                focal=view["focal"],
                princpt=view["princpt"],
                camera_rotation=view["rotation"],
                camera_translation=view["translation"],
                sequence=f"{subject}/{sequence}",
                frame=frame,
                camera=camera,
            )


def _read_annotations(path: Path, variant: str) -> tuple[list[NDArray], list[NDArray]]:
    """Joints (F, 28, 2) in pixels and (F, 28, 3) in millimetres, camera frame, one array a camera."""
    content = read_matlab(path, ["annot2", variant], _REMEDY)
    result = []
    for name, size in (("annot2", 2), (variant, 3)):
        try:
            cells = [np.asarray(cell, dtype=np.float64) for cell in content[name].ravel()]
            result.append([cell.reshape(len(cell), _NUM_JOINTS, size) for cell in cells])
        except (ValueError, TypeError) as error:
            msg = f"{path}: {name} is not a cell of (frames, {_NUM_JOINTS * size}) arrays ({error}). {_REMEDY}"
            raise AnnotationError(msg) from error
    if [len(cell) for cell in result[0]] != [len(cell) for cell in result[1]]:
        msg = f"{path}: annot2 and {variant} have different numbers of frames; get the file again"
        raise AnnotationError(msg)
    return result[0], result[1]


def read_calibration(path: Path) -> dict[int, dict[str, NDArray]]:
    """Cameras of a camera.calibration by number: size, focal, princpt (pixels), rotation, translation (metres).

    Raises:
        AnnotationError: the file has another layout.
    """
    cameras: dict[int, dict[str, NDArray]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
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
