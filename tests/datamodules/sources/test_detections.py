"""Files of 2D pose tools as a source: what holds for all of them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from body_models.joint_sets import COCO17, COCO_WHOLEBODY23, MPII16
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.sources import open_source
from datamodules.sources.detections import open_detections
from datamodules.sources.detections.skeletons import SKELETONS
from datamodules.writing import write_json, write_text
from tests.support.detections import (
    IMAGES,
    SIZE,
    TOOLS,
    WHERE,
    box_of,
    joint_of,
    joints_of,
    mmpose_person,
    write_coco_results,
    write_images,
    write_mediapipe,
    write_mmpose,
    write_openpose,
    write_yolo,
    yolo_line,
)

WITH_BOXES = {"coco_results", "alphapose", "mmpose", "yolo", "label_studio"}
FEET = {"alphapose", "openpose", "mmpose", "rtmlib", "mediapipe", "vitpose"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_images(tmp_path)
    return tmp_path


def table_of(root: Path, **options: Any) -> PeopleTable:
    return open_detections(str(root), cache_dir=str((root if root.is_dir() else root.parent) / "cache"), **options)


@pytest.mark.parametrize("tool", TOOLS)
def test_every_column(root: Path, tool: str) -> None:
    """The same people from each tool: joints of the same name at the same place, whatever its order and unit."""
    TOOLS[tool][0](root)
    table = table_of(root)
    assert table.joint_set is (COCO_WHOLEBODY23 if tool in FEET else COCO17)
    assert table.ids() == [f"detections/train/{IMAGES[0]}/0", f"detections/train/{IMAGES[0]}/1",
                           f"detections/train/{IMAGES[1]}/0"]  # fmt: skip
    assert table.column("image").tolist() == [IMAGES[image].encode() for image in WHERE]
    assert (table.column("image_size") == SIZE).all()
    assert not table.missing_images()[0].any()
    for person, joints in enumerate(table.column("joints_2d")):
        read = joints[:, 2] > 0
        assert read.sum() >= 15
        for name, joint in zip(np.array(table.joint_set.names)[read], joints[read], strict=True):
            np.testing.assert_allclose(joint[:2], joint_of(name, person)[:2], atol=2e-3)
            if tool != "label_studio":
                assert joint[2] == pytest.approx(joint_of(name, person)[2], abs=1e-6)
        assert (joints[~read] == 0).all()
        if tool in WITH_BOXES:
            np.testing.assert_allclose(table.column("box")[person], box_of(person), atol=2e-3)
        else:
            points = joints[read, :2]
            middle, size = (points.min(0) + points.max(0)) / 2, 1.2 * np.ptp(points, axis=0)
            np.testing.assert_allclose(table.column("box")[person], [*(middle - size / 2), *size], atol=1e-2)


def test_it_is_a_source_like_others(root: Path) -> None:
    write_openpose(root)
    table = open_source("detections", cache_dir=str(root / "cache"), root=str(root), split="mine")
    assert table.name == "detections-mine" and len(table) == 3


def test_notes_say_what_was_read(root: Path) -> None:
    write_mmpose(root)
    assert table_of(root).notes == [
        "read as MMPose, joints by name, as coco_wholebody23; not read: face and hands; not in the file: none",
        f"1 of 3 images have nobody in the files: {IMAGES[2]}",
    ]


def test_scores_above_1_are_told_and_used_as_1(root: Path) -> None:
    write_coco_results(root)
    people = json.loads((root / "results.json").read_text())
    people[0]["keypoints"][2], people[0]["keypoints"][5] = 1.25, -0.5
    (root / "results.json").write_text(json.dumps(people))
    table = table_of(root)
    joints = table.column("joints_2d")[0]
    assert joints[0, 2] == 1.0 and (joints[1] == 0).all()
    assert any("scores lie outside of 0 to 1 (-0.5 to 1.25)" in note for note in table.notes)


def test_where_nobody_is_is_counted(root: Path) -> None:
    TOOLS["rtmlib"][0](root)
    assert table_of(root).dropped == {"fewer than 3 joints with a score of 0.3": 1}
    assert len(table_of(root, min_score=0.1)) == 4


@pytest.mark.parametrize(("skeleton", "joint_set"), [("mpii_16", MPII16), ("coco_17", COCO17)])
def test_models_of_other_data_sets(root: Path, skeleton: str, joint_set: Any) -> None:
    write_coco_results(root, SKELETONS[skeleton])
    assert table_of(root).joint_set is joint_set


def test_an_order_may_be_said(root: Path) -> None:
    write_coco_results(root, SKELETONS["vitpose_25"])
    table = table_of(root, skeleton="vitpose_25")
    wrist = table.joint_set.names.index("left_wrist")
    np.testing.assert_allclose(table.column("joints_2d")[0, wrist], joint_of("left_wrist", 0), atol=1e-3)
    with pytest.raises(AnnotationError, match=r"results\.json: a person has 25 joints, the skeleton coco_17 has 17"):
        table_of(root, skeleton="coco_17")
    with pytest.raises(AnnotationError, match="there is no skeleton 'body25': use one of auto, coco_17"):
        table_of(root, skeleton="body25")


def test_images_that_exif_turns_are_turned_upright(root: Path) -> None:
    """OpenCV shows tools the upright picture; the table's pixels are those of a copy of it."""
    upright = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    upright[:120, :160] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored with the top at the right: to be turned by 90 degrees clockwise
    stored = Image.fromarray(np.rot90(upright).copy())
    stored.save(root / "images" / IMAGES[0], exif=exif, quality=95)
    assert cv2.imread(str(root / "images" / IMAGES[0])).shape == upright.shape
    write_openpose(root)
    table = table_of(root)
    assert (table.column("image_size") == SIZE).all()
    assert Path(table.image_root).parent == root / "cache"
    for name in IMAGES[:2]:
        image = cv2.imread(str(Path(table.image_root) / name), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert image.shape == upright.shape
        assert name != IMAGES[0] or ((image[10, 10] > 200).all() and (image[-10, -10] < 50).all())
    assert (Path(table.image_root) / IMAGES[1]).is_symlink()
    assert any("1 images are turned upright by their EXIF orientation" in note for note in table.notes)


def test_people_of_images_that_are_not_there_or_unreadable_are_counted(root: Path) -> None:
    write_openpose(root)
    (root / "images" / IMAGES[0]).unlink()
    assert table_of(root).dropped == {"no image of that name": 2}
    (root / "images" / IMAGES[0]).write_bytes(b"no image")
    assert table_of(root).dropped == {"image unreadable": 2}


def test_a_video_has_frames_and_tracks(root: Path) -> None:
    frames = [
        {"frame_id": frame, "instances": [mmpose_person(0, SKELETONS["coco_17"], track_id=4)]} for frame in range(3)
    ]
    (root / "walk.json").write_text(json.dumps(frames))
    table = table_of(root)
    assert table.column("image").tolist() == [name.encode() for name in IMAGES]
    assert table.column("sequence").tolist() == [b"walk"] * 3
    assert table.column("frame").tolist() == [0, 1, 2] and table.column("person").tolist() == [4, 4, 4]
    (root / "images" / IMAGES[2]).unlink()
    assert table_of(root).dropped == {"the folder has fewer images than the video has frames": 1}


def test_numbers_that_are_no_track_are_not_taken_for_one(root: Path) -> None:
    person = mmpose_person(0, SKELETONS["coco_17"], track_id=0)
    (root / "walk.json").write_text(json.dumps([{"frame_id": 0, "instances": [person, person]}]))
    table = table_of(root)
    assert table.has("frame") and not table.has("person")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of three frames, each of a brightness of its own."""
    path = tmp_path / "walk_2.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, SIZE)
    for number in range(3):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 60 + 40 * number, np.uint8))
    writer.release()
    return path


def openpose_frame(folder: Path, name: str) -> None:
    people = [{"person_id": [7], "pose_keypoints_2d": joints_of(SKELETONS["openpose_25"], 0).ravel().tolist()}]
    write_json(folder / f"{name}_keypoints.json", {"people": people})


def check_frames(table: PeopleTable, frames: list[int]) -> None:
    """Each person is on the frame that the tool saw, told by its brightness."""
    assert table.column("frame").tolist() == frames
    assert table.column("sequence").tolist() == [b"walk_2"] * len(frames)
    for name, frame in zip(table.column("image").tolist(), frames, strict=True):
        image = cv2.imread(str(Path(table.image_root) / name.decode()))
        assert abs(float(image.mean()) - (60 + 40 * frame)) < 5


def test_a_video_is_decoded_for_files_of_frames(clip: Path, tmp_path: Path) -> None:
    """OpenPose numbers frames from 0, Ultralytics from 1, AlphaPose's names are numbers from 0."""
    for number in (0, 2):
        openpose_frame(tmp_path / "json", f"walk_2_{number:012d}")
    table = table_of(tmp_path / "json", images=str(clip))
    check_frames(table, [0, 2])
    assert table.column("person").tolist() == [7, 7]
    for number in (1, 3):
        write_text(tmp_path / "yolo" / "labels" / f"walk_2_{number}.txt", yolo_line(0))
    check_frames(table_of(tmp_path / "yolo", images=str(clip)), [0, 2])
    keypoints = joints_of(SKELETONS["halpe_26"], 0).ravel().tolist()
    people = [{"image_id": f"{number}.jpg", "keypoints": keypoints, "score": 2.5} for number in (1, 2)]
    write_json(tmp_path / "alphapose" / "alphapose-results.json", people)
    check_frames(table_of(tmp_path / "alphapose", images=str(clip)), [1, 2])


def test_what_is_no_frame_of_the_video(clip: Path, tmp_path: Path) -> None:
    for name in ("walk_2_000000000001", "walk_2_000000000009", "other"):
        openpose_frame(tmp_path / "json", name)
    dropped = table_of(tmp_path / "json", images=str(clip)).dropped
    assert dropped == {"the folder has fewer images than the video has frames": 1, "no image of that name": 1}
    with pytest.raises(MissingFilesError, match=r"video: looked for .*gone\.mp4\. Give the video"):
        table_of(tmp_path / "json", images=str(tmp_path / "gone.mp4"))
    clip.write_bytes(b"no video")
    with pytest.raises(AnnotationError, match=r"walk_2\.mp4 does not open as a video"):
        table_of(tmp_path / "json", images=str(clip))


def test_focal_lengths_that_all_images_tell(root: Path) -> None:
    write_openpose(root)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28
    for number, name in enumerate(IMAGES[:2]):
        Image.open(root / "images" / name).save(root / "images" / name, exif=exif)
        table = table_of(root)
        assert table.has("focal") == (number == 1)
        told = "1 of 2 images tell their focal length in EXIF; it is used only where all do"
        assert (told in table.notes) == (number == 0)
        (root / "images" / f"new{number}.jpg").write_bytes((root / "images" / name).read_bytes())
    np.testing.assert_allclose(table.column("focal"), 28 / math.hypot(36, 24) * 400, rtol=1e-5)
    assert (table.column("princpt") == [160, 120]).all()


def test_photographs_in_another_folder(root: Path) -> None:
    write_openpose(root)
    (root / "images").rename(root / "photographs")
    with pytest.raises(MissingFilesError, match=r"images of .*: looked for .*/images, .*Give the folder of the photo"):
        table_of(root)
    assert len(table_of(root, images=str(root / "photographs"))) == 3
    with pytest.raises(MissingFilesError, match=r"looked for .*/nowhere\. Give"):
        table_of(root, images=str(root / "nowhere"))
    (root / "empty").mkdir()
    with pytest.raises(MissingFilesError, match=r"looked for .*/empty/\*\*/\*\.jpg"):
        table_of(root, images=str(root / "empty"))


def test_new_photographs_and_changed_files_are_noticed(root: Path) -> None:
    write_yolo(root)
    assert len(table_of(root)) == 3
    (root / "labels" / "000000000012.txt").unlink()
    assert len(table_of(root)) == 2
    (root / "images" / IMAGES[0]).rename(root / "images" / "other.jpg")
    with pytest.raises(AnnotationError, match=r"no person left; dropped: {'no image of that name': 2}"):
        table_of(root)


def test_names_that_are_not_utf8(root: Path) -> None:
    write_openpose(root)
    name = os.fsdecode(b"gru\xdfe")
    (root / "images" / IMAGES[0]).rename(root / "images" / f"{name}.jpg")
    (root / "json" / f"{IMAGES[0][:-4]}_keypoints.json").rename(root / "json" / f"{name}_keypoints.json")
    table = table_of(root)
    assert b"gru\xdfe.jpg" in table.column("image").tolist()
    assert "detections/train/gru\\udcdfe.jpg/0" in table.ids()


SOMETHING_ELSE: dict[str, tuple[Any, str]] = {
    "COCO annotations": ({"images": [], "annotations": []}, "is a COCO-style annotation file: read it as coco"),
    "settings": ({"a": 1}, r"is of no known layout \(COCO results, AlphaPose; OpenPose; .*docs/detections\.md"),
    "numbers": ([1, 2], "is of no known layout"),
    "nobody": ([], "nobody is in the file$"),
    "strange names": (
        {"keypoints": [{"0": [[1, 2, 0.5]] * 3}], "skeleton": {"0": "paw", "1": "tail", "2": "ear"}},
        "none of its joints is a person's: ear, paw, tail; name them such as left_shoulder",
    ),
}


@pytest.mark.parametrize(("content", "message"), SOMETHING_ELSE.values(), ids=SOMETHING_ELSE.keys())
def test_other_files_are_refused(root: Path, content: Any, message: str) -> None:
    (root / f"{IMAGES[0][:-4]}_result.json").write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=message) as caught:
        table_of(root)
    assert "_result.json" in str(caught.value)


def test_files_of_two_tools_are_not_mixed(root: Path) -> None:
    write_openpose(root)
    write_coco_results(root)
    assert len(table_of(root)) == len(table_of(root / "json")) == 3
    (root / "results.json").rename(root / "json" / "results.json")
    with pytest.raises(AnnotationError, match=r"results\.json is of COCO .*_keypoints\.json of OpenPose: give"):
        table_of(root)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"detections: looked for \*\.json, .*\*\.txt in .*\. docs/detections"):
        table_of(tmp_path)


def test_other_units_are_refused(root: Path) -> None:
    """OpenPose with --keypoint_scale 3 or 4, and MediaPipe's landmarks turned into pixels."""
    write_openpose(root)
    for path in (root / "json").iterdir():
        content = json.loads(path.read_text())
        for person in content["people"]:
            joints = np.reshape(person["pose_keypoints_2d"], (-1, 3)) / [*SIZE, 1]
            person["pose_keypoints_2d"] = joints.ravel().tolist()
        path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=r"as shares of the image, not pixels; write pixels .*--keypoint_scale 0"):
        table_of(root)
    for path in (root / "json").iterdir():
        path.unlink()
    write_mediapipe(root)
    for path in (root / "landmarks").iterdir():
        path.write_text(json.dumps(json.loads(path.read_text(), parse_float=lambda text: float(text) * 300)))
    with pytest.raises(AnnotationError, match=r"are not shares of the image \(0 to 1\), which MediaPipe writes"):
        table_of(root)
