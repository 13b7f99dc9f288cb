"""A body in one file: SMPL's layout with names is the same body; what does not fit together is refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from body_models.bodies import BodyModels, body_files, body_spec
from body_models.body_file import open_body_file
from body_models.free_body.arrays import free_body_arrays, free_body_regressors
from body_models.parameters import BodyParameters
from body_models.safe_pickle import ModelFileError
from body_models.spec import SMPL


def content() -> dict[str, Any]:
    arrays = free_body_arrays()
    arrays.pop("kintree_table")
    return {
        **arrays,
        "kind": "copy",
        "joints": np.array(SMPL.joints),
        "parents": np.array(SMPL.parents),
        "landmark_names": np.array(list(SMPL.landmarks)),
        "landmark_vertices": np.array(list(SMPL.landmarks.values())),
        "regressor_h36m": free_body_regressors()["J_regressor_h36m"],
        "regressor_h36m_joints": np.array(SMPL.regressors["J_regressor_h36m"]),
    }


def write(folder: Path, **changes: Any) -> str:
    values = {key: value for key, value in {**content(), **changes}.items() if value is not None}
    np.savez(folder / "body.npz", **values)
    return str(folder / "body.npz")


def test_it_poses_as_the_body_whose_arrays_it_holds(tmp_path: Path) -> None:
    path = write(tmp_path)
    spec, models, theirs = body_spec(path), BodyModels(path), BodyModels()
    assert (spec.kind, spec.joints, spec.mirror, spec.shape_size) == ("copy", SMPL.joints, SMPL.mirror, 10)
    assert spec.body_joints == SMPL.body_joints[: 24 + 21 + 17]
    assert models.neutral.spec == spec and not models.neutral.is_free_body
    assert models["female"].gender == "female"
    assert list(body_files(path).values()) == [Path(path)]
    people = BodyParameters.of_axis_angle(0.3 * torch.randn(3, 72), torch.randn(3, 10))
    found, expected = models.pose(people), theirs.pose(people)
    torch.testing.assert_close(found.vertices, expected.vertices)
    torch.testing.assert_close(found.joints, expected.joints[:, : len(spec.body_joints)])


def test_pose_directions_landmarks_and_regressors_may_be_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path, posedirs=None, landmark_names=None, landmark_vertices=None, regressor_h36m=None,
        regressor_h36m_joints=None,
    )  # fmt: skip
    body = open_body_file(path)
    assert body.spec.body_joints == SMPL.joints
    people = BodyParameters.of_axis_angle(torch.zeros(1, 72), torch.zeros(1, 10))
    joints = body.joints(people.global_orient, people.body_pose, people.betas)
    torch.testing.assert_close(joints[0], body.joint_template, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": None, "f": None}, "lacks joints, f"),
        ({"joints": np.array(["pelvis", "left_hip"])}, "do not describe a body.*every left joint has a right one"),
        ({"parents": np.array(SMPL.parents[:-1])}, "do not describe a body"),
        ({"regressor_h36m_joints": None}, "do not describe a body"),
        ({"weights": np.zeros((6890, 23))}, r"weights is \(6890, 23\) float64"),
        ({"v_template": np.full((6890, 3), np.nan)}, "v_template holds NaN"),
        ({"f": np.array([[0, 1, 6890]])}, "f names vertices outside 0 to 6889"),
        ({"landmark_vertices": np.array([7000, *range(20)])}, "landmark_vertices names vertices outside"),
    ],
)
def test_faults_name_the_file_and_the_key(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ModelFileError, match=message) as error:
        open_body_file(path)
    assert str(error.value).startswith(path) and "\n" not in str(error.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "body.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ModelFileError, match="no readable NumPy file"):
        open_body_file(str(tmp_path / "body.npz"))
