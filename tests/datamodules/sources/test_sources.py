"""Every reader against the numbers that were written into its official layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from datamodules.files import MissingFilesError
from datamodules.sources.amass import open_amass
from datamodules.sources.coco import open_coco
from datamodules.sources.mpi_inf_3dhp import open_mpi_inf_3dhp
from datamodules.sources.mpii import open_mpii
from datamodules.sources.threedpw import open_threedpw


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


def test_amass_layouts_and_frame_rates(amass_root: Path, tmp_path: Path) -> None:
    poses, sequence, _ = open_amass(str(amass_root), str(tmp_path / "cache"), fps=10)
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
