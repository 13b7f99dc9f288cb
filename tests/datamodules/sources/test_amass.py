"""AMASS in both variants, and recordings that are damaged, hostile or something else."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.files import AnnotationError
from datamodules.sources.amass import open_amass, read_sequence
from datamodules.sources.poses import check_recordings


@pytest.mark.parametrize(
    ("name", "model", "rate"), [("00/walk_poses", "smplh", 120.0), ("04/walk_stageii", "smplx", 60.0)]
)
def test_everything_in_a_recording(name: str, model: str, rate: float, amass_root: Path) -> None:
    path = amass_root / "CMU" / f"{name}.npz"
    written, sequence = np.load(path), read_sequence(path)
    assert (sequence.model, sequence.gender, sequence.fps) == (model, "female", rate)
    np.testing.assert_allclose(sequence.global_orient, written["poses"][:, :3], rtol=1e-6)
    np.testing.assert_allclose(sequence.body_pose[7, 20], written["poses"][7, 63:66], rtol=1e-6)
    np.testing.assert_allclose(sequence.betas, written["betas"], rtol=1e-6)
    np.testing.assert_allclose(sequence.transl, written["trans"], rtol=1e-6)


def test_sequences_are_numbered_by_their_sorted_paths(amass_root: Path, tmp_path: Path) -> None:
    poses, sequence, _ = open_amass(str(amass_root), str(tmp_path / "cache"), fps=120)
    assert np.bincount(sequence).tolist() == [240] * 5
    for number, name in ((1, "01/walk_poses"), (4, "04/walk_stageii")):
        written = np.load(amass_root / "CMU" / f"{name}.npz")["poses"][:, 3:66].reshape(-1, 21, 3)
        np.testing.assert_allclose(poses[sequence == number], written, rtol=1e-6)


def test_other_files_of_the_archives_are_left_alone(amass_root: Path, tmp_path: Path) -> None:
    np.savez(amass_root / "CMU" / "00" / "shape.npz", betas=np.zeros(16))
    np.savez(amass_root / "CMU" / "00" / "female_stagei.npz", markers=np.zeros(3))
    assert len(open_amass(str(amass_root), str(tmp_path / "cache"), fps=10)[0]) == 120


@pytest.mark.parametrize("part", ["gender", "betas", "trans", "dmpls"])
def test_what_poses_do_not_need_may_be_missing(part: str, amass_root: Path, tmp_path: Path) -> None:
    path = amass_root / "CMU" / "02" / "walk_poses.npz"
    _with(**{part: None})(path)
    assert len(open_amass(str(amass_root), str(tmp_path / "cache"), fps=10).body_pose) == 120
    assert {"gender": "gender", "betas": "betas", "trans": "transl"}.get(part) in (
        None, *(name for name, value in read_sequence(path)._asdict().items() if value is None)
    )  # fmt: skip


def test_shapes_and_files_of_macos_are_passed_over_and_counted(amass_root: Path, tmp_path: Path) -> None:
    folder = amass_root / "CMU" / "00"
    np.savez(folder / "a_poses.npz", betas=np.zeros(16), gender=np.array("male"))
    (folder / "._walk_poses.npz").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    found = open_amass(str(amass_root), str(tmp_path / "cache"), fps=10)
    assert len(found.body_pose) == 120 and found.sequence.max() == 4
    assert found.dropped == {"shape without poses": 1, "._ file of macOS": 1}
    assert check_recordings(amass_root) == 6
    for path in amass_root.rglob("walk_*.npz"):
        path.unlink()
    for read in (lambda: open_amass(str(amass_root), str(tmp_path / "cache")), lambda: check_recordings(amass_root)):
        with pytest.raises(AnnotationError, match=r"a_poses\.npz and 0 more files hold shapes, but no poses"):
            read()


def _with(**changes: Any) -> Callable[[Path], None]:
    def fault(path: Path) -> None:
        content = {**np.load(path), **changes}
        np.savez(path, **{name: value for name, value in content.items() if value is not None})

    return fault


def _not_finite(path: Path) -> None:
    poses = np.load(path)["poses"]
    poses[3, 5] = np.nan
    _with(poses=poses)(path)


def _bytes(data: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def fault(path: Path) -> None:
        path.write_bytes(data(path.read_bytes()))

    return fault


def _compressed_and_damaged(path: Path) -> None:
    np.savez_compressed(path, **np.load(path))
    _bytes(lambda data: data[:9000] + b"\xff" * 2000 + data[11000:])(path)


def _bomb(path: Path) -> None:
    """A few kilobytes that unpack to 8 GiB: a header that promises it, and zeros behind."""
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": ((8 << 30) // 8 // 156, 156)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("poses.npy", header.getvalue() + bytes(1 << 20))


class _Payload:
    def __reduce__(self) -> tuple:
        return os.system, ("touch hostile",)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_with(poses=None, betas=None), "poses"),
        (_with(mocap_framerate=None), "mocap_framerate"),
        (_with(poses=np.zeros((240, 72))), r"poses has shape \(240, 72\)"),
        (_with(poses=np.zeros((0, 156))), r"poses has shape \(0, 156\)"),
        (_with(poses=np.zeros(156)), "not numbers with 2 axes"),
        (_with(poses=np.zeros((240, 156), dtype=complex)), "poses is complex128"),
        (_with(poses=np.full((240, 156), "0.1")), "poses is <U3"),
        (_with(poses=np.array([[_Payload()]])), "Object arrays cannot be loaded"),
        (_with(gender=np.array("robot")), "gender is 'robot'"),
        (_with(gender=np.array(7)), "gender is '7'"),
        (_with(gender=np.array(b"\xff")), "UnicodeDecodeError"),
        (_with(trans=np.zeros((100, 3))), "trans has shape"),
        (_with(betas=np.zeros((2, 16))), "betas is float64"),
        (_with(mocap_framerate=np.array(0.0)), "mocap_framerate is 0"),
        (_with(mocap_framerate=np.array(np.inf)), "mocap_framerate is not finite"),
        (_with(mocap_framerate=np.array(1e300)), "mocap_framerate is not finite"),
        (_with(poses=np.full((240, 156), 1e300)), "poses is not finite"),
        (_with(mocap_framerate=np.array([120.0, 60.0])), "mocap_framerate is float64"),
        (_not_finite, "poses is not finite"),
        (_bomb, "its arrays take 8191 MiB"),
        (_compressed_and_damaged, "(CRC|decompressing)"),
        (_bytes(lambda data: data[: len(data) // 2]), "not a zip file"),
        (_bytes(lambda data: b""), "not a zip file"),
        (_bytes(lambda data: data[:3000] + bytes(3000) + data[6000:]), "CRC"),
    ],
)
def test_wrong_recordings_are_named(
    fault: Callable, message: str, amass_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fault(amass_root / "CMU" / "02" / "walk_poses.npz")
    with pytest.raises(AnnotationError, match=rf"02/walk_poses\.npz is not an AMASS sequence.*{message}"):
        open_amass(str(amass_root), str(tmp_path / "cache"))
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("gender", [np.array("male"), np.array(b"male")])
def test_gender_as_text_or_bytes(gender: np.ndarray, amass_root: Path) -> None:
    path = amass_root / "CMU" / "00" / "walk_poses.npz"
    _with(gender=gender)(path)
    assert read_sequence(path).gender == "male"
