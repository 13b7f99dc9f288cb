"""Every reader against the numbers that were written into its official layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from scipy.spatial.transform import Rotation

from body_models.contracts import GENDERS
from body_models.safe_pickle import load_pickle
from body_models.smpl import BodyModel
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.sources.amass import open_amass
from datamodules.sources.coco import open_coco
from datamodules.sources.mpi_inf_3dhp import open_mpi_inf_3dhp
from datamodules.sources.mpii import open_mpii
from datamodules.sources.threedpw import open_threedpw

MINI = Path(__file__).parents[4] / "shared" / "samples" / "coco_mini"


def test_coco_keeps_people_without_keypoints_and_counts_crowds(coco_root: Path, tmp_path: Path) -> None:
    table = open_coco(str(coco_root), "train", str(tmp_path / "cache"))
    assert table.ids() == [f"coco/train/{number}" for number in range(1000, 1012)]
    assert table.dropped == {"crowd, not one person": 1}
    assert table.labelled_joints()[3] == 0
    content = json.loads((coco_root / "annotations/person_keypoints_train2017.json").read_text())
    written = np.array(content["annotations"][5]["keypoints"]).reshape(17, 3)
    np.testing.assert_allclose(table.column("joints_2d")[5][:, :2], written[:, :2], rtol=1e-6)
    np.testing.assert_array_equal(table.column("joints_2d")[5][:, 2], written[:, 2] > 0)
    np.testing.assert_allclose(table.column("box")[5], content["annotations"][5]["bbox"], rtol=1e-6)
    assert not table.missing_images()[0].any()


@pytest.mark.skipif(not MINI.is_dir(), reason="real samples are not here")
def test_real_coco_sample(tmp_path: Path) -> None:
    table = open_coco(str(MINI), "val", str(tmp_path))
    assert len(table) == 6
    assert not table.missing_images()[0].any()
    assert table.labelled_joints()[table.ids().index("coco/val/508900")] == 0


def test_coco_counts_bad_people_by_reason(coco_root: Path, tmp_path: Path) -> None:
    path = coco_root / "annotations/person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    people = content["annotations"]
    people[0]["bbox"] = [10, 10, 0, 5]
    people[1]["bbox"] = [900, 10, 50, 50]
    people[2]["keypoints"][0] = float("nan")
    people[4]["image_id"] = 77
    people[5]["id"] = 1006
    people[7]["category_id"] = 18
    path.write_text(json.dumps(content))
    table = open_coco(str(coco_root), "train", str(tmp_path / "cache"))
    assert table.dropped == {
        "crowd, not one person": 1,
        "box has no area inside the image": 2,
        "joints_2d is not finite": 1,
        "image is not listed in the file": 1,
        "id occurs twice": 1,
        "not a person": 1,
    }
    assert len(table) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [', "not valid JSON"),
        ('{"a": 1}', "not a COCO-style json"),
        ('{"images": [{"id": 1}], "annotations": []}', "has no file_name"),
        ('{"images": [], "annotations": []}', "no person left"),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}], "annotations": '
            '[{"id": 7, "image_id": 1, "bbox": [0, 0, 5, 5], "keypoints": [1, 2, 3]}]}',
            "annotation 7 has 3 keypoint values, expected 51",
        ),
    ],
)
def test_wrong_coco_files_name_file_and_record(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "person_keypoints_train2017.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        open_coco(str(tmp_path), "train", str(tmp_path / "cache"))


def test_mpii_ids_and_pixels_follow_the_published_json(mpii_root: Path, tmp_path: Path) -> None:
    table = open_mpii(str(mpii_root), "train", str(tmp_path / "cache"))
    assert table.ids() == ["mpii/train/0", "mpii/train/1", "mpii/train/2", "mpii/train/3"]
    assert [name.decode() for name in table.column("image")] == [f"images/{i:09d}.jpg" for i in (0, 0, 1, 5)]
    assert table.dropped == {"joint hull within one pixel": 1}
    release = loadmat(mpii_root / "mpii_human_pose_v1_u12_1.mat", struct_as_record=False, squeeze_me=True)["RELEASE"]
    points = release.annolist[0].annorect[0].annopoints.point
    written = np.array([[p.x, p.y] for p in points])
    np.testing.assert_allclose(table.column("joints_2d")[0][:, :2], written - 1, atol=1e-4)
    low, high = written.min(0), written.max(0)
    size = (high - low - 1) * 1.2
    np.testing.assert_allclose(table.column("box")[0], [*((low + high) / 2 - size / 2 - 1), *size], atol=1e-4)
    assert table.labelled_joints().tolist() == [16, 6, 16, 16]


def test_mpii_json_gives_the_same_people_as_the_mat(mpii_root: Path, tmp_path: Path) -> None:
    from_mat = open_mpii(str(mpii_root), "train", str(tmp_path / "cache"))
    images, annotations = {}, []
    for row, person in enumerate(from_mat.ids()):
        name = from_mat.column("image")[row].decode()
        images.setdefault(name, {"id": len(images), "file_name": name, "width": 320, "height": 240})
        joints = from_mat.column("joints_2d")[row].astype(float)
        joints[:, :2] += (joints[:, 2:] > 0) * 1.0
        box = from_mat.column("box")[row].astype(float) + np.array([1, 1, 0, 0])
        record = {"id": int(person.split("/")[-1]), "image_id": [*images].index(name), "bbox": box.tolist()}
        annotations.append({**record, "keypoints": joints.ravel().tolist()})
    path = mpii_root / "annotations" / "train.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"images": list(images.values()), "annotations": annotations}))
    (mpii_root / "mpii_human_pose_v1_u12_1.mat").unlink()
    from_json = open_mpii(str(mpii_root), "train", str(tmp_path / "cache"))
    assert from_json.ids() == from_mat.ids()
    for name in ("joints_2d", "box", "image_size"):
        np.testing.assert_allclose(from_json.column(name), from_mat.column(name), atol=1e-4)


def test_mpi_inf_3dhp_is_in_metres_and_projects_onto_its_2d_joints(mpi_inf_3dhp_root: Path, tmp_path: Path) -> None:
    table = open_mpi_inf_3dhp(str(mpi_inf_3dhp_root), "train", str(tmp_path / "cache"))
    assert table.ids()[:5] == [f"mpi_inf_3dhp/train/S1/Seq1/{k}" for k in ("0/0", "1/0", "2/0", "3/0", "0/2")]
    assert len(table) == 7
    assert table.dropped == {"frame not on disk": 1, "no frames and no video of this camera": 24}
    joints = table.column("joints_3d")[..., :3]
    assert 2 < joints[..., 2].mean() < 4
    focal, princpt = table.column("focal")[:, None], table.column("princpt")[:, None]
    projected = joints[..., :2] / joints[..., 2:] * focal + princpt
    np.testing.assert_allclose(projected, table.column("joints_2d")[..., :2], atol=1e-2)
    np.testing.assert_allclose(table.column("camera_translation")[0], [0.1, 0.2, 3.0], atol=1e-6)
    assert not table.missing_images()[0].any()


def test_frames_extracted_later_make_a_new_table(mpi_inf_3dhp_root: Path, tmp_path: Path) -> None:
    assert len(open_mpi_inf_3dhp(str(mpi_inf_3dhp_root), "train", str(tmp_path / "cache"))) == 7
    frames = mpi_inf_3dhp_root / "S1/Seq1/imageSequence/video_2"
    shutil.copy(frames / "frame_000003.jpg", frames / "frame_000004.jpg")
    assert len(open_mpi_inf_3dhp(str(mpi_inf_3dhp_root), "train", str(tmp_path / "cache"))) == 8


def test_threedpw_bodies_in_the_camera_are_the_worlds_bodies_seen_by_it(threedpw_root: Path, tmp_path: Path) -> None:
    table = open_threedpw(str(threedpw_root), "validation", str(tmp_path / "cache"), frames="all")
    assert len(table) == 10
    assert table.ids()[0] == "threedpw/validation/walk_validation_00/0/0"
    content = load_pickle(threedpw_root / "sequenceFiles/validation/walk_validation_00.pkl")
    for row in (2, 7):
        person, frame = int(table.column("person")[row]), int(table.column("frame")[row])
        gender = GENDERS[int(table.column("gender")[row])]
        assert gender == ("male", "female")[person]
        body = BodyModel("standin", gender)

        def vertices(orient: np.ndarray, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> np.ndarray:
            aa = np.concatenate((orient, pose)).reshape(24, 3)
            rotations = torch.from_numpy(Rotation.from_rotvec(aa).as_matrix())[None]
            shape, place = torch.tensor(betas)[None], torch.tensor(transl)[None]
            return body(rotations[:, 0], rotations[:, 1:], shape, place).vertices[0].numpy()  # noqa: B023

        pose, trans = content["poses"][person][frame], content["trans"][person][frame]
        world = vertices(pose[:3], pose[3:], content["betas"][person][:10], trans)
        extrinsics = content["cam_poses"][frame]
        seen = world @ extrinsics[:3, :3].T + extrinsics[:3, 3]
        columns = [table.column(name)[row] for name in ("global_orient", "body_pose", "betas", "transl")]
        np.testing.assert_allclose(vertices(*columns), seen, atol=2e-5)


def test_threedpw_protocols_choose_their_frames(threedpw_root: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    tables = {name: open_threedpw(str(threedpw_root), "test", cache, name) for name in ("all", "lsp14", "smpl24")}
    assert {name: len(table) for name, table in tables.items()} == {"all": 10, "lsp14": 8, "smpl24": 6}
    assert tables["smpl24"].dropped == {"campose_valid = 0": 2, "has_poses2d = 0": 2}


def test_amass_layouts_and_frame_rates(amass_root: Path, tmp_path: Path) -> None:
    poses, sequence = open_amass(str(amass_root), str(tmp_path / "cache"), fps=10)
    assert poses.shape == (4 * 20 + 40, 21, 3)
    assert np.bincount(sequence).tolist() == [20, 20, 20, 20, 40]
    written = np.load(amass_root / "CMU/04/walk_stageii.npz")["poses"]
    np.testing.assert_allclose(poses[sequence == 4][1], written[6, 3:66].reshape(21, 3), rtol=1e-6)


def test_missing_files_are_named_with_their_remedy(tmp_path: Path) -> None:
    for opener in (open_coco, open_mpii, open_mpi_inf_3dhp, open_threedpw):
        with pytest.raises(MissingFilesError, match=r"looked for .*Get "):
            opener(str(tmp_path), "train", str(tmp_path / "cache"))
    with pytest.raises(MissingFilesError, match=r"looked for .*Get "):
        open_amass(str(tmp_path), str(tmp_path / "cache"))


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_truncated_files_are_named(
    keep: int, mpii_root: Path, mpi_inf_3dhp_root: Path, threedpw_root: Path, amass_root: Path, tmp_path: Path
) -> None:
    cases = [
        (mpii_root / "mpii_human_pose_v1_u12_1.mat", lambda: open_mpii(str(mpii_root), "train", cache)),
        (mpi_inf_3dhp_root / "S1/Seq1/annot.mat", lambda: open_mpi_inf_3dhp(str(mpi_inf_3dhp_root), "train", cache)),
        (
            threedpw_root / "sequenceFiles/test/walk_test_00.pkl",
            lambda: open_threedpw(str(threedpw_root), "test", cache),
        ),
        (amass_root / "CMU/00/walk_poses.npz", lambda: open_amass(str(amass_root), cache)),
    ]
    cache = str(tmp_path / "cache")
    for path, opener in cases:
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ValueError, match=path.name):
            opener()
