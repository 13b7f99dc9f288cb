"""Human3.6M's json layout: every column against an independent projection, and each fault."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from body_models.joint_sets import HUMAN36M17
from body_models.smpl import BodyModel
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources.human36m import open_human36m

FRAMES = (0, 5, 7, 64)
NAME = "s_{:02d}_act_{:02d}_subact_{:02d}_ca_{:02d}/s_{:02d}_act_{:02d}_subact_{:02d}_ca_{:02d}_{:06d}.jpg"


@functools.cache
def body() -> BodyModel:
    return BodyModel("free", "neutral")


@pytest.fixture(scope="session")
def tree() -> dict[str, Any]:
    """Content of each file by name, of all 7 subjects: one action, two cameras (1 and 4), 4 frames."""
    rng, files = np.random.default_rng(6), {}
    turn = Rotation.from_euler("xyz", [[-95, 10, 20], [-85, -100, 5]], degrees=True).as_matrix()
    for subject in (1, 5, 6, 7, 8, 9, 11):
        images, annotations, joints, fits, cameras = [], [], {}, {}, {}
        for camera, rotation in zip((1, 4), turn, strict=True):
            shift = [10.0 * subject, -20.0, 5000.0]
            cameras[str(camera)] = {"R": rotation.tolist(), "t": shift, "f": [350.0, 360.0], "c": [160.0, 120.0]}
        for frame in FRAMES:
            joints[str(frame)] = rng.uniform(-700, 700, (17, 3)).tolist()
            pose, shape = rng.normal(0, 0.2, 72).tolist(), rng.normal(0, 1, 10).tolist()
            fits[str(frame)] = {"pose": pose, "shape": shape, "trans": [rng.normal(0, 0.5, 3).tolist()]}
            for camera in (1, 4):
                number = 10000 * subject + 10 * frame + camera
                place = (subject, 2, 1, camera)
                images.append(
                    {
                        "id": number, "file_name": NAME.format(*place, *place, frame + 1), "width": 320, "height": 240,
                        "subject": subject, "action_name": "Directions", "action_idx": 2, "subaction_idx": 1,
                        "cam_idx": camera, "frame_idx": frame,
                    }
                )  # fmt: skip
                box = [*rng.uniform(20, 60, 2).tolist(), 100.0, 120.0]
                seen = [bool(flag) for flag in rng.random(17) > 0.2]
                annotations.append({"id": number, "image_id": number, "bbox": box, "keypoints_vis": seen})
        kinds = {
            "data": {"images": images, "annotations": annotations}, "camera": cameras,
            "joint_3d": {"2": {"1": joints}}, "SMPL_NeuralAnnot": {"2": {"1": fits}},
        }  # fmt: skip
        files |= {f"Human36M_subject{subject}_{kind}.json": content for kind, content in kinds.items()}
    return files


@pytest.fixture
def root(tree: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    for name, content in tree.items():
        (tmp_path / "annotations" / name).write_text(json.dumps(content))
    return tmp_path


def change(root: Path, name: str, act: Callable[[Any], Any]) -> None:
    path = root / "annotations" / name
    content = json.loads(path.read_text())
    act(content)
    path.write_text(json.dumps(content))


def table_of(root: Path, split: str = "train", **options: Any) -> PeopleTable:
    return open_human36m(str(root), split, str(root / "cache"), **options)


def test_every_column(root: Path, tree: dict[str, Any]) -> None:
    table = table_of(root)
    assert table.joint_set is HUMAN36M17
    expected = [
        f"human36m/train/S{s}/act_02_subact_01/{frame}/{camera}"
        for s in (1, 5, 6, 7, 8) for frame in (0, 5) for camera in (1, 4)
    ]  # fmt: skip
    assert table.ids() == expected
    assert not table.has("global_orient")
    for row, person in enumerate(expected):
        subject, _, frame, camera = person.split("/")[2:]
        view = tree[f"Human36M_subject{subject[1:]}_camera.json"][camera]
        data = tree[f"Human36M_subject{subject[1:]}_data.json"]
        number = 10000 * int(subject[1:]) + 10 * int(frame) + int(camera)
        annotation = next(record for record in data["annotations"] if record["id"] == number)
        world = np.array(tree[f"Human36M_subject{subject[1:]}_joint_3d.json"]["2"]["1"][frame])
        seen = (world @ np.array(view["R"]).T + view["t"]) / 1000
        np.testing.assert_allclose(table.column("joints_3d")[row], np.column_stack((seen, np.ones(17))), atol=1e-5)
        assert (3 < seen[:, 2]).all() and (seen[:, 2] < 8).all()
        matrix = np.array([[350, 0, 160], [0, 360, 120], [0, 0, 1.0]])
        points, _ = cv2.projectPoints(world, np.array(view["R"]), np.array(view["t"]), matrix, None)
        np.testing.assert_allclose(table.column("joints_2d")[row][:, :2], points[:, 0], atol=1e-2)
        np.testing.assert_array_equal(table.column("joints_2d")[row][:, 2], annotation["keypoints_vis"])
        np.testing.assert_allclose(table.column("box")[row], annotation["bbox"], rtol=1e-6)
        np.testing.assert_allclose(table.column("camera_rotation")[row], view["R"], atol=1e-6)
        np.testing.assert_allclose(table.column("camera_translation")[row], np.array(view["t"]) / 1000, atol=1e-6)
        assert table.column("sequence")[row].decode() == f"{subject}/act_02_subact_01"
        assert (table.column("frame")[row], table.column("camera")[row]) == (int(frame), int(camera))
        place = (int(subject[1:]), 2, 1, int(camera))
        assert table.column("image")[row].decode() == NAME.format(*place, *place, int(frame) + 1)
    assert (table.column("focal") == [350, 360]).all()
    assert (table.column("princpt") == [160, 120]).all()
    assert (table.column("image_size") == [320, 240]).all()
    assert Path(table.image_root) == root / "images"


def test_protocols_cameras_and_steps(root: Path) -> None:
    def found(**options: Any) -> tuple[set[str], set[int], set[int]]:
        table = table_of(root, **options)
        subjects = {person.split("/")[2] for person in table.ids()}
        return subjects, set(table.column("camera").tolist()), set(table.column("frame").tolist())

    assert found(split="test") == ({"S9", "S11"}, {4}, {0, 64})
    assert found(split="test", protocol=1) == ({"S11"}, {4}, {0, 64})
    assert found(protocol=1)[0] == {"S1", "S5", "S6", "S7", "S8", "S9"}
    assert found(cameras=[1], frame_step=1)[1:] == ({1}, set(FRAMES))
    for wrong in ({"split": "validation"}, {"protocol": 3}, {"frame_step": 0}):
        with pytest.raises(AnnotationError, match=r"Human3\.6M: "):
            table_of(root, **wrong)


def test_fits_are_the_worlds_bodies_seen_by_the_camera(root: Path, tree: dict[str, Any]) -> None:
    table = table_of(root, body_models="free", frame_step=1)

    def vertices(pose: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> np.ndarray:
        rotations = torch.from_numpy(Rotation.from_rotvec(pose.reshape(24, 3)).as_matrix())[None]
        shape, place = torch.tensor(betas)[None], torch.tensor(transl)[None]
        return body()(rotations[:, 0], rotations[:, 1:], shape, place).vertices[0].numpy()

    for row in (0, 5, 9):
        subject, _, frame, camera = table.ids()[row].split("/")[2:]
        fit = tree[f"Human36M_subject{subject[1:]}_SMPL_NeuralAnnot.json"]["2"]["1"][frame]
        view = tree[f"Human36M_subject{subject[1:]}_camera.json"][camera]
        world = vertices(np.array(fit["pose"]), np.array(fit["shape"]), np.array(fit["trans"][0]))
        seen = world @ np.array(view["R"]).T + np.array(view["t"]) / 1000
        pose = np.concatenate((table.column("global_orient")[row], table.column("body_pose")[row]))
        mine = vertices(pose, table.column("betas")[row], table.column("transl")[row])
        np.testing.assert_allclose(mine, seen, atol=1e-4)
    assert (table.column("gender") == 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_poses_that_are_not_finite_are_counted(root: Path, value: float) -> None:
    change(root, "Human36M_subject1_SMPL_NeuralAnnot.json", lambda c: c["2"]["1"]["0"]["pose"].__setitem__(1, value))
    assert table_of(root, body_models="free").dropped == {"global_orient is not finite": 2}


def test_people_without_a_fit_are_counted(root: Path) -> None:
    change(root, "Human36M_subject1_SMPL_NeuralAnnot.json", lambda c: c["2"]["1"].pop("5"))
    (root / "annotations/Human36M_subject5_SMPL_NeuralAnnot.json").rename(
        root / "annotations/Human36M_subject5_smpl_param.json"
    )
    assert table_of(root, body_models="free").dropped == {"no SMPL fit of this frame": 2}
    assert table_of(root).dropped == {}


DATA, CAMERA, JOINTS = (f"Human36M_subject1_{kind}.json" for kind in ("data", "camera", "joint_3d"))
NO_AREA = "box has no area inside the image"
PEOPLE: dict[str, tuple[str, Callable[[Any], Any], str, int]] = {
    "zero-size box": (DATA, lambda c: c["annotations"][0].update(bbox=[9, 9, 0, 5]), NO_AREA, 1),
    "box outside": (DATA, lambda c: c["annotations"][0].update(bbox=[900, 9, 5, 5]), NO_AREA, 1),
    "NaN joint": (JOINTS, lambda c: c["2"]["1"]["0"][3].__setitem__(0, float("nan")), "joints_2d is not finite", 2),
    "no joints": (JOINTS, lambda c: c["2"]["1"].pop("0"), "no 3D joints of this frame", 2),
    "metres": (JOINTS, lambda c: c["2"]["1"].update({"0": [[0, 99999, 0]] * 17}), "behind the camera", 1),
    "unlisted image": (DATA, lambda c: c["annotations"][0].update(image_id=-1), "image is not listed in the file", 1),
    "duplicate": (DATA, lambda c: c["annotations"].append(c["annotations"][0]), "id occurs twice", 1),
}  # fmt: skip


@pytest.mark.parametrize(("name", "act", "reason", "count"), PEOPLE.values(), ids=PEOPLE.keys())
def test_bad_people_are_counted_by_reason(
    root: Path, name: str, act: Callable[[Any], Any], reason: str, count: int
) -> None:
    change(root, name, act)
    assert table_of(root).dropped == {reason: count}


WRONG: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "16 joints": (JOINTS, lambda c: c["2"]["1"]["0"].pop(), r"joint_3d\.json: 2/1/0 is not numbers of shape \(17, 3\)"),
    "joints of text": (JOINTS, lambda c: c["2"]["1"].update({"0": "x"}), r"joint_3d\.json: 2/1/0 is not numbers"),
    "no camera": (CAMERA, lambda c: c.pop("1"), r"camera\.json: camera 1 .* has no R, t, f, c"),
    "no focal": (CAMERA, lambda c: c["1"].pop("f"), r"camera\.json: camera 1 .* has no f"),
    "R of 2 x 2": (CAMERA, lambda c: c["1"].update(R=[[1, 0], [0, 1]]), r"R of camera 1 is not numbers of shape"),
    "R no rotation": (CAMERA, lambda c: c["1"].update(R=[[1, 0, 0]] * 3), r"R of camera 1 is not a rotation"),
    "R mirrors": (
        CAMERA,
        lambda c: c["1"].update(R=(-np.array(c["1"]["R"])).tolist()),
        r"R of camera 1 is not a rotation",
    ),
    "R is NaN": (CAMERA, lambda c: c["1"].update(R=[[float("nan")] * 3] * 3), r"R of camera 1 is not a rotation"),
    "no frame": (DATA, lambda c: c["images"][0].pop("frame_idx"), r"data\.json: image 10001 has no frame_idx"),
    "frame of text": (DATA, lambda c: c["images"][0].update(frame_idx="0"), r"image 10001 has .*, not whole numbers"),
    "box of 3": (DATA, lambda c: c["annotations"][0]["bbox"].pop(), r"annotation 10001 has bbox .*not four numbers"),
    "16 flags": (DATA, lambda c: c["annotations"][0]["keypoints_vis"].pop(), r"10001 has keypoints_vis, but not 17"),
    "another data set": (
        DATA,
        lambda c: [image.pop("subject") for image in c["images"]],
        r"image 10001 has no subject",
    ),
}


@pytest.mark.parametrize(("name", "act", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_name_file_and_record(root: Path, name: str, act: Callable[[Any], Any], message: str) -> None:
    change(root, name, act)
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(root)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", [DATA, CAMERA, JOINTS])
@pytest.mark.parametrize("text", ["", '{"images": [', "[]", "3"])
def test_truncated_and_foreign_files_are_named(root: Path, name: str, text: str) -> None:
    (root / "annotations" / name).write_text(text)
    with pytest.raises(AnnotationError, match=name):
        table_of(root)


def test_all_missing_files_and_images_are_named(root: Path) -> None:
    assert len(table_of(root).missing_images()[1]) == 20
    for name in (CAMERA, "Human36M_subject8_joint_3d.json"):
        (root / "annotations" / name).unlink()
    with pytest.raises(MissingFilesError, match=r"2 missing:\n.*subject1_camera.*Get .*\n.*subject8_joint_3d.*Get "):
        table_of(root)
    with pytest.raises(MissingFilesError, match=r"subject9_SMPL_NeuralAnnot\.json"):
        (root / "annotations/Human36M_subject9_SMPL_NeuralAnnot.json").unlink()
        table_of(root, "test", body_models="free")


def test_names_that_are_not_utf8_are_kept_as_bytes(root: Path) -> None:
    change(root, DATA, lambda c: c["images"][0].update(file_name=os.fsdecode(b"gru\xdfe.jpg")))
    assert table_of(root).column("image")[0] == b"gru\xdfe.jpg"
