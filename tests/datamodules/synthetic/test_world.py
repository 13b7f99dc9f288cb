"""The synthetic world: official layouts, and files that agree with the true bodies."""

import dataclasses
import hashlib
import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import loadmat

from body_models.contracts import GENDERS
from body_models.joint_limits import degrees_outside
from body_models.joint_sets import COCO17, MPI_INF_3DHP28, MPII16
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from body_models.spec import SMPL
from datamodules.synthetic.cameras import draw_yaw
from datamodules.synthetic.in_the_wild import make_photos
from datamodules.synthetic.world import (
    WORLD_SIZES,
    SynthesisError,
    WorldSettings,
    distance_table,
    make_world,
    read_world,
)

SMALL = WorldSettings(
    seed=3, coco=66, mpii=8, mpi_inf_3dhp=24, threedpw_train=12, threedpw_validation=4, threedpw_test=20, amass=40
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    calls = []
    folder = make_world(tmp_path_factory.mktemp("data") / "world", SMALL, 0, lambda *counts: calls.append(counts))
    assert calls[-1][0] == calls[-1][1] == len(calls)
    return folder


@pytest.fixture(scope="module")
def bodies() -> dict[str, BodyModel]:
    return {gender: BodyModel("free", gender) for gender in GENDERS}


def rotations(axis_angle: np.ndarray) -> torch.Tensor:
    """(N, 3 K) -> (N, K, 3, 3)."""
    return axis_angle_to_matrix(torch.as_tensor(axis_angle, dtype=torch.float32).unflatten(-1, (-1, 3)))


def true_joints(body: BodyModel, truth: np.lib.npyio.NpzFile) -> tuple[np.ndarray, np.ndarray]:
    """(N, J, 2) pixels and (N, J, 3) metres of the bodies of a truth file."""
    joints = body.joints(
        rotations(truth["global_orient"])[:, 0],
        rotations(truth["body_pose"]),
        torch.tensor(truth["betas"]).float(),
        torch.tensor(truth["transl"]).float(),
    ).numpy()
    return joints[..., :2] / joints[..., 2:] * truth["focal"][:, None] + truth["princpt"][:, None], joints


def test_coco_keypoints_are_the_projected_true_bodies(world: Path, bodies: dict[str, BodyModel]) -> None:
    content = json.loads((world / "coco/annotations/person_keypoints_train2017.json").read_text())
    images = {image["id"]: image for image in content["images"]}
    assert len(content["annotations"]) == SMALL.coco
    truth = np.load(world / "truth/coco_train.npz")
    assert truth["id"].tolist() == [f"coco/train/{annotation['id']}" for annotation in content["annotations"]]
    points, _ = true_joints(bodies["neutral"], truth)
    seen = set()
    for annotation, expected in zip(content["annotations"], points[:, SMPL.rows(COCO17)], strict=True):
        image = images[annotation["image_id"]]
        joints = np.reshape(annotation["keypoints"], (17, 3))
        labelled = joints[:, 2] > 0
        assert annotation["num_keypoints"] == labelled.sum()
        np.testing.assert_allclose(joints[labelled, :2], expected[labelled], atol=0.02)
        inside = ((expected >= 0) & (expected < [image["width"], image["height"]])).all(1)
        assert not (labelled & ~inside).any()
        seen |= set(joints[:, 2])
        x, y, w, h = annotation["bbox"]
        assert x >= 0 and y >= 0 and w > 5 and h > 5
        assert x + w <= image["width"] and y + h <= image["height"]
        # Seen joints lie in the body, so within the box of what is seen.
        visible = joints[joints[:, 2] == 2, :2]
        assert ((visible >= [x - 1, y - 1]) & (visible <= [x + w + 1, y + h + 1])).all()
    assert seen == {0, 1, 2}
    for image in content["images"]:
        pixels = cv2.imread(str(world / "coco/train2017" / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)


def test_mpii_is_in_the_official_layout_and_counts_pixels_from_one(world: Path, bodies: dict[str, BodyModel]) -> None:
    release = loadmat(world / "mpii/mpii_human_pose_v1_u12_1.mat", struct_as_record=False, squeeze_me=True)["RELEASE"]
    images = np.atleast_1d(release.annolist)
    assert np.all(release.img_train == 1)
    truth = np.load(world / "truth/mpii_train.npz")
    expected, _ = true_joints(bodies["neutral"], truth)
    counter = 0
    for image in images:
        assert (world / "mpii/images" / image.image.name).is_file()
        for person in np.atleast_1d(image.annorect):
            for point in np.atleast_1d(person.annopoints.point):
                place = expected[counter, SMPL.rows(MPII16)[point.id]] + 1
                np.testing.assert_allclose([point.x, point.y], place, atol=0.02)
            counter += 1
    assert counter == SMALL.mpii == len(truth["id"])
    assert truth["id"].tolist() == [f"mpii/train/{i}" for i in range(counter)]


def test_mpi_inf_3dhp_cameras_map_one_world_to_all_views(world: Path) -> None:
    folder = world / "mpi_inf_3dhp/S1/Seq1"
    content = loadmat(folder / "annot.mat")
    lines = [line.split() for line in (folder / "camera.calibration").read_text().splitlines()]
    intrinsics = [np.array(line[1:], dtype=float).reshape(4, 4) for line in lines if line[0] == "intrinsic"]
    extrinsics = [np.array(line[1:], dtype=float).reshape(4, 4) for line in lines if line[0] == "extrinsic"]
    assert len(intrinsics) == len(extrinsics) == 14
    frames = SMALL.mpi_inf_3dhp // 8
    worlds = []
    for number in range(14):
        joints = content["annot3"][number, 0].reshape(frames, 28, 3)
        points = content["annot2"][number, 0].reshape(frames, 28, 2)
        projected = np.einsum("ij,fkj->fki", intrinsics[number][:3, :3], joints)
        np.testing.assert_allclose(projected[..., :2] / projected[..., 2:], points, atol=1e-3)
        homogeneous = np.concatenate([joints, np.ones((frames, 28, 1))], axis=-1)
        worlds.append(homogeneous @ np.linalg.inv(extrinsics[number]).T)
        ratio = content["univ_annot3"][number, 0] / content["annot3"][number, 0]
        np.testing.assert_allclose(ratio, ratio[0, 0])
        assert 0.7 < ratio[0, 0] < 1.4
    np.testing.assert_allclose(worlds, np.broadcast_to(worlds[0], np.shape(worlds)), atol=1e-3)
    names = MPI_INF_3DHP28.names
    height = worlds[0][:, names.index("head_top"), 1] - worlds[0][:, names.index("left_foot"), 1]
    assert height.max() > 900  # millimetres, y up
    pictures = sorted((folder / "imageSequence").glob("video_*/frame_*.jpg"))
    assert len(pictures) == SMALL.mpi_inf_3dhp


@pytest.mark.parametrize(("split", "people"), [("train", 12), ("validation", 4), ("test", 20)])
def test_3dpw_bodies_are_gendered_and_lie_where_the_file_says(
    world: Path, bodies: dict[str, BodyModel], split: str, people: int
) -> None:
    paths = sorted((world / "3dpw/sequenceFiles" / split).glob("*.pkl"))
    count = 0
    for path in paths:
        with path.open("rb") as file:
            content = pickle.load(file, encoding="latin1")
        frames = len(content["cam_poses"])
        for person, gender in enumerate(content["genders"]):
            count += frames
            body = bodies[{"m": "male", "f": "female"}[gender]]
            poses = rotations(content["poses"][person])
            betas = torch.tensor(content["betas"][person]).float().expand(frames, -1)
            transl = torch.tensor(content["trans"][person]).float()
            joints = body.joints(poses[:, 0], poses[:, 1:], betas, transl).numpy()
            np.testing.assert_allclose(content["jointPositions"][person], joints[:, :24].reshape(frames, -1), atol=1e-4)
            assert degrees_outside(poses[:, 1:]).max() < 0.05
            seen = np.einsum("fij,fkj->fki", content["cam_poses"][:, :3, :3], joints)
            seen = (seen + content["cam_poses"][:, None, :3, 3]) @ content["cam_intrinsics"].T
            nose = seen[:, 24, :2] / seen[:, 24, 2:]
            written = content["poses2d"][person]
            assert written.shape == (frames, 3, 18)
            shown = written[:, 2, 0] > 0
            np.testing.assert_allclose(written[shown, :2, 0], nose[shown], atol=0.05)
        for frame in range(frames):
            assert (world / f"3dpw/imageFiles/{path.stem}/image_{frame:05d}.jpg").is_file()
    assert count == people
    assert len(paths) == {"train": 12, "validation": 4, "test": 20}[split]


def test_amass_poses_respect_the_limits(world: Path) -> None:
    paths = sorted((world / "amass").rglob("*_poses.npz"))
    total = 0
    for path in paths:
        with np.load(path) as content:
            poses = content["poses"]
            assert poses.shape[1] == 156
            assert content["mocap_framerate"] == 10
            pose = rotations(np.concatenate([poses[:, 3:66], np.zeros((len(poses), 6))], axis=1))
            assert degrees_outside(pose).max() < 0.05
            total += len(poses)
    assert total == SMALL.amass


def test_true_bodies_respect_the_limits_and_are_nobody_twice(world: Path) -> None:
    shapes = []
    for name in ("coco", "mpii"):
        truth = np.load(world / f"truth/{name}_train.npz")
        assert degrees_outside(rotations(truth["body_pose"])).max() < 0.05
        shapes += truth["betas"].tolist()
    for path in sorted((world / "3dpw/sequenceFiles").rglob("*.pkl")):
        with path.open("rb") as file:
            shapes += [betas.tolist() for betas in pickle.load(file)["betas"]]
    assert len({tuple(shape) for shape in shapes}) == len(shapes)


def test_every_size_keeps_3d_ground_truth_scarce() -> None:
    for settings in WORLD_SIZES.values():
        assert 6 * settings.threedpw_train <= settings.coco + settings.mpii
    with pytest.raises(SynthesisError, match="sixth"):
        WorldSettings(coco=60, mpii=6, threedpw_train=12)
    with pytest.raises(SynthesisError, match="threedpw_test is 5"):
        WorldSettings(threedpw_test=5)


def test_sets_are_compared(world: Path) -> None:
    content = read_world(world)
    assert content["is_free_body"]
    assert content["poses"]["coco"] == SMALL.coco
    names = list(content["distances_mm"])
    assert len(names) == 7
    assert all(content["distances_mm"][a][b] > 10 for a in names for b in names if a != b)
    assert len(distance_table(content).splitlines()) == 9


def digest(folder: Path) -> str:
    """Of all pictures and truth of a world."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*.jpg")):
        state.update(path.read_bytes())
    for path in sorted(folder.rglob("truth/*.npz")):
        with np.load(path) as content:
            for key in sorted(content):
                state.update(content[key].tobytes())
    return state.hexdigest()


def test_any_number_of_processes_makes_the_same_world(world: Path, tmp_path: Path) -> None:
    assert digest(make_world(tmp_path / "other", SMALL, num_workers=2)) == digest(world)


def test_a_finished_world_is_reused_and_another_one_replaced(world: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    folder = Path(shutil.copytree(world, tmp_path / "world"))
    assert make_world(folder, SMALL, 0, lambda *counts: calls.append(counts)) == folder
    assert not calls
    make_world(folder, dataclasses.replace(SMALL, seed=4), 0, lambda *counts: calls.append(counts))
    assert calls
    assert digest(folder) != digest(world)
    assert sorted(tmp_path.iterdir()) == [folder]  # nothing unfinished is left behind


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SynthesisError, match=r"no world\.json"):
        make_world(tmp_path, SMALL, 0)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_people_mostly_face_the_camera_but_are_seen_from_all_sides() -> None:
    yaw = draw_yaw(np.random.default_rng(0), 2000, WorldSettings().frontal)
    towards = np.cos(yaw)
    assert 0.7 < (towards > 0).mean() < 0.9
    assert (towards < -0.9).mean() > 0.02
    assert abs(np.sin(yaw).mean()) < 0.05


def test_the_share_of_pictures_from_the_front_is_a_setting(tmp_path: Path) -> None:
    def backs(frontal: float) -> float:
        """Share of the people who look away from the camera, by their true bodies."""
        photos = make_photos(tmp_path, "coco", seed=0, chunk=0, count=48, body_models="free", frontal=frontal)
        turned = torch.tensor(np.stack([person.truth["global_orient"] for photo in photos for person in photo.people]))
        return float((axis_angle_to_matrix(turned.float().reshape(-1, 3))[:, 2, 2] > 0).float().mean())

    (tmp_path / "coco/train2017").mkdir(parents=True)
    assert backs(1.0) < 0.2
    assert backs(0.0) > 0.3
    with pytest.raises(SynthesisError, match=r"frontal is 1\.5"):
        WorldSettings(frontal=1.5)
