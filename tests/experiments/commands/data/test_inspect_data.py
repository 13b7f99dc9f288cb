"""The command inspect: the json against an independent computation, the picture, and what goes wrong."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from body_models.joint_sets import COCO17
from datamodules.pseudo_gt.native import LabelWriter
from experiments.cli import run_command
from experiments.commands.data import inspect_data
from experiments.pictures.crop_grid import CAPTION, TILE, spread

WIDTH, HEIGHT = 320, 240


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """5 people and a crowd on 3 images, in the official layout of COCO; person 13 has no joints."""
    rng, folder = np.random.default_rng(0), tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    (folder / "train2017").mkdir()
    images, annotations = [], []
    for i in range(3):
        images.append({"id": i, "file_name": f"{i:012d}.jpg", "width": WIDTH, "height": HEIGHT})
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "train2017" / f"{i:012d}.jpg"), picture)
        for k in range(2):
            number = 10 + 2 * i + k
            box = [*rng.uniform(0, 60, 2), *rng.uniform(80, 250, 2)]
            visible = rng.integers(0, 3, 17) * (number != 13)
            points = rng.uniform(0, HEIGHT, (17, 2))
            keypoints = np.column_stack([points * (visible > 0)[:, None], visible]).ravel().tolist()
            record = {"id": number, "image_id": i, "category_id": 1, "bbox": box, "keypoints": keypoints}
            annotations.append({**record, "iscrowd": int(number == 15), "num_keypoints": int((visible > 0).sum())})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations" / "person_keypoints_train2017.json").write_text(json.dumps(content))
    return folder


def look(tmp_path: Path, *arguments: object) -> dict:
    """What the command writes."""
    path = tmp_path / "out" / "people.json"
    assert (
        run_command(inspect_data.main, [*map(str, arguments), "--json", str(path), "--cache", str(tmp_path / "c")]) == 0
    )
    return json.loads(path.read_text())


def expected(annotation: dict) -> tuple[list[float], list[list[float]], dict[str, list[float]]]:
    """Box, affine and joints of an annotation, by the rules of the annotator's published code."""
    x, y, w, h = annotation["bbox"]
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(WIDTH - 1, x1 + max(0, w - 1)), min(HEIGHT - 1, y1 + max(0, h - 1))
    side = 1.25 * max(x2 - x1, y2 - y1)
    left, top = (x1 + x2) / 2 - side / 2, (y1 + y2) / 2 - side / 2
    s = 256 / side
    joints = {
        name: [s * (px - left), s * (py - top), 1.0] if v else [0.0, 0.0, 0.0]
        for name, (px, py, v) in zip(COCO17.names, np.reshape(annotation["keypoints"], (17, 3)), strict=True)
    }
    return [left, top, side, side], [[s, 0, -s * left], [0, s, -s * top]], joints


def test_json_is_what_an_independent_computation_gives(root: Path, tmp_path: Path) -> None:
    found = look(tmp_path, "coco", root)
    assert (found["source"], found["split"], found["kept"]) == ("coco", "train", 5)
    assert list(found["dropped"].values()) == [1] and "crowd" in next(iter(found["dropped"]))
    annotations = json.loads((root / "annotations" / "person_keypoints_train2017.json").read_text())["annotations"]
    people = {person["id"]: person for person in found["people"]}
    assert list(people) == [f"coco/train/{number}" for number in (10, 11, 12, 13, 14)]
    for annotation in annotations[:5]:
        person = people[f"coco/train/{annotation['id']}"]
        box, affine, joints = expected(annotation)
        assert person["image"] == f"{annotation['image_id']:012d}.jpg"
        np.testing.assert_allclose(person["box"], box, atol=1e-4)
        np.testing.assert_allclose(person["affine"], affine, atol=1e-3)
        assert list(person["joints"]) == list(COCO17.names)
        for name, values in joints.items():
            np.testing.assert_allclose(person["joints"][name], values, atol=1e-3)
        corners = np.array([[box[0], box[1], 1], [box[0] + box[2], box[1] + box[3], 1]])
        np.testing.assert_allclose(corners @ np.array(person["affine"]).T, [[0, 0], [256, 256]], atol=1e-3)
    assert all(joint == [0, 0, 0] for joint in people["coco/train/13"]["joints"].values())


def test_split_is_what_the_user_or_the_file_says(root: Path, tmp_path: Path) -> None:
    path = root / "annotations" / "person_keypoints_val2017.json"
    shutil.copy(root / "annotations" / "person_keypoints_train2017.json", path)
    shutil.copytree(root / "train2017", root / "val2017")
    assert look(tmp_path, "coco", path)["people"][0]["id"] == "coco/val/10"
    assert look(tmp_path, "coco", root)["split"] == "train"
    assert look(tmp_path, "coco", root, "--split", "val")["split"] == "val"


def test_images_that_are_not_there_or_damaged_are_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "train2017" / "000000000000.jpg").unlink()
    damaged = root / "train2017" / "000000000001.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-5000])
    found = look(tmp_path, "coco", root)
    assert found["kept"] == len(found["people"]) == 1
    assert found["dropped"]["image not on disk"] == found["dropped"]["image unreadable"] == 2
    shown = capsys.readouterr().out
    assert "000000000000.jpg" in shown and f"image {damaged} is truncated" in shown
    assert "found 6, kept 1, dropped 5" in shown
    assert look(tmp_path, "coco", root, "--quick")["kept"] == 3


def test_damage_within_an_image_is_found_where_all_are_decoded(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "train2017" / "000000000001.jpg"
    data = bytearray(cv2.imencode(".png", cv2.imread(str(path)))[1].tobytes())
    data[5000:5100] = bytes(100)
    path.write_bytes(data)
    assert look(tmp_path, "coco", root)["kept"] == 5
    found = look(tmp_path, "coco", root, "--decode")
    assert (found["kept"], found["dropped"]["image unreadable"]) == (3, 2)
    assert f"image {path} does not decode as PNG; get it again" in capsys.readouterr().out


def test_annotations_without_any_image_are_shown(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(root / "train2017")
    grid = tmp_path / "grid.png"
    assert look(tmp_path, "coco", root, "--grid", grid)["kept"] == 5
    assert "warning: 3 of 3 images are not on disk" in capsys.readouterr().out
    assert cv2.imread(str(grid)) is not None


def test_grid_shows_people_and_their_joints(root: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.png"
    look(tmp_path, "coco", root, "--grid", grid, "--people", 4)
    picture = cv2.imread(str(grid))
    assert picture.shape == (2 * (TILE + CAPTION), 2 * TILE, 3)
    found = look(tmp_path, "coco", root, "--grid", grid, "--people", 99)["people"]
    picture = cv2.imread(str(grid))[..., ::-1].astype(int)
    assert picture.shape == (2 * (TILE + CAPTION), 3 * TILE, 3)
    joints = np.array(list(found[0]["joints"].values()))
    left = [i for i, name in enumerate(COCO17.names) if "left" in name and joints[i, 2] and 8 < joints[i, :2].min()]
    x, y = (joints[left[-1], :2] * TILE / 256).round().astype(int)
    assert np.abs(picture[y, x] - (255, 140, 0)).max() < 60


def test_people_in_the_picture_are_spread_over_the_data_set() -> None:
    rows = spread(1000, 10, seed=0)
    assert (rows // 100).tolist() == list(range(10))
    assert rows.tolist() == spread(1000, 10, seed=0).tolist() != spread(1000, 10, seed=1).tolist()
    assert spread(3, 24, seed=0).tolist() == [0, 1, 2]


def test_labels_are_a_source_by_themselves(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, names = np.random.default_rng(0), ["coco/train/10", "coco/train/12"]
    columns = {
        "id": names,
        "image": ["000000000000.jpg", "000000000001.jpg"],
        "image_size": np.tile([WIDTH, HEIGHT], (2, 1)),
        "person_box": np.array([[40, 30, 100, 160], [60, 20, 120, 180]]),
        "joints_2d": np.concatenate([rng.uniform(20, 200, (2, 17, 2)), np.ones((2, 17, 1))], axis=2),
        "global_orient": np.tile([np.pi, 0, 0], (2, 1)),
        "body_pose": np.zeros((2, 69)),
        "betas": np.zeros((2, 10)),
        "transl": np.tile([0, 0, 4.0], (2, 1)),
        "focal": np.full((2, 2), 400.0),
        "princpt": np.full((2, 2), 110.0),
    }
    labels, grid = tmp_path / "labels" / "coco-train", tmp_path / "grid.png"
    with LabelWriter(labels, joint_set="coco17", image_root=str(root / "train2017"), provenance={}) as writer:
        writer.write(columns)
    found = look(tmp_path, "pseudo_gt", labels, "--grid", grid)
    assert found["split"] == "train" and [person["id"] for person in found["people"]] == names
    # The crop, the mesh on it, and the mesh from the side.
    assert cv2.imread(str(grid)).shape == (2 * (TILE + CAPTION), 3 * TILE, 3)
    assert "SMPL     largest |beta|: min 0.00" in capsys.readouterr().out
    assert run_command(inspect_data.main, ["pseudo_gt", str(labels), "--split", "val", "--cache", str(tmp_path)]) == 1
    assert "labels of split 'train'" in capsys.readouterr().err


def test_labels_that_cannot_stand_alone_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LabelWriter(tmp_path / "labels", joint_set=None, image_root=None, provenance={}) as writer:
        writer.write({"id": ["coco/train/1"], "betas": np.zeros((1, 10))})
    assert run_command(inspect_data.main, ["pseudo_gt", str(tmp_path / "labels"), "--cache", str(tmp_path)]) == 1
    assert "has no image, image_size, person_box, joints_2d" in capsys.readouterr().err


def test_motion_capture(tmp_path: Path) -> None:
    folder = tmp_path / "amass" / "CMU" / "01"
    folder.mkdir(parents=True)
    shape = {"betas": np.zeros(16), "trans": np.zeros((24, 3)), "gender": "male"}
    np.savez(folder / "walk_poses.npz", poses=np.zeros((24, 156)), mocap_framerate=np.array(120.0), **shape)
    grid = tmp_path / "grid.png"
    found = look(tmp_path, "amass", tmp_path / "amass", "--grid", grid, "--option", "fps=60")
    assert (found["kept"], found["sequences"]) == (12, 1)
    assert cv2.imread(str(grid)).shape[1] % (2 * TILE) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["koko", "x"], 2, "argument SOURCE: 'koko' is none of coco, "),
        (["coco"], 2, "PATH"),
        (["coco", "x", "--people", "0"], 2, "--people"),
        (["threedpw", "x", "--option", "frame=all"], 2, "with one of frames"),
        (["coco", "nowhere"], 1, "looked for nowhere"),
        (["amass", "nowhere"], 1, "looked for nowhere"),
        (["pseudo_gt", "nowhere"], 1, "nowhere/labels"),
    ],
)
def test_errors_are_a_line(arguments: list, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(inspect_data.main, arguments) == code
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and message in shown


def test_real_coco(samples_folder: Path, tmp_path: Path) -> None:
    folder = samples_folder / "coco_mini"
    found = look(tmp_path, "coco", folder)
    assert found["kept"] == 6 and found["dropped"] == {}
    assert found == look(tmp_path, "coco", folder / "person_keypoints_mini.json")
    unlabelled = next(person for person in found["people"] if person["id"] == "coco/train/508900")
    assert not np.any(list(unlabelled["joints"].values()))
