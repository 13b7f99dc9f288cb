"""Small data sets in the official layouts, written into tmp_path."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from body_models.joint_sets import COCO17, MPI_INF_3DHP28, MPII16
from body_models.smpl import BodyModel
from datamodules.pseudo_gt.native import LabelWriter

WIDTH, HEIGHT = 320, 240


def write_image(path: Path, points: np.ndarray | None = None, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A grey picture with a green blob at each point (K, 2)."""
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    for point in points if points is not None else []:
        # shift=4: positions in sixteenths of a pixel.
        cv2.circle(image, tuple(round(float(v) * 16) for v in point), 5 * 16, (30, 220, 30), -1, cv2.LINE_AA, 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 98])


def random_person(rng: np.random.Generator, count: int) -> tuple[np.ndarray, list[float]]:
    """(count, 2) joints and their box [x, y, w, h] inside the picture."""
    corner, size = rng.uniform(10, 60, 2), rng.uniform(80, 160, 2)
    joints = corner + rng.uniform(0.05, 0.95, (count, 2)) * size
    return joints, [*corner, *size]


@pytest.fixture
def coco_root(tmp_path: Path) -> Path:
    """12 people on 6 images; annotation 1003 without keypoints, one crowd."""
    rng, root = np.random.default_rng(0), tmp_path / "coco"
    images, annotations = [], []
    for i in range(6):
        name = f"{i + 1:012d}.jpg"
        images.append({"id": i + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
        drawn = []
        for k in range(2):
            joints, box = random_person(rng, 17)
            visible = rng.integers(1, 3, 17) * (rng.random(17) > 0.2)
            visible[0] = 2
            number = 1000 + 2 * i + k
            if number == 1003:
                visible[:] = 0
            drawn.append(joints[visible > 0])
            keypoints = np.column_stack((joints * (visible > 0)[:, None], visible)).ravel().tolist()
            record = {"id": number, "image_id": i + 1, "bbox": box, "keypoints": keypoints, "category_id": 1}
            annotations.append({**record, "num_keypoints": int((visible > 0).sum()), "iscrowd": 0, "area": 1.0})
        write_image(root / "train2017" / name, np.concatenate(drawn))
    annotations.append({**annotations[0], "id": 5000, "iscrowd": 1})
    path = root / "annotations" / "person_keypoints_train2017.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1}]}))
    assert len(COCO17.names) == 17
    return root


@pytest.fixture
def mpii_root(tmp_path: Path) -> Path:
    """The official .mat: images with two, one, no and (test image) one people; one person within a pixel."""
    rng, root = np.random.default_rng(1), tmp_path / "mpii"

    def person(joints: np.ndarray, labelled: np.ndarray) -> dict:
        points = [
            {"x": float(joints[j, 0]), "y": float(joints[j, 1]), "id": j, "is_visible": int(rng.integers(2))}
            for j in np.flatnonzero(labelled)
        ]
        return {"x1": 1.0, "scale": 1.0, "objpos": {"x": 5.0, "y": 5.0}, "annopoints": {"point": points}}

    people = [random_person(rng, 16)[0] + 1 for _ in range(5)]
    everything, some = np.ones(16, bool), np.arange(16) < 6
    point = np.tile([50.0, 60.0], (16, 1))
    annorect = [
        [person(people[0], everything), person(people[1], some)],
        [person(point, some), person(people[2], everything)],
        [],
        [{"x1": 3.0, "scale": 1.0}],
        [person(people[3], everything)],
        [person(people[4], everything)],
    ]
    annolist = np.empty((1, len(annorect)), dtype=[("image", object), ("annorect", object)])
    for i, rects in enumerate(annorect):
        annolist[0, i] = ({"name": f"{i:09d}.jpg"}, rects if rects else np.zeros((0, 0)))
        write_image(root / "images" / f"{i:09d}.jpg")
    img_train = np.array([[1, 1, 1, 1, 0, 1]])
    savemat(root / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": {"annolist": annolist, "img_train": img_train}})
    assert len(MPII16.names) == 16
    return root


CALIBRATION = """name          {camera}
  sensor      10 10
  size        320 240
  animated    0
  intrinsic   400 0 160 0 0 410 120 0 0 0 1 0 0 0 0 1
  extrinsic   {extrinsic}
  radial      0
"""


@pytest.fixture
def mpi_inf_3dhp_root(tmp_path: Path) -> Path:
    """One take of 4 frames, 14 annotated cameras, frames of cameras 0 and 2 on disk, one of them missing."""
    rng, root = np.random.default_rng(2), tmp_path / "3dhp"
    take = root / "S1" / "Seq1"
    annot2, annot3 = np.empty((14, 1), object), np.empty((14, 1), object)
    for camera in range(14):
        joints = rng.uniform(-600, 600, (4, 28, 3)) * [0.8, 0.8, 0.3] + [0, 0, 3000]
        annot3[camera, 0] = joints.reshape(4, 84)
        annot2[camera, 0] = (joints[..., :2] / joints[..., 2:] * [400, 410] + [160, 120]).reshape(4, 56)
        for frame in range(4):
            if camera in (0, 2) and (camera, frame) != (2, 3):
                name = f"imageSequence/video_{camera}/frame_{frame + 1:06d}.jpg"
                write_image(take / name, annot2[camera, 0][frame].reshape(28, 2))
    savemat(take / "annot.mat", {"annot2": annot2, "annot3": annot3, "univ_annot3": annot3})
    extrinsic = np.eye(4)
    extrinsic[:3, 3] = 100, 200, 3000
    blocks = [CALIBRATION.format(camera=k, extrinsic=" ".join(str(v) for v in extrinsic.ravel())) for k in range(14)]
    (take / "camera.calibration").write_text("Skeletool Camera Calibration File V1.0\n" + "".join(blocks))
    assert len(MPI_INF_3DHP28.names) == 28
    return root


@pytest.fixture
def threedpw_root(threedpw_tree: Path, tmp_path: Path) -> Path:
    """A copy of the tree, to be changed at will."""
    return shutil.copytree(threedpw_tree, tmp_path / "3dpw")


@pytest.fixture(scope="session")
def threedpw_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, a man and a woman, 5 frames, in each split; frame 4 has no valid camera, frame 1 no poses2d."""
    rng, root = np.random.default_rng(3), tmp_path_factory.mktemp("threedpw") / "3dpw"
    for split in ("train", "validation", "test"):
        sequence = f"walk_{split}_00"
        world_to_camera = Rotation.from_euler("xyz", [[170 + f, 2 * f, 5] for f in range(5)], degrees=True)
        poses = rng.normal(0, 0.2, (2, 5, 72))
        betas, trans = rng.normal(0, 1, (2, 10)), rng.normal([0.5, 0.3, 0.1], 0.2, (2, 5, 3))
        joints, genders = np.empty((2, 5, 24, 3)), ["m", "f"]
        for p, gender in enumerate(("male", "female")):
            matrices = torch.from_numpy(Rotation.from_rotvec(poses[p].reshape(-1, 3)).as_matrix()).view(5, 24, 3, 3)
            body = BodyModel("free", gender)
            shape = torch.from_numpy(np.tile(betas[p], (5, 1)))
            joints[p] = body.joints(matrices[:, 0], matrices[:, 1:], shape, torch.from_numpy(trans[p]))[:, :24].numpy()
        cam_poses = np.tile(np.eye(4), (5, 1, 1))
        cam_poses[:, :3, :3] = world_to_camera.as_matrix()
        cam_poses[:, :3, 3] = [0.1, 0.2, 4.0]
        poses2d = np.ones((2, 5, 3, 18))
        poses2d[:, 1] = 0
        content = {
            "sequence": sequence, "genders": genders, "poses": list(poses), "trans": list(trans),
            "betas": [np.pad(b, (0, 290)) for b in betas], "jointPositions": list(joints.reshape(2, 5, 72)),
            "poses2d": list(poses2d), "campose_valid": [np.array([1, 1, 1, 1, 0])] * 2,
            "img_frame_ids": np.arange(5) * 2, "cam_poses": cam_poses,
            "cam_intrinsics": np.array([[300.0, 0, 160], [0, 310.0, 120], [0, 0, 1]]),
        }  # fmt: skip
        path = root / "sequenceFiles" / split / f"{sequence}.pkl"
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps(content, protocol=2))
        for frame in range(5):
            write_image(root / "imageFiles" / sequence / f"image_{frame:05d}.jpg")
    return root


@pytest.fixture
def amass_root(tmp_path: Path) -> Path:
    """4 SMPL+H sequences at 120 Hz and 1 SMPL-X sequence at 60 Hz."""
    rng, root = np.random.default_rng(4), tmp_path / "amass"
    for i in range(5):
        folder = root / "CMU" / f"{i:02d}"
        folder.mkdir(parents=True)
        width, suffix, rate = (165, "stageii", {"mocap_frame_rate": 60.0}) if i == 4 else (156, "poses", {})
        rate = rate or {"mocap_framerate": np.array(120.0)}
        poses = rng.normal(0, 0.3, (240, width))
        body = {"betas": rng.normal(size=16), "trans": rng.normal(size=(240, 3)), "gender": np.array("female")}
        np.savez(folder / f"walk_{suffix}.npz", poses=poses, **body, **rate)
    return root


@pytest.fixture
def write_labels(tmp_path: Path) -> Callable[[list[str]], tuple[Path, dict[str, np.ndarray]]]:
    """Writes a native label table for people; returns its folder and columns."""

    def write(ids: list[str]) -> tuple[Path, dict[str, np.ndarray]]:
        rng, folder = np.random.default_rng(5), tmp_path / "labels"
        sizes = {"global_orient": 3, "body_pose": 69, "betas": 10, "transl": 3, "focal": 2, "princpt": 2}
        values = {name: rng.normal(size=(len(ids), size)).astype(np.float32) for name, size in sizes.items()}
        with LabelWriter(folder, joint_set=None, image_root=None, provenance={}) as writer:
            writer.write({"id": ids, **values})
        return folder, values

    return write
