"""Human3.6M in the COCO-style json layout of I2L-MeshNet and Hand4Whole.

annotations/Human36M_subject{S}_data.json: images {id, file_name, width, height, subject, action_idx, subaction_idx,
cam_idx, frame_idx}, annotations {id, image_id, bbox, keypoints_vis}; _camera.json[camera] {R, t mm, f, c};
_joint_3d.json[action][subaction][frame] 17 x 3 world millimetres. Images lie in
images/s_%02d_act_%02d_subact_%02d_ca_%02d/. A point X of the world is at R X + t in the camera's frame; here that is
metres. 2D joints are the projections of the 3D ones without lens distortion, as in that code; keypoints_vis, where
given, is their confidence.

_SMPL_NeuralAnnot.json (or _smpl_param.json)[action][subaction][frame] {pose 72, shape 10, trans 3} are fits in the
world frame, of the neutral body. They are read on request only, because SMPL turns about its root joint: with rest
pelvis p, bringing translation v to a camera is R (p + v) + t - p, and p needs the body model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from body_models.bodies import open_body
from body_models.joint_sets import HUMAN36M17
from body_models.spec import SMPL
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, read_json
from datamodules.people import PeopleBuilder, PeopleTable, turn_by
from datamodules.records import require_keys
from datamodules.sources.coco_json import iter_annotations, read_coco_file

VERSION = 2
SUBJECTS: dict[int, dict[str, tuple[int, ...]]] = {
    1: {"train": (1, 5, 6, 7, 8, 9), "test": (11,)},
    2: {"train": (1, 5, 6, 7, 8), "test": (9, 11)},
}
"""Subjects of each split, by protocol."""
# What the public code takes: frames at 10 a second and all cameras to train, one frame in 64 of the frontal to test.
_FRAME_STEP = {"train": 5, "test": 64}
_CAMERAS = {"train": (1, 2, 3, 4), "test": (4,)}
_FITS = ("SMPL_NeuralAnnot", "smpl_param")
_NEAREST_DEPTH = 0.1
_NUM_JOINTS = len(HUMAN36M17.names)
_REMEDY = (
    "Get the parsed Human3.6M data that I2L-MeshNet_RELEASE links to, after registering at vision.imar.ro/human3.6m"
)
_INDICES = ("subject", "action_idx", "subaction_idx", "cam_idx", "frame_idx")
_CAMERA_SHAPES = {"R": (3, 3), "t": (3,), "f": (2,), "c": (2,)}
_FIT_SHAPES = {"pose": (SMPL.pose_size,), "shape": (SMPL.shape_size,), "trans": (3,)}


def open_human36m(
    root: str,
    split: str = "train",
    cache_dir: str = "cache",
    protocol: int = 2,
    cameras: Sequence[int] | None = None,
    frame_step: int | None = None,
    body_models: str | None = None,
) -> PeopleTable:
    """Table of Human3.6M, one row for each frame and camera.

    Args:
        root: folder with ``annotations/`` and ``images/``.
        split: train or test.
        cache_dir: folder for caches.
        protocol: 2 trains on subjects 1, 5, 6, 7, 8 and tests on 9, 11; 1 trains on 9, too, and tests on 11.
        cameras: numbers (1 to 4) of the cameras to use; None takes all for train, 4 for test, as the public code does.
        frame_step: use frames whose number is divisible by it; None takes 5 for train, 64 for test, as that does.
        body_models: reference of the SMPL body: adds the SMPL fits, and leaves out people without one; None for joints
            only.
    """
    if protocol not in SUBJECTS or split not in SUBJECTS[protocol]:
        msg = f"Human3.6M: split {split!r}, protocol {protocol!r}: use train or test, and 1 or 2"
        raise AnnotationError(msg)
    if frame_step is not None and frame_step < 1:
        msg = f"Human3.6M: frame_step {frame_step} is below 1"
        raise AnnotationError(msg)
    folder = Path(root) / "annotations"
    subjects = SUBJECTS[protocol][split]
    names = [f"Human36M_subject{s}_{kind}.json" for s in subjects for kind in ("data", "camera", "joint_3d")]
    files = [folder / name for name in names]
    if body_models is not None:
        for subject in subjects:
            tried = [folder / f"Human36M_subject{subject}_{kind}.json" for kind in _FITS]
            files.append(next((path for path in tried if path.is_file()), tried[0]))
    lost = [path for path in files if not path.is_file()]
    if lost:
        raise MissingFilesError([f"Human3.6M: looked for {path}. {_REMEDY}" for path in lost])
    chosen = tuple(cameras) if cameras is not None else _CAMERAS[split]
    step = frame_step or _FRAME_STEP[split]
    arguments = {
        "root": str(Path(root).absolute()),
        "protocol": protocol,
        "cameras": list(chosen),
        "frame_step": step,
        "body_models": body_models,
    }

    def build() -> tuple[Arrays, dict[str, Any]]:
        people = PeopleBuilder("human36m", split, HUMAN36M17, Path(root) / "images")
        fits: list[Path | None] = [*files[3 * len(subjects) :]] or [None] * len(subjects)
        for number, fit in enumerate(fits):
            reader = _Subject(files[3 * number : 3 * number + 3], fit, body_models)
            reader.read(people, chosen, step)
        return people.finish()

    return PeopleTable(build_or_open(cache_dir, f"human36m-{split}", files, arguments, VERSION, build))


def has_fits(root: str) -> bool:
    """Whether SMPL fits of some subject lie beside the annotations."""
    folder = Path(root) / "annotations"
    return any(next(folder.glob(f"Human36M_subject*_{kind}.json"), None) for kind in _FITS)


class _Subject:
    """The files of one subject."""

    def __init__(self, files: list[Path], fit: Path | None, body_models: str | None) -> None:
        self._data_path, self._camera_path, self._joints_path = files
        self._fit_path = fit
        self._cameras, self._joints = _read_dict(self._camera_path), _read_dict(self._joints_path)
        self._fits = None if fit is None else _read_dict(fit)
        self._body = None if body_models is None else open_body(body_models)
        self._views: dict[int, dict[str, NDArray[np.float64]]] = {}

    def read(self, people: PeopleBuilder, cameras: Sequence[int], frame_step: int) -> None:
        for annotation, image in iter_annotations(read_coco_file(self._data_path), people):
            require_keys(self._data_path, "image", image, _INDICES)
            indices = [image[key] for key in _INDICES]
            if not all(type(index) is int and 0 <= index < 2**31 for index in indices):
                msg = f"{self._data_path}: image {image['id']} has {', '.join(_INDICES)} {indices}, not whole numbers"
                raise AnnotationError(msg)
            if indices[3] in cameras and indices[4] % frame_step == 0:
                self._add(people, annotation, image, *indices)

    def _add(
        self, people: PeopleBuilder, annotation: dict[str, Any], image: dict[str, Any], subject: int, action: int,
        subaction: int, camera: int, frame: int,
    ) -> None:  # fmt: skip
        keys = (str(action), str(subaction), str(frame))
        world = _look_up(self._joints, keys)
        if world is None:
            people.drop("no 3D joints of this frame")
            return
        fit = None
        if self._fits is not None:
            fit = _look_up(self._fits, keys)
            if fit is None:
                people.drop("no SMPL fit of this frame")
                return
        view = self._view(camera)
        joints = _numbers(self._joints_path, "/".join(keys), world, (_NUM_JOINTS, 3))
        joints = (joints @ view["R"].T + view["t"]) / 1000
        if joints[:, 2].min() < _NEAREST_DEPTH:
            people.drop("behind the camera")
            return
        points = joints[:, :2] / joints[:, 2:] * view["f"] + view["c"]
        sequence = f"S{subject}/act_{action:02d}_subact_{subaction:02d}"
        people.add(
            f"{sequence}/{frame}/{camera}",
            image=image["file_name"],
            image_size=(image["width"], image["height"]),
            box=annotation["bbox"],
            joints_2d=np.column_stack((points, self._visible(annotation))),
            joints_3d=np.pad(joints, ((0, 0), (0, 1)), constant_values=1.0),
            focal=view["f"],
            princpt=view["c"],
            camera_rotation=view["R"],
            camera_translation=view["t"] / 1000,
            sequence=sequence,
            frame=frame,
            camera=camera,
            **({} if fit is None else self._body_columns(fit, view, "/".join(keys))),
        )

    def _view(self, camera: int) -> dict[str, NDArray[np.float64]]:
        if camera not in self._views:
            record: Any = self._cameras.get(str(camera))
            require_keys(self._camera_path, f"camera {camera}", record, tuple(_CAMERA_SHAPES))
            self._views[camera] = {
                key: _numbers(self._camera_path, f"{key} of camera {camera}", record[key], shape)
                for key, shape in _CAMERA_SHAPES.items()
            }
            rotation = self._views[camera]["R"]
            turns = np.isfinite(rotation).all() and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
            if not turns or np.linalg.det(rotation) < 0:
                msg = f"{self._camera_path}: R of camera {camera} is not a rotation. {_REMEDY}"
                raise AnnotationError(msg)
        return self._views[camera]

    def _visible(self, annotation: dict[str, Any]) -> NDArray[np.bool_]:
        flags = annotation.get("keypoints_vis")
        if flags is None:
            return np.ones(_NUM_JOINTS, dtype=bool)
        if not isinstance(flags, list) or len(flags) != _NUM_JOINTS:
            msg = f"{self._data_path}: annotation {annotation['id']} has keypoints_vis, but not {_NUM_JOINTS} flags"
            raise AnnotationError(msg)
        return np.array([bool(flag) for flag in flags])

    def _body_columns(self, fit: Any, view: dict[str, NDArray[Any]], name: str) -> dict[str, ArrayLike]:
        """SMPL parameters in the camera's frame."""
        assert self._fit_path is not None
        assert self._body is not None
        require_keys(self._fit_path, "frame", fit, tuple(_FIT_SHAPES))
        pose, betas, transl = (
            _numbers(self._fit_path, f"{key} of {name}", fit[key], shape) for key, shape in _FIT_SHAPES.items()
        )
        pelvis = self._body.rest_pelvis(torch.from_numpy(betas)[None])[0].numpy()
        return {
            "global_orient": turn_by(Rotation.from_matrix(view["R"]), pose[:3]),
            "body_pose": pose[3:],
            "betas": betas,
            "transl": view["R"] @ (pelvis + transl) + view["t"] / 1000 - pelvis,
            "gender": 0,
        }


def _read_dict(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, not an object by camera or action. {_REMEDY}"
        raise AnnotationError(msg)
    return content


def _look_up(tree: Any, keys: Sequence[str]) -> Any:
    """What a tree of objects holds under the keys, or None."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _numbers(path: Path, record: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        return np.asarray(value, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{path}: {record} is not numbers of shape {shape} ({error}). {_REMEDY}"
        raise AnnotationError(msg) from error
