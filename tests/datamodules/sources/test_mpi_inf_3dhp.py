"""MPI-INF-3DHP in its three layouts, written by hand here, and what each reader says about faults."""

from __future__ import annotations

import codecs
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.spatial.transform import Rotation

from body_models.joint_sets import MPI_INF_3DHP17
from datamodules.files import AnnotationError, ImageError, MissingFilesError, read_json
from datamodules.mpi_inf_3dhp import MPIINF3DHPDataModule
from datamodules.people import PeopleTable
from datamodules.sources import mpi_inf_3dhp
from datamodules.sources.mpi_inf_3dhp import open_mpi_inf_3dhp

WIDTH, HEIGHT = 320, 240
TAKE = "S1/Seq1"


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., PeopleTable]:
    """Opens a root with a cache of the test's own."""

    def call(root: Path, split: str = "train", **options: Any) -> PeopleTable:
        return open_mpi_inf_3dhp(str(root), split, str(tmp_path / "cache"), **options)

    return call


def write_video(path: Path, count: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[np.ndarray]:
    """MJPG frames that differ: a bright square at a place of the frame's own."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, size)
    frames = []
    for i in range(count):
        frame = np.full((size[1], size[0], 3), 60, np.uint8)
        frame[40:80, 20 + 40 * i : 60 + 40 * i] = (30, 90, 230)
        writer.write(frame)
        frames.append(frame)
    writer.release()
    return frames


# --- the training tree ------------------------------------------------------------------------------------------------


def test_rows_are_the_annotations_of_the_frames_on_disk(mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    table = opened(mpi_inf_3dhp_root, variant="univ_annot3", cameras=(2, 0))
    assert table.ids() == [f"mpi_inf_3dhp/train/{TAKE}/{k}" for k in ("0/2", "1/2", "2/2", "0/0", "1/0", "2/0", "3/0")]
    written = loadmat(mpi_inf_3dhp_root / TAKE / "annot.mat")
    joints_2d, joints_3d = table.column("joints_2d")[1], table.column("joints_3d")[1]
    np.testing.assert_allclose(joints_2d[:, :2], written["annot2"][2, 0][1].reshape(28, 2), rtol=1e-6)
    np.testing.assert_allclose(joints_3d[:, :3], written["univ_annot3"][2, 0][1].reshape(28, 3) / 1000, rtol=1e-6)
    assert (joints_2d[:, 2] == 1).all()
    assert (joints_3d[:, 3] == 1).all()
    low, high = joints_2d[:, :2].min(0), joints_2d[:, :2].max(0)
    np.testing.assert_allclose(table.column("box")[1], [*(low - (high - low) * 0.05), *(high - low) * 1.1], rtol=1e-4)
    assert table.column("image")[1] == f"{TAKE}/imageSequence/video_2/frame_000002.jpg".encode()
    assert table.column("image_size")[1].tolist() == [WIDTH, HEIGHT]
    assert table.column("focal")[1].tolist() == [400, 410]
    assert table.column("princpt")[1].tolist() == [160, 120]
    np.testing.assert_array_equal(table.column("camera_rotation")[1], np.eye(3))
    np.testing.assert_allclose(table.column("camera_translation")[1], [0.1, 0.2, 3.0], rtol=1e-6)
    assert table.column("sequence")[1] == TAKE.encode()
    assert (table.column("frame")[1], table.column("camera")[1]) == (1, 2)


def test_frames_may_be_counted_from_0_and_listed_in_any_order(mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    folder = mpi_inf_3dhp_root / TAKE / "imageSequence" / "video_0"
    for number in (1, 2, 3, 4):
        (folder / f"frame_{number:06d}.jpg").rename(folder / f"frame_{number - 1:06d}.jpg")
    table = opened(mpi_inf_3dhp_root, cameras=(0,))
    assert [name[-10:] for name in table.column("image").tolist()] == [b"%06d.jpg" % k for k in range(4)]
    assert table.column("frame").tolist() == [0, 1, 2, 3]


def test_frames_in_the_folder_of_spins_extraction(mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    before = opened(mpi_inf_3dhp_root)
    take = mpi_inf_3dhp_root / TAKE
    (take / "imageFrames").mkdir()
    (take / "imageSequence/video_2").rename(take / "imageFrames/video_2")
    table = opened(mpi_inf_3dhp_root)
    assert table.ids() == before.ids() and not table.missing_images()[0].any()
    assert table.column("image")[4] == f"{TAKE}/imageFrames/video_2/frame_000001.jpg".encode()
    # Frames of camera 0 decoded from its video, those of camera 2 extracted: all below one folder.
    shutil.rmtree(take / "imageSequence/video_0")
    write_video(take / "imageSequence/video_0.avi", 4)
    table = opened(mpi_inf_3dhp_root)
    assert table.ids() == before.ids() and not table.missing_images()[0].any()
    shutil.rmtree(take / "imageFrames")
    (take / "imageSequence/video_0.avi").unlink()
    with pytest.raises(
        AnnotationError, match=r"no frames and no video.*looked for \S*imageSequence/video_0 or \S*imageF"
    ):
        opened(mpi_inf_3dhp_root)


def test_a_byte_order_mark_is_no_content(mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    before = opened(mpi_inf_3dhp_root)
    path = mpi_inf_3dhp_root / TAKE / "camera.calibration"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert opened(mpi_inf_3dhp_root).ids() == before.ids()


def test_a_video_is_decoded_once_in_order(mpi_inf_3dhp_root: Path, opened: Callable, tmp_path: Path) -> None:
    sequence = mpi_inf_3dhp_root / TAKE / "imageSequence"
    shutil.rmtree(sequence / "video_0")
    drawn = write_video(sequence / "video_0.avi", 4)
    table = opened(mpi_inf_3dhp_root)
    # Camera 2 has extracted frames: both are found below one folder, under the same kind of name.
    assert len(table) == 7
    assert not table.missing_images()[0].any()
    for row in range(4):
        image = cv2.imread(os.path.join(table.image_root, table.column("image")[row].decode()))
        assert np.abs(image.astype(int) - drawn[row]).mean() < 3
    assert table.column("image")[3] == f"{TAKE}/imageSequence/video_0/frame_000004.jpg".encode()
    decoded = sorted((tmp_path / "cache").rglob("video_0/*.jpg"))
    before = [path.stat().st_mtime_ns for path in decoded]
    assert opened(mpi_inf_3dhp_root).folder == table.folder
    assert [path.stat().st_mtime_ns for path in decoded] == before

    write_video(sequence / "video_0.avi", 3)
    table = opened(mpi_inf_3dhp_root)
    assert table.dropped["video ends before its annotations"] == 1
    assert len(table) == 6


def test_only_every_nth_frame_of_a_video_is_kept(mpi_inf_3dhp_root: Path, opened: Callable, tmp_path: Path) -> None:
    sequence = mpi_inf_3dhp_root / TAKE / "imageSequence"
    shutil.rmtree(sequence / "video_0")
    write_video(sequence / "video_0.avi", 4)
    table = opened(mpi_inf_3dhp_root, cameras=(0,), frame_step=2)
    assert table.column("frame").tolist() == [0, 2]
    assert [path.name for path in sorted(tmp_path.rglob("cache/**/*.jpg"))] == ["frame_000001.jpg", "frame_000003.jpg"]


def test_frames_extracted_after_the_video_was_decoded_take_its_place(mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    sequence = mpi_inf_3dhp_root / TAKE / "imageSequence"
    (sequence / "video_0").rename(sequence / "later")
    write_video(sequence / "video_0.avi", 2)
    write_video(sequence / "video_1.avi", 4)
    assert opened(mpi_inf_3dhp_root).dropped["video ends before its annotations"] == 2
    (sequence / "later").rename(sequence / "video_0")
    table = opened(mpi_inf_3dhp_root)
    assert len(table) == 4 + 4 + 3
    assert not table.missing_images()[0].any()
    shutil.rmtree(sequence / "video_0")
    assert opened(mpi_inf_3dhp_root).dropped["video ends before its annotations"] == 2


def test_rows_with_exchanged_sides_are_left_out(
    mpi_inf_3dhp_root: Path, opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mpi_inf_3dhp._SWAPPED, TAKE, range(1, 3))
    table = opened(mpi_inf_3dhp_root, cameras=(0,))
    assert table.column("frame").tolist() == [0, 3]
    assert table.dropped == {"left and right are swapped in annot.mat": 2}


def _change_annotations(root: Path, change: Callable[[dict], None]) -> None:
    path = root / TAKE / "annot.mat"
    content = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    change(content)
    savemat(path, content)


def _set_joint(root: Path, name: str, frame: int, value: float) -> None:
    def change(content: dict) -> None:
        content[name][0, 0][frame] = value

    _change_annotations(root, change)


def _truncate_video(root: Path) -> None:
    sequence = root / TAKE / "imageSequence"
    shutil.rmtree(sequence / "video_0")
    write_video(sequence / "video_0.avi", 7)
    data = (sequence / "video_0.avi").read_bytes()
    (sequence / "video_0.avi").write_bytes(data[: len(data) // 2])


def _video(root: Path, count: int, size: tuple[int, int]) -> None:
    shutil.rmtree(root / TAKE / "imageSequence" / "video_0")
    write_video(root / TAKE / "imageSequence" / "video_0.avi", count, size)


def _no_video(root: Path) -> None:
    shutil.rmtree(root / TAKE / "imageSequence" / "video_0")
    (root / TAKE / "imageSequence" / "video_0.avi").write_bytes(b"no video at all")


def _outside(root: Path) -> None:
    _set_joint(root, "annot2", 1, 9000.0)


@pytest.mark.parametrize(
    ("fault", "dropped"),
    [
        (lambda root: _set_joint(root, "annot2", 2, np.nan), {"box is not finite": 1}),
        (lambda root: _set_joint(root, "annot3", 2, np.nan), {"joints_3d is not finite": 1}),
        (_outside, {"box has no area inside the image": 1}),
        (lambda root: (root / TAKE / "imageSequence/video_0/frame_000002.jpg").unlink(), {"frame not on disk": 1}),
    ],
)
def test_bad_training_frames_are_counted(
    fault: Callable, dropped: dict, mpi_inf_3dhp_root: Path, opened: Callable
) -> None:
    fault(mpi_inf_3dhp_root)
    table = opened(mpi_inf_3dhp_root, cameras=(0,))
    assert table.dropped == dropped
    assert len(table) == 3


def test_absent_cameras_are_counted(mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    table = opened(mpi_inf_3dhp_root, cameras=(0, 14, 1))
    assert table.dropped == {"camera 14 is not annotated": 4, "no frames and no video of this camera": 4}


def _break(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        path = root / name
        path.write_bytes(change(path.read_bytes()))

    return fault


def _missing_variable(root: Path) -> None:
    _change_annotations(root, lambda content: content.pop("annot3"))


def _wrong_shape(root: Path) -> None:
    def change(content: dict) -> None:
        content["annot2"][3, 0] = content["annot2"][3, 0][:, :50]

    _change_annotations(root, change)


def _other_count(root: Path) -> None:
    def change(content: dict) -> None:
        content["annot3"][3, 0] = content["annot3"][3, 0][:2]

    _change_annotations(root, change)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_break(f"{TAKE}/annot.mat", lambda data: data[:300]), r"annot\.mat is not a readable"),
        (_break(f"{TAKE}/annot.mat", lambda data: b"x" * len(data)), r"annot\.mat is not a readable"),
        (_missing_variable, r"annot\.mat has no variable annot3"),
        (_wrong_shape, r"annot\.mat: annot2 is not a cell of"),
        (_other_count, r"annot\.mat: annot2 and annot3 have different numbers"),
        (_break(f"{TAKE}/camera.calibration", lambda data: data[:400]), r"camera\.calibration: cameras .* lack"),
        (_break(f"{TAKE}/camera.calibration", lambda data: b"\xff\xfe" + data), r"camera\.calibration is not"),
        (lambda root: (root / TAKE / "camera.calibration").unlink(), r"camera\.calibration.*Get the training set"),
        (_no_video, r"video_0\.avi does not open"),
        (_truncate_video, r"video_0\.avi stops after \d of the 7 frames"),
        (lambda root: _video(root, 4, (160, 120)), r"video_0\.avi: frame 0 has 160 x 120 pixels"),
        (lambda root: shutil.rmtree(root / TAKE), r"looked for .*annot\.mat and for .*MPI-INF-3DHP_1k\.json"),
    ],
)
def test_wrong_training_files_are_named(
    fault: Callable, message: str, mpi_inf_3dhp_root: Path, opened: Callable
) -> None:
    fault(mpi_inf_3dhp_root)
    with pytest.raises((AnnotationError, MissingFilesError), match=message):
        opened(mpi_inf_3dhp_root)


def test_a_root_that_is_not_utf8(mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    root = Path(os.fsdecode(os.fsencode(mpi_inf_3dhp_root) + b"\xff"))
    mpi_inf_3dhp_root.rename(root)
    table = opened(root)
    assert len(table) == 7
    assert not table.missing_images()[0].any()
    write_video(mpi_inf_3dhp_root.with_suffix(".avi"), 4)
    mpi_inf_3dhp_root.with_suffix(".avi").rename(root / TAKE / "imageSequence" / "video_1.avi")
    with pytest.raises(AnnotationError, match=r"xff.*video_1\.avi': .* rename its folder"):
        opened(root)


@pytest.mark.parametrize("options", [{"split": "val"}, {"variant": "annot2"}, {"frame_step": 0}])
def test_unknown_options_are_refused(options: dict, mpi_inf_3dhp_root: Path, opened: Callable) -> None:
    with pytest.raises(AnnotationError, match="use one of train, test"):
        opened(mpi_inf_3dhp_root, **options)


# --- the test tree ----------------------------------------------------------------------------------------------------

CALIB = """tc camera calibration v0.3
camera\t0\tcamera 0
frame\t0
sensorSize\t10\t{height}
focalLength\t{focal}
pixelAspect\t1
centerOffset\t-0.03\t0.09
distortionModel\tOpenCV
distortion\t0\t0\t0\t0\t0
origin\t0\t0\t0
up\t0\t1\t0
right\t1\t0\t0
"""
FOCAL_MM = {"TS1": 7.3, "TS5": 8.7}
SENSOR_HEIGHT = {"TS1": 7.5, "TS5": 7.5}


def write_test_set(root: Path, matlab_axes: bool = False, calib: bool = True) -> dict[str, dict[str, np.ndarray]]:
    """TS1 and TS5 with 5 frames each, in HDF5 as MATLAB v7.3 writes it; frame 2 is not valid."""
    rng, written = np.random.default_rng(6), {}
    for take, focal_mm in FOCAL_MM.items():
        focal, centre = focal_mm / 10 * WIDTH, np.array([WIDTH / 2 - 0.03 * 32, HEIGHT / 2 + 0.09 * 32])
        joints = rng.uniform(-600, 600, (5, 1, 17, 3)) * [0.8, 0.8, 0.3] + [0, 0, 3500]
        content = {
            "annot2": joints[..., :2] / joints[..., 2:] * focal + centre,
            "annot3": joints,
            "univ_annot3": joints * 0.9,
            "valid_frame": np.array([[1], [1], [0], [1], [1]], dtype=float),
            "activity_annotation": np.array([[1], [2], [3], [4], [7]], dtype=float),
            "bb_crop": rng.normal(size=(5, 34)),
        }
        folder = root / take / "imageSequence"
        folder.mkdir(parents=True)
        with h5py.File(root / take / "annot_data.mat", "w", userblock_size=512) as file:
            for name, value in content.items():
                file[name] = value.T if matlab_axes else value
        for number in range(1, 6):
            cv2.imwrite(str(folder / f"img_{number:06d}.jpg"), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
        if calib:
            place = root / "test_util" / "camera_calibration"
            place.mkdir(parents=True, exist_ok=True)
            name = "ts1-4cameras.calib" if take == "TS1" else "ts5-6cameras.calib"
            (place / name).write_text(CALIB.format(focal=focal_mm, height=SENSOR_HEIGHT[take]))
        written[take] = content
    return written


@pytest.mark.parametrize("variant", ["annot3", "univ_annot3"])
@pytest.mark.parametrize("matlab_axes", [False, True])
def test_test_set_columns(variant: str, matlab_axes: bool, tmp_path: Path, opened: Callable) -> None:
    root = tmp_path / "data" / "mpi_inf_3dhp_test_set"
    written = write_test_set(root, matlab_axes)
    table = opened(root.parent, "test", variant=variant)
    frames = [0, 1, 3, 4]
    assert table.ids() == [f"mpi_inf_3dhp/test/{take}/{frame}" for take in ("TS1", "TS5") for frame in frames]
    assert table.dropped == {"valid_frame = 0": 2}
    assert table.joint_set is MPI_INF_3DHP17
    for part, take in ((slice(0, 4), "TS1"), (slice(4, 8), "TS5")):
        points = written[take]["annot2"][frames, 0]
        np.testing.assert_allclose(table.column("joints_2d")[part, :, :2], points, rtol=1e-6)
        metres = written[take][variant][frames, 0] / 1000
        np.testing.assert_allclose(table.column("joints_3d")[part, :, :3], metres, rtol=1e-6)
        np.testing.assert_allclose(table.column("focal")[part], FOCAL_MM[take] * 32, rtol=1e-6)
        np.testing.assert_allclose(table.column("princpt")[part], [[159.04, 122.88]] * 4, rtol=1e-6)
        low, high = points.min(1), points.max(1)
        box = np.concatenate([low - (high - low) * 0.1, (high - low) * 1.2], axis=1)
        np.testing.assert_allclose(table.column("box")[part], box, rtol=1e-4)
    assert table.column("activity").tolist() == [1, 2, 4, 7] * 2
    assert table.column("frame").tolist() == frames * 2
    assert table.column("image")[1] == b"TS1/imageSequence/img_000002.jpg"
    assert table.column("image_size")[0].tolist() == [WIDTH, HEIGHT]
    assert not table.missing_images()[0].any()


def test_intrinsics_are_fitted_where_the_calibration_is_missing(tmp_path: Path, opened: Callable) -> None:
    write_test_set(tmp_path / "test", calib=False)
    table = opened(tmp_path / "test", "test", variant="univ_annot3")
    np.testing.assert_allclose(table.column("focal")[0], FOCAL_MM["TS1"] * 32, rtol=1e-5)
    np.testing.assert_allclose(table.column("princpt")[-1], [159.04, 122.88], rtol=1e-5)


def _with(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        with h5py.File(root / "TS1" / "annot_data.mat", "r+") as file:
            value = file[name][()]
            del file[name]
            file[name] = change(value)

    return fault


def _without(name: str) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        with h5py.File(root / "TS1" / "annot_data.mat", "r+") as file:
            del file[name]

    return fault


def _nan(value: np.ndarray) -> np.ndarray:
    value[3, 0, 5] = np.nan
    return value


def _swap_calibrations(root: Path) -> None:
    path = root / "test_util/camera_calibration/ts1-4cameras.calib"
    path.write_text(CALIB.format(focal=30.0, height=7.5))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            _break("TS1/annot_data.mat", lambda data: data[: len(data) // 2]),
            r"TS1/annot_data\.mat is not an annot_data",
        ),
        (_break("TS1/annot_data.mat", lambda data: b""), r"TS1/annot_data\.mat is not an annot_data"),
        (_break("TS1/annot_data.mat", lambda data: b"MATLAB 5.0 MAT-file" + data[19:600]), r"TS1/annot_data\.mat"),
        (_without("valid_frame"), r"TS1/annot_data\.mat .*valid_frame"),
        (_without("univ_annot3"), r"TS1/annot_data\.mat .*univ_annot3"),
        (_with("annot2", lambda value: value[:, :, :16]), r"TS1/annot_data\.mat .*annot2 has shape"),
        (_with("annot3", lambda value: value[:4]), r"TS1/annot_data\.mat .*numbers of frames differ"),
        (_with("annot3", lambda value: -value), r"TS1/annot_data\.mat: no joint of annot3 lies in front"),
        (_with("annot2", lambda value: np.array([b"text"] * 5)), r"TS1/annot_data\.mat"),
        (_with("annot2", lambda value: value + 1j), r"TS1/annot_data\.mat .*complex numbers"),
        (_with("activity_annotation", lambda value: value * np.nan), r"activity_annotation is no small number"),
        (_with("valid_frame", lambda value: value + np.inf), r"valid_frame is no small number in every frame"),
        (_with("annot2", lambda value: value * 3), r"ts1-4cameras\.calib does not belong to it"),
        (_swap_calibrations, r"annot3 projects \d+ pixels away from annot2: .*ts1-4cameras\.calib"),
        (
            _break("test_util/camera_calibration/ts1-4cameras.calib", lambda data: b"sensorSize 1"),
            r"ts1-4cameras\.calib",
        ),
        (_break("test_util/camera_calibration/ts1-4cameras.calib", lambda data: b"#"), r"ts1-4cameras\.calib holds no"),
        (
            _break("test_util/camera_calibration/ts1-4cameras.calib", lambda d: b"\xff" + d),
            r"ts1-4cameras\.calib is not",
        ),
        (_break("TS1/imageSequence/img_000001.jpg", lambda data: b"no image"), r"img_000001\.jpg cannot be read"),
        (lambda root: (shutil.rmtree(root / "TS1"), shutil.rmtree(root / "TS5")), r"looked for .*TS\*/annot_data\.mat"),
    ],
)
def test_wrong_test_files_are_named(fault: Callable, message: str, tmp_path: Path, opened: Callable) -> None:
    write_test_set(tmp_path / "test")
    fault(tmp_path / "test")
    with pytest.raises((AnnotationError, MissingFilesError, ImageError), match=message):
        opened(tmp_path / "test", "test")


@pytest.mark.parametrize(
    ("fault", "dropped"),
    [
        (_with("annot2", _nan), {"box is not finite": 1}),
        (_with("annot3", _nan), {"joints_3d is not finite": 1}),
        (lambda root: (root / "TS1/imageSequence/img_000005.jpg").unlink(), {"frame not on disk": 1}),
        (lambda root: shutil.rmtree(root / "TS5/imageSequence"), {"frame not on disk": 4}),
    ],
)
def test_bad_test_frames_are_counted(fault: Callable, dropped: dict, tmp_path: Path, opened: Callable) -> None:
    write_test_set(tmp_path / "test")
    fault(tmp_path / "test")
    assert opened(tmp_path / "test", "test").dropped == {"valid_frame = 0": 2, **dropped}


def test_the_data_module_tests_on_the_test_set(mpi_inf_3dhp_root: Path, tmp_path: Path) -> None:
    write_test_set(tmp_path / "test")
    data = MPIINF3DHPDataModule(
        str(mpi_inf_3dhp_root), test_root=str(tmp_path / "test"), cache_dir=str(tmp_path / "cache"), input_size=32,
        num_workers=0, batch_size=4,
    )  # fmt: skip
    data.prepare_data()
    data.setup("test")
    assert [len(batch["id"]) for batch in data.test_dataloader()] == [4, 4]


# --- the json layout --------------------------------------------------------------------------------------------------


def write_json_layout(root: Path) -> dict[str, Any]:
    """Two people in two views, frames 0, 5 and 10; returns the world joints and the cameras as written."""
    rng = np.random.default_rng(7)
    joints: dict[str, Any] = {}
    cameras: dict[str, Any] = {}
    images, annotations = [], []
    for subject, sequence in ((1, 2), (7, 1)):
        world = {str(frame): (rng.uniform(-500, 500, (17, 3))).tolist() for frame in (0, 5, 10)}
        joints.setdefault(str(subject), {})[str(sequence)] = world
        views = cameras.setdefault(str(subject), {}).setdefault(str(sequence), {})
        for camera in (0, 4):
            rotation = Rotation.from_euler("xyz", [180, 20 * camera, 3], degrees=True).as_matrix()
            views[str(camera)] = {
                "R": rotation.tolist(), "t": [10.0 * camera, 50.0, 3000.0], "focal": [310.0, 320.0],
                "princpt": [150.0, 130.0],
            }  # fmt: skip
            for frame in (0, 5, 10):
                number = len(images) + 1
                name = f"img_S{subject}_Seq{sequence}_V{camera}_{frame:06d}.jpg"
                place = {"subject_idx": subject, "seq_idx": sequence, "frame_idx": frame, "cam_idx": camera}
                images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **place})
                annotations.append({"id": 100 + number, "image_id": number, "bbox": [100, 60, 90, 120 + number]})
    root.mkdir(parents=True)
    contents = {"1k": {"images": images, "annotations": annotations}, "joint_3d": joints, "camera_1k": cameras}
    for name, content in contents.items():
        (root / f"MPI-INF-3DHP_{name}.json").write_text(json.dumps(content))
    return contents


def test_json_layout_columns(tmp_path: Path, opened: Callable) -> None:
    written = write_json_layout(tmp_path / "data")
    table = opened(tmp_path / "data")
    assert table.ids()[:4] == [f"mpi_inf_3dhp/train/S1/Seq2/{key}" for key in ("0/0", "5/0", "10/0", "0/4")]
    assert len(table) == 12
    assert table.ids()[10] == "mpi_inf_3dhp/train/S7/Seq1/5/4"
    world = np.array(written["joint_3d"]["7"]["1"]["5"])
    camera = written["camera_1k"]["7"]["1"]["4"]
    local = np.array([np.array(camera["R"]) @ joint + camera["t"] for joint in world])
    points = np.array([[310 * x / z + 150, 320 * y / z + 130] for x, y, z in local])
    np.testing.assert_allclose(table.column("joints_3d")[10][:, :3], local / 1000, rtol=1e-5)
    np.testing.assert_allclose(table.column("joints_2d")[10][:, :2], points, rtol=1e-5)
    np.testing.assert_allclose(table.column("camera_rotation")[10], camera["R"], atol=1e-6)
    np.testing.assert_allclose(table.column("camera_translation")[10], np.array(camera["t"]) / 1000, rtol=1e-6)
    assert table.column("focal")[10].tolist() == [310, 320]
    assert table.column("princpt")[10].tolist() == [150, 130]
    assert table.column("box")[10].tolist() == [100, 60, 90, 131]
    assert table.column("image")[10] == b"S7/Seq1/imageSequence/img_S7_Seq1_V4_000005.jpg"
    assert Path(table.image_root) == tmp_path / "data" / "images_1k"
    assert (table.column("frame")[10], table.column("camera")[10]) == (5, 4)
    assert table.column("sequence")[10] == b"S7/Seq1"
    assert len(table.missing_images()[1]) == 12
    some = opened(tmp_path / "data" / "MPI-INF-3DHP_1k.json", cameras=(4,), frame_step=10)
    assert some.column("frame").tolist() == [0, 10, 0, 10]
    assert some.dropped == {"camera is not selected": 6, "frame is left out by frame_step": 2}


def _edit(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        path = root / f"MPI-INF-3DHP_{name}.json"
        content = read_json(path)
        change(content)
        path.write_text(json.dumps(content))

    return fault


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda root: (root / "MPI-INF-3DHP_camera_1k.json").unlink(), r"MPI-INF-3DHP_camera_1k\.json\. Get"),
        (lambda root: (root / "MPI-INF-3DHP_joint_3d.json").write_text("{"), r"joint_3d\.json is not valid JSON"),
        (lambda root: (root / "MPI-INF-3DHP_1k.json").write_text("[]"), r"1k\.json is not a COCO-style json"),
        (_edit("1k", lambda data: data["images"][0].pop("seq_idx")), r"1k\.json: image 1 has no seq_idx"),
        (_edit("1k", lambda data: data["images"][0].update(cam_idx="0")), r"1k\.json: image 1 has .* not whole"),
        (_edit("1k", lambda data: data["annotations"][0]["bbox"].pop()), r"1k\.json: annotation 101 has bbox"),
        (_edit("camera_1k", lambda data: data["7"]["1"].pop("4")), r"camera_1k\.json: camera \(7, 1, 4\)"),
        (_edit("camera_1k", lambda data: data["7"]["1"]["4"].update(t=[1, 2])), r"camera_1k\.json: .*'t'.* has shape"),
        (_edit("camera_1k", lambda data: data["7"]["1"]["4"].update(R="no")), r"camera_1k\.json: .*'R'.* not an array"),
        (_edit("joint_3d", lambda data: data["7"]["1"]["5"].pop()), r"joint_3d\.json: \[7, 1, 5\] has shape"),
        (_edit("joint_3d", lambda data: data["7"]["1"].update({"5": [[1]]})), r"joint_3d\.json: \[7, 1, 5\] has"),
    ],
)
def test_wrong_json_files_are_named(fault: Callable, message: str, tmp_path: Path, opened: Callable) -> None:
    write_json_layout(tmp_path / "data")
    fault(tmp_path / "data")
    with pytest.raises((AnnotationError, MissingFilesError), match=message):
        opened(tmp_path / "data")


def _duplicate(data: dict) -> None:
    data["annotations"].append(dict(data["annotations"][0], id=999))


@pytest.mark.parametrize(
    ("fault", "dropped"),
    [
        (_edit("joint_3d", lambda data: data["7"]["1"].pop("5")), {"frame has no 3D joints": 2}),
        (_edit("joint_3d", lambda data: data.pop("1")), {"frame has no 3D joints": 6}),
        (
            _edit("joint_3d", lambda data: data["7"]["1"]["5"][3].__setitem__(0, float("nan"))),
            {"joints_2d is not finite": 2},
        ),
        (_edit("1k", lambda data: data["annotations"][0].update(image_id=77)), {"image is not listed in the file": 1}),
        (
            _edit("1k", lambda data: data["annotations"][0].update(bbox=[10, 10, 0, 9])),
            {"box has no area inside the image": 1},
        ),
        (_edit("1k", lambda data: data["annotations"][0].pop("bbox")), {"no box": 1}),
        (_edit("1k", _duplicate), {"id occurs twice": 1}),
    ],
)
def test_bad_json_people_are_counted(fault: Callable, dropped: dict, tmp_path: Path, opened: Callable) -> None:
    write_json_layout(tmp_path / "data")
    fault(tmp_path / "data")
    assert opened(tmp_path / "data").dropped == dropped


def test_json_layout_has_one_variant(tmp_path: Path, opened: Callable) -> None:
    write_json_layout(tmp_path / "data")
    with pytest.raises(AnnotationError, match="has no univ_annot3"):
        opened(tmp_path / "data", variant="univ_annot3")
