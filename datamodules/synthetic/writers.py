"""The official annotation layouts, written from what was drawn. Pictures are written where they are drawn."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from body_models.joint_sets import COCO17, MPI_INF_3DHP28
from body_models.spec import SMPL
from datamodules.synthetic.in_the_wild import Photo
from datamodules.synthetic.takes import FPS, STUDIO_JOINTS, Take, sequence_name

UNLABELLED_PEOPLE, UNLABELLED_HIDDEN = 0.03, 0.15
_SMPL_H_POSE, _SMPL_H_BETAS = 156, 16
# MPI-INF-3DHP's universal skeleton measures this much from knee to neck, in millimetres.
_UNIVERSAL_LENGTH = 920.0


def write_coco(folder: Path, photos: list[Photo], seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Write person_keypoints_train2017.json. Returns (id, truth) for each annotation.

    As by COCO's annotators, some hidden joints are left out, and some people have no keypoints at all.
    """
    rng = np.random.default_rng([seed, 101])
    images, annotations, truth = [], [], []
    for number, photo in enumerate(photos):
        width, height = photo.size
        image_id = int(Path(photo.file_name).stem)
        images.append({"id": image_id, "file_name": photo.file_name, "width": width, "height": height, "license": 1})
        for index, person in enumerate(photo.people):
            joints = person.joints.copy()
            joints[(joints[:, 2] == 1) & (rng.random(len(joints)) < UNLABELLED_HIDDEN), 2] = 0
            if rng.random() < UNLABELLED_PEOPLE:
                joints[:, 2] = 0
            joints[joints[:, 2] == 0] = 0
            annotation_id = 10 * (number + 1) + index
            annotations.append(
                {
                    "id": annotation_id,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": person.area,
                    "bbox": person.box.tolist(),
                    "segmentation": [],
                    "num_keypoints": int((joints[:, 2] > 0).sum()),
                    "keypoints": [v for x, y, c in joints.tolist() for v in (round(x, 2), round(y, 2), int(c))],
                }
            )
            truth.append((f"coco/train/{annotation_id}", person.truth))
    skeleton = [[COCO17.names.index(a) + 1, COCO17.names.index(b) + 1] for a, b in COCO17.bones]
    content = {
        "info": {"description": "Synthetic people in COCO's layout", "version": "1.0"},
        "licenses": [{"id": 1, "name": "Apache-2.0", "url": ""}],
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person", "keypoints": COCO17.names, "skeleton": skeleton}
        ],
        "images": images,
        "annotations": annotations,
    }
    path = folder / "coco/annotations/person_keypoints_train2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return truth


def _struct_array(rows: list[dict[str, Any]]) -> NDArray[np.void]:
    """(1, N) MATLAB struct array."""
    result = np.zeros((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        result[0, i] = tuple(row.values())
    return result


def write_mpii(folder: Path, photos: list[Photo]) -> list[tuple[str, dict[str, Any]]]:
    """Write mpii_human_pose_v1_u12_1.mat, pixels counted from 1. Returns (id, truth) for each person with joints.

    The ids count the people with joints, as the COCO-style train.json made from this file does.
    """
    truth: list[tuple[str, dict[str, Any]]] = []
    records = []
    for photo in photos:
        people = []
        for person in photo.people:
            labelled = person.joints[:, 2] > 0
            shown = person.joints[labelled, :2]
            if len(shown) < 2 or (np.ptp(shown, axis=0) <= 1).any():
                continue
            points = [
                {"x": round(x + 1, 3), "y": round(y + 1, 3), "id": int(index), "is_visible": np.uint8(seen == 2)}
                for index, (x, y, seen) in zip(np.flatnonzero(labelled), person.joints[labelled], strict=True)
            ]
            x, y, w, h = person.box + np.array([1, 1, 0, 0])
            top, neck = person.joints[9, :2] + 1, person.joints[8, :2] + 1
            side = 0.6 * np.linalg.norm(top - neck)
            center = (top + neck) / 2
            people.append(
                {
                    "x1": center[0] - side,
                    "y1": center[1] - side,
                    "x2": center[0] + side,
                    "y2": center[1] + side,
                    "scale": h / 200,
                    "objpos": {"x": x + w / 2, "y": y + h / 2},
                    "annopoints": {"point": _struct_array(points)},
                }
            )
            truth.append((f"mpii/train/{len(truth)}", person.truth))
        records.append(
            {
                "image": {"name": photo.file_name},
                "annorect": _struct_array(people) if people else np.zeros((0, 0)),
                "frame_sec": np.zeros((0, 0)),
                "vididx": np.zeros((0, 0)),
            }
        )
    release = {
        "annolist": _struct_array(records),
        "img_train": np.ones((1, len(records)), dtype=np.uint8),
        "version": "12",
    }
    folder.joinpath("mpii").mkdir(parents=True, exist_ok=True)
    savemat(folder / "mpii/mpii_human_pose_v1_u12_1.mat", {"RELEASE": release}, do_compression=True)
    return truth


def write_mpi_inf_3dhp(folder: Path, subject: int, sequence: int, take: Take) -> None:
    """Write annot.mat (millimetres, each camera's frame) and camera.calibration of one sequence."""
    place = folder / f"mpi_inf_3dhp/S{subject}/Seq{sequence}"
    place.mkdir(parents=True, exist_ok=True)
    world = take.tracks[0].joints[:, STUDIO_JOINTS]
    frames, names = len(world), MPI_INF_3DHP28.names
    chain = [names.index(name) for name in ("left_knee", "left_hip", "pelvis", "neck")]
    bones = np.linalg.norm(np.diff(world[:, chain], axis=1), axis=-1).sum(1)
    universal = _UNIVERSAL_LENGTH / (1000 * float(np.median(bones)))
    cells = {name: np.empty((len(take.cameras), 1), dtype=object) for name in ("annot2", "annot3", "univ_annot3")}
    lines = ["Skeletool Camera Calibration File V1.0"]
    for number, camera in enumerate(take.cameras):
        joints = camera.look(world)
        cells["annot2"][number, 0] = camera.project(joints).reshape(frames, -1)
        cells["annot3"][number, 0] = 1000 * joints.reshape(frames, -1)
        cells["univ_annot3"][number, 0] = 1000 * universal * joints.reshape(frames, -1)
        intrinsic, extrinsic = np.eye(4), camera.matrix()
        intrinsic[:3, :3] = camera.intrinsics()
        extrinsic[:3, 3] *= 1000
        width, height = camera.size
        lines += [
            f"name          {number}",
            "  sensor      10 10",
            f"  size        {width} {height}",
            "  animated    0",
            f"  intrinsic   {' '.join(f'{v:.9g}' for v in intrinsic.ravel())} ",
            f"  extrinsic   {' '.join(f'{v:.9g}' for v in extrinsic.ravel())} ",
            "  radial      0",
        ]
    (place / "camera.calibration").write_text("\n".join(lines) + "\n", encoding="utf-8")
    numbers = {"frames": np.arange(frames)[:, None], "cameras": np.arange(len(take.cameras))[None]}
    savemat(place / "annot.mat", cells | numbers, do_compression=True)


def write_3dpw(folder: Path, name: str, number: int, take: Take, seed: int) -> None:
    """Write the pickle of one sequence. In long sequences some frames lack a camera pose, or 2D joints, as in 3DPW."""
    sequence = sequence_name(name, number)
    frames = len(take.cameras)
    rng = np.random.default_rng([seed, 102, number])
    tracks = take.tracks
    valid = np.ones(frames, dtype=np.int64)
    if frames >= 20:
        valid[rng.random(frames) < 0.03] = 0
        for track in tracks:
            track.poses2d[rng.random(frames) < 0.02] = 0
    step = round(60 / FPS["threedpw"])
    content = {
        "sequence": sequence,
        "poses": [track.poses for track in tracks],
        "betas": [track.betas for track in tracks],
        "trans": [track.trans for track in tracks],
        "poses2d": [track.poses2d for track in tracks],
        "jointPositions": [track.joints[:, : len(SMPL.joints)].reshape(frames, -1) for track in tracks],
        "genders": [track.gender[0] for track in tracks],
        "campose_valid": [valid for _ in tracks],
        "cam_poses": np.stack([camera.matrix() for camera in take.cameras]),
        "cam_intrinsics": take.cameras[0].intrinsics(),
        "img_frame_ids": np.arange(frames) * step,
    }
    path = folder / "3dpw/sequenceFiles" / name.removeprefix("threedpw_") / f"{sequence}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=2)


def write_amass(folder: Path, number: int, take: Take) -> None:
    """Write one sequence as SMPL+H, in a world with z up."""
    track = take.tracks[0]
    frames = len(track.poses)
    z_up = Rotation.from_euler("x", 90, degrees=True)
    poses = np.zeros((frames, _SMPL_H_POSE))
    poses[:, :66] = track.poses[:, :66]
    poses[:, :3] = (z_up * Rotation.from_rotvec(track.poses[:, :3])).as_rotvec()
    betas = np.zeros(_SMPL_H_BETAS)
    betas[: len(track.betas)] = track.betas
    place = folder / f"amass/Synthetic/subject_{number // 4:03d}"
    place.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        place / f"motion_{number % 4}_poses.npz",
        poses=poses,
        betas=betas,
        trans=z_up.apply(track.trans),
        gender=track.gender,
        mocap_framerate=FPS["amass"],
    )


def write_truth(folder: Path, name: str, truth: list[tuple[str, dict[str, Any]]]) -> None:
    """Write the true bodies of an in-the-wild set, in the camera's frame; only the evaluation may read them."""
    columns: dict[str, Any] = {key: np.array([row[key] for _, row in truth]) for key in truth[0][1]}
    path = folder / f"truth/{name}_train.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns |= {"id": np.array([identifier for identifier, _ in truth]), "gender": np.full(len(truth), "neutral")}
    np.savez_compressed(path, **columns)
