"""3DPW: the sequence files and the parsed json give the same people, and each fault."""

from __future__ import annotations

import functools
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from body_models.contracts import GENDERS
from body_models.safe_pickle import load_pickle
from body_models.smpl import BodyModel
from datamodules.files import AnnotationError, ImageError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources.threedpw import open_threedpw

SEQUENCE = "walk_test_00"


def table_of(root: Path, frames: str = "lsp14", split: str = "test") -> PeopleTable:
    return open_threedpw(str(root), split, str((root if root.is_dir() else root.parent) / "cache"), frames)


def pkl(root: Path) -> Path:
    return root / "sequenceFiles/test" / f"{SEQUENCE}.pkl"


@functools.cache
def _body(gender: str) -> BodyModel:
    return BodyModel("free", gender)


def vertices(gender: str, orient: np.ndarray, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> np.ndarray:
    rotations = Rotation.from_rotvec(np.concatenate((orient, pose)).reshape(24, 3)).as_matrix()
    matrices = torch.from_numpy(rotations)[None]
    shape, place = torch.tensor(betas)[None], torch.tensor(transl)[None]
    return _body(gender)(matrices[:, 0], matrices[:, 1:], shape, place).vertices[0].numpy()


def parsed(root: Path) -> dict[str, Any]:
    """The json that the authors' public script makes of the sequence file, but for the rest pelvis of the gender."""
    content = load_pickle(pkl(root))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    intrinsics = np.asarray(content["cam_intrinsics"])
    for frame, extrinsics in enumerate(np.asarray(content["cam_poses"])):
        rotation, shift = extrinsics[:3, :3], extrinsics[:3, 3]
        images.append(
            {
                "id": 100 + frame, "file_name": f"image_{frame:05d}.jpg", "sequence": SEQUENCE, "frame_idx": frame,
                "width": 320, "height": 240,
                "cam_param": {
                    "focal": intrinsics[[0, 1], [0, 1]].tolist(), "princpt": intrinsics[:2, 2].tolist(),
                    "R": rotation.tolist(), "t": shift.tolist(),
                },
            }
        )  # fmt: skip
        for person in range(2):
            if not content["campose_valid"][person][frame]:
                continue
            joints = np.asarray(content["jointPositions"][person][frame]).reshape(24, 3)
            seen = joints @ rotation.T + shift
            points = seen[:, :2] / seen[:, 2:] * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
            low, high = points.min(0), points.max(0)
            pose = np.asarray(content["poses"][person][frame])
            root_pose = Rotation.from_matrix(rotation) * Rotation.from_rotvec(pose[:3])
            pelvis = joints[0] - np.asarray(content["trans"][person][frame])
            annotations.append(
                {
                    "id": len(annotations), "image_id": 100 + frame, "person_id": person,
                    "bbox": [*((low + high) / 2 - (high - low) * 0.6), *((high - low) * 1.2)],
                    "joint_cam": seen.tolist(), "joint_img": points.tolist(),
                    "openpose_result": np.asarray(content["poses2d"][person][frame]).T.tolist(),
                    "smpl_param": {
                        "pose": [*root_pose.as_rotvec(), *pose[3:]],
                        "shape": np.asarray(content["betas"][person])[:10].tolist(),
                        "trans": (seen[0] - pelvis).tolist(),
                        "gender": {"m": "male", "f": "female"}[content["genders"][person]],
                    },
                }
            )  # fmt: skip
    return {"images": images, "annotations": annotations}


def put(root: Path, content: dict[str, Any], name: str = "3DPW_test.json", keep_pkl: bool = False) -> Path:
    if not keep_pkl:
        shutil.rmtree(root / "sequenceFiles", ignore_errors=True)
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(content))
    return root / name


def test_every_column_of_the_sequence_files(threedpw_root: Path) -> None:
    table = table_of(threedpw_root, "all")
    assert table.ids() == [f"threedpw/test/{SEQUENCE}/{frame}/{person}" for person in range(2) for frame in range(5)]
    content = load_pickle(pkl(threedpw_root))
    for row in range(10):
        person, frame = divmod(row, 5)
        assert (table.column("person")[row], table.column("frame")[row]) == (person, frame)
        assert table.column("sequence")[row].decode() == SEQUENCE
        assert table.column("image")[row].decode() == f"{SEQUENCE}/image_{frame:05d}.jpg"
        gender = GENDERS[int(table.column("gender")[row])]
        assert gender == ("male", "female")[person]
        # The body in the camera's frame is the world's body, seen by that camera.
        pose, trans = content["poses"][person][frame], content["trans"][person][frame]
        world = vertices(gender, pose[:3], pose[3:], content["betas"][person][:10], trans)
        extrinsics = content["cam_poses"][frame]
        seen = world @ extrinsics[:3, :3].T + extrinsics[:3, 3]
        columns = [table.column(name)[row] for name in ("global_orient", "body_pose", "betas", "transl")]
        np.testing.assert_allclose(vertices(gender, *columns), seen, atol=2e-5)
        np.testing.assert_allclose(table.column("camera_rotation")[row], extrinsics[:3, :3], atol=1e-6)
        np.testing.assert_allclose(table.column("camera_translation")[row], extrinsics[:3, 3], atol=1e-6)
        joints = content["jointPositions"][person][frame].reshape(24, 3) @ extrinsics[:3, :3].T + extrinsics[:3, 3]
        np.testing.assert_allclose(table.column("joints_3d")[row], np.column_stack((joints, np.ones(24))), atol=1e-5)
        points = joints[:, :2] / joints[:, 2:] * [300, 310] + [160, 120]
        np.testing.assert_allclose(table.column("joints_2d")[row], np.column_stack((points, np.ones(24))), atol=1e-3)
        low, high = points.min(0), points.max(0)
        box = [*((low + high) / 2 - (high - low) * 0.6), *((high - low) * 1.2)]
        np.testing.assert_allclose(table.column("box")[row], box, atol=1e-3)
    assert (table.column("focal") == [300, 310]).all()
    assert (table.column("princpt") == [160, 120]).all()
    assert (table.column("image_size") == [320, 240]).all()


def test_protocols_choose_their_frames(threedpw_root: Path) -> None:
    tables = {name: table_of(threedpw_root, name) for name in ("all", "lsp14", "smpl24")}
    assert {name: len(table) for name, table in tables.items()} == {"all": 10, "lsp14": 8, "smpl24": 6}
    assert tables["smpl24"].dropped == {"campose_valid = 0": 2, "has_poses2d = 0": 2}


@pytest.mark.parametrize("name", ["3DPW_test.json", "data/3DPW_test.json", "data/3DPW_latest_test.json"])
@pytest.mark.parametrize("given", ["folder", "file"])
def test_the_parsed_json_gives_the_same_people(threedpw_root: Path, name: str, given: str) -> None:
    official = table_of(threedpw_root)
    path = put(threedpw_root, parsed(threedpw_root), name)
    table = table_of(threedpw_root if given == "folder" else path)
    assert sorted(table.ids()) == sorted(official.ids())
    official = official.select(np.array([official.ids().index(person) for person in table.ids()]))
    assert set(table.columns) == set(official.columns)
    for column in table.columns:
        values, expected = table.column(column), official.column(column)
        if values.dtype.kind == "S":
            np.testing.assert_array_equal(values, expected)
        else:
            np.testing.assert_allclose(values, expected, atol=2e-3 if column in ("box", "joints_2d") else 1e-5)
    assert not table.missing_images()[0].any()
    assert len(table_of(threedpw_root if given == "folder" else path, "smpl24")) == 6
    # The json does not hold frames without a valid camera pose.
    assert len(table_of(threedpw_root if given == "folder" else path, "all")) == 8


def test_a_json_without_person_frame_and_extrinsics(threedpw_root: Path) -> None:
    official = table_of(threedpw_root)
    content = parsed(threedpw_root)
    for image in content["images"]:
        del image["frame_idx"], image["cam_param"]["R"]
    for person in content["annotations"]:
        del person["person_id"], person["openpose_result"]
        person["smpl_joint_cam"] = np.ravel(person.pop("joint_cam")).tolist()
        person["smpl_param"]["trans"] = [person["smpl_param"]["trans"]]
    put(threedpw_root, content)
    table = table_of(threedpw_root)
    assert sorted(table.ids()) == sorted(official.ids())
    assert not table.has("camera_rotation")
    assert not table.has("has_poses2d")
    with pytest.raises(AnnotationError, match=r"does not hold has_poses2d, by which smpl24 .*use sequenceFiles"):
        table_of(threedpw_root, "smpl24")


def test_people_without_number_are_told_apart_by_shape(threedpw_root: Path) -> None:
    content = parsed(threedpw_root)
    for person in content["annotations"]:
        del person["person_id"]
    # In frame 2 only the second person is left: she stays number 1.
    content["annotations"] = [p for p in content["annotations"] if p["id"] != 4]
    put(threedpw_root, content)
    table = table_of(threedpw_root)
    female = table.column("gender") == GENDERS.index("female")
    np.testing.assert_array_equal(table.column("person"), female)


def test_sequence_files_go_first(threedpw_root: Path) -> None:
    put(threedpw_root, {"images": [], "annotations": []}, keep_pkl=True)
    assert len(table_of(threedpw_root)) == 8


PEOPLE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "zero-size box": (lambda p: p.update(bbox=[10, 10, 0, 5]), "box has no area inside the image"),
    "box outside the image": (lambda p: p.update(bbox=[900, 10, 50, 50]), "box has no area inside the image"),
    "NaN joint": (lambda p: p["joint_cam"][3].__setitem__(0, float("nan")), "joints_2d is not finite"),
    "NaN pose": (lambda p: p["smpl_param"]["pose"].__setitem__(0, float("nan")), "global_orient is not finite"),
    "behind the camera": (lambda p: p["joint_cam"][3].__setitem__(2, -1.0), "behind the camera"),
    "unlisted image": (lambda p: p.update(image_id=77), "image is not listed in the file"),
    "duplicate person": (lambda p: p.update(person_id=0), "id occurs twice"),
}


@pytest.mark.parametrize(("change", "reason"), PEOPLE.values(), ids=PEOPLE.keys())
def test_bad_people_of_the_json_are_counted(
    threedpw_root: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    content = parsed(threedpw_root)
    change(content["annotations"][1])
    put(threedpw_root, content)
    table = table_of(threedpw_root)
    assert table.dropped == {reason: 1}
    assert len(table) == 7


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "23 joints": (lambda c: c["annotations"][1]["joint_cam"].pop(), r"joint_cam of annotation 1 is not numbers"),
    "joints of text": (lambda c: c["annotations"][1].update(joint_cam="near"), "joint_cam of annotation 1 is not"),
    "millimetres": (
        lambda c: c["annotations"][1].update(joint_cam=(np.array(c["annotations"][1]["joint_cam"]) * 1000).tolist()),
        "annotation 1 is not in metres",
    ),
    "no joints": (lambda c: c["annotations"][1].pop("joint_cam"), "annotation 1 has none of joint_cam"),
    "no SMPL": (lambda c: c["annotations"][1].pop("smpl_param"), "annotation 1 has no smpl_param"),
    "pose of 69": (lambda c: c["annotations"][1]["smpl_param"].update(pose=[0] * 69), "pose in smpl_param of annotat"),
    "shape of 9": (lambda c: c["annotations"][1]["smpl_param"].update(shape=[0] * 9), "shape in smpl_param of annota"),
    "gender": (lambda c: c["annotations"][1]["smpl_param"].update(gender=["m"]), "annotation 1 has gender"),
    "person": (lambda c: c["annotations"][1].update(person_id="0"), "annotation 1 has person_id '0'"),
    "no camera": (lambda c: c["images"][1].pop("cam_param"), "image 101 has no cam_param"),
    "focal": (lambda c: c["images"][1]["cam_param"].update(focal=[1]), "focal in cam_param of image 101"),
    "sequence": (lambda c: c["images"][1].update(sequence=5), "image 101 has sequence 5"),
    "frame": (lambda c: c["images"][1].update(frame_idx=None, file_name="x.jpg"), "image 101 .* has no frame_idx"),
    "another data set": (lambda c: [image.pop("sequence") for image in c["images"]], "image 100 has no sequence"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_of_the_json_name_file_and_record(
    threedpw_root: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    content = parsed(threedpw_root)
    change(content)
    put(threedpw_root, content)
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(threedpw_root)
    assert "3DPW_test.json" in str(caught.value)


def test_truncated_json_is_named(threedpw_root: Path) -> None:
    path = put(threedpw_root, parsed(threedpw_root))
    path.write_text(path.read_text()[:1000])
    with pytest.raises(AnnotationError, match=r"3DPW_test\.json is not valid JSON"):
        table_of(threedpw_root)


BAD_PKL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda _: [1, 2],
    "no cameras": lambda c: {key: value for key, value in c.items() if key != "cam_poses"},
    "wrong gender": lambda c: {**c, "genders": ["m", "x"]},
    "frames of the poses": lambda c: {**c, "poses": [c["poses"][0], c["poses"][1][:4]]},
    "joints of 23": lambda c: {**c, "jointPositions": [joints[:, :69] for joints in c["jointPositions"]]},
    "few betas": lambda c: {**c, "betas": [np.zeros(5)] * 2},
    "cameras of text": lambda c: {**c, "cam_poses": "none"},
    "cameras of zeros": lambda c: {**c, "cam_poses": np.zeros((5, 4, 4))},
}


@pytest.mark.parametrize("change", BAD_PKL.values(), ids=BAD_PKL.keys())
def test_wrong_sequence_files_are_named(threedpw_root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = pickle.loads(pkl(threedpw_root).read_bytes())
    pkl(threedpw_root).write_bytes(pickle.dumps(change(content), protocol=2))
    with pytest.raises(AnnotationError, match=f"{SEQUENCE}.pkl is not a 3DPW sequence file"):
        table_of(threedpw_root)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_poses_that_are_not_finite_are_counted(threedpw_root: Path, value: float) -> None:
    content = load_pickle(pkl(threedpw_root))
    content["poses"][1][2, 0] = value
    pkl(threedpw_root).write_bytes(pickle.dumps(content, protocol=2))
    assert table_of(threedpw_root, "all").dropped == {"global_orient is not finite": 1}


def test_nan_joints_of_a_sequence_file_are_counted(threedpw_root: Path) -> None:
    content = pickle.loads(pkl(threedpw_root).read_bytes())
    content["jointPositions"][1][2, 5] = np.nan
    pkl(threedpw_root).write_bytes(pickle.dumps(content, protocol=2))
    table = table_of(threedpw_root, "all")
    assert len(table) == 9
    assert table.dropped == {"box is not finite": 1}


def test_missing_frames_are_named_and_the_first_one_there_gives_the_size(threedpw_root: Path) -> None:
    folder = threedpw_root / "imageFiles" / SEQUENCE
    for frame in (0, 3):
        (folder / f"image_{frame:05d}.jpg").unlink()
    table = table_of(threedpw_root)
    assert (table.column("image_size") == [320, 240]).all()
    assert table.missing_images()[1] == [folder / "image_00000.jpg", folder / "image_00003.jpg"]


def test_all_sequences_without_images_are_named_at_once(threedpw_root: Path) -> None:
    shutil.copy(pkl(threedpw_root), pkl(threedpw_root).with_name("run_test_00.pkl"))
    shutil.rmtree(threedpw_root / "imageFiles")
    with pytest.raises(MissingFilesError, match=r"2 missing:\n.*run_test_00.*\n.*walk_test_00.*Get sequenceFiles.zip"):
        table_of(threedpw_root)


def test_files_of_macos_are_passed_over(threedpw_root: Path) -> None:
    ids = table_of(threedpw_root).ids()
    pkl(threedpw_root).with_name(f"._{SEQUENCE}.pkl").write_bytes(b"\x00\x05\x16\x07")
    (threedpw_root / "imageFiles" / SEQUENCE / "._image_00000.jpg").write_bytes(b"\x00\x05\x16\x07")
    pkl(threedpw_root).touch()  # a new table
    table = table_of(threedpw_root)
    assert table.ids() == ids
    assert table.notes == [f"1 files ._* of macOS in {threedpw_root}/sequenceFiles/test are passed over"]


def test_truncated_first_image_is_named(threedpw_root: Path) -> None:
    (threedpw_root / "imageFiles" / SEQUENCE / "image_00000.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises((MissingFilesError, ImageError), match=r"image_00000\.jpg cannot be read"):
        table_of(threedpw_root)


def test_order_does_not_depend_on_the_directory(threedpw_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = pkl(threedpw_root).with_name("run_test_00.pkl")
    shutil.copy(pkl(threedpw_root), second)
    shutil.copytree(threedpw_root / "imageFiles" / SEQUENCE, threedpw_root / "imageFiles/run_test_00")
    ids = table_of(threedpw_root).ids()
    assert ids[0].startswith("threedpw/test/run_test_00/")
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(sorted(glob(self, pattern), reverse=True)))
    assert open_threedpw(str(threedpw_root), "test", str(threedpw_root / "cache2")).ids() == ids


def test_sequence_names_that_are_not_utf8(threedpw_root: Path) -> None:
    name = os.fsdecode(b"stra\xdfe_00")
    pkl(threedpw_root).rename(pkl(threedpw_root).with_name(f"{name}.pkl"))
    (threedpw_root / "imageFiles" / SEQUENCE).rename(threedpw_root / "imageFiles" / name)
    table = table_of(threedpw_root)
    assert table.column("image")[0] == b"stra\xdfe_00/image_00000.jpg"
    assert not table.missing_images()[0].any()


def test_nothing_there_and_no_such_split(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"looked for .*sequenceFiles/test/\*\.pkl and .*3DPW_test.json"):
        table_of(tmp_path)
    with pytest.raises(AnnotationError, match="'val' is not one of train, validation, test"):
        open_threedpw(str(tmp_path), "val", str(tmp_path))
