"""The stand-in body is a person in SMPL's layout, and none of its parts is hollow."""

from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from scipy.spatial import cKDTree
from smplx.utils import Struct

from body_models.contracts import GENDERS
from body_models.joint_sets import EXTRA_JOINTS, H36M_JOINTS, SMPL_JOINTS, VERTEX_JOINTS
from body_models.mirror import mirror_pose
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel, BodyOutput
from body_models.spec import SMPL
from body_models.standin import (
    GENDERED,
    QUANTUM,
    STORED,
    is_standin_body,
    is_standin_regressor,
    standin_arrays,
    standin_regressors,
)


def posed(body: BodyModel, pose: dict[str, tuple[float, float, float]], betas: np.ndarray | None = None) -> BodyOutput:
    """A body with some joints turned, in degrees axis-angle."""
    axis_angle = torch.zeros(1, 24, 3)
    for name, degrees in pose.items():
        axis_angle[0, SMPL_JOINTS.index(name)] = torch.tensor(degrees) * torch.pi / 180
    rotations = axis_angle_to_matrix(axis_angle)
    shape = torch.zeros(1, 10) if betas is None else torch.tensor(betas, dtype=torch.float32)[None]
    return body(rotations[:, 0], rotations[:, 1:], shape)


@pytest.mark.parametrize("gender", GENDERS)
def test_layout_is_smpls(gender: str) -> None:
    arrays = standin_arrays(gender)
    shapes = {
        "v_template": (6890, 3), "f": (13776, 3), "shapedirs": (6890, 3, 10), "posedirs": (6890, 3, 207),
        "J_regressor": (24, 6890), "weights": (6890, 24), "kintree_table": (2, 24),
    }  # fmt: skip
    assert {key: array.shape for key, array in arrays.items()} == shapes
    assert all(np.isfinite(array).all() for array in arrays.values())
    for rows in (arrays["weights"], arrays["J_regressor"], *standin_regressors().values()):
        assert rows.min() >= 0
        np.testing.assert_allclose(rows.sum(1), 1)
    assert (arrays["weights"] > 0).sum(1).max() <= 4
    smplx.SMPLLayer("unused", data_struct=Struct(**arrays), gender=gender)
    assert set(GENDERED) == set(GENDERS)
    assert is_standin_body(arrays)
    assert all(is_standin_regressor(rows) for rows in standin_regressors().values())
    assert STORED.stat().st_size < 400_000


def test_arrays_are_the_callers_own() -> None:
    standin_arrays()["v_template"][:] = 0
    standin_regressors()["J_regressor_h36m"][:] = 0
    assert np.ptp(standin_arrays()["v_template"]) > 1
    assert standin_regressors()["J_regressor_h36m"].any()


@pytest.mark.parametrize("gender", GENDERS)
def test_surface_is_closed_outward_and_one_piece(gender: str) -> None:
    arrays = standin_arrays(gender)
    vertices, faces = arrays["v_template"], arrays["f"].astype(np.int64)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    # Each directed edge once, and its twin in the neighbouring face.
    codes = edges[:, 0] * 6890 + edges[:, 1]
    assert len(np.unique(codes)) == len(codes)
    assert set(codes) == set(edges[:, 1] * 6890 + edges[:, 0])
    assert 6890 - len(edges) // 2 + len(faces) == 2  # a sphere's Euler characteristic, so one piece without handles
    assert len(np.unique(faces)) == 6890
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    litres = 1000 * np.einsum("fi,fi->", a, np.cross(b, c)) / 6
    assert 45 < litres < 95
    assert 1.6 < np.ptp(vertices[:, 1]) < 1.85
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-7


def test_rest_pose_has_smpls_proportions() -> None:
    arrays = standin_arrays()
    joints = dict(zip(SMPL_JOINTS, arrays["J_regressor"] @ arrays["v_template"], strict=True))
    expected = {  # metres, as published figures of SMPL's neutral rest pose show them
        "pelvis": (0.0, -0.22, 0.03), "left_hip": (0.07, -0.31, 0.02), "left_knee": (0.10, -0.69, 0.02),
        "left_ankle": (0.09, -1.09, -0.03), "left_foot": (0.115, -1.14, 0.09), "neck": (0.0, 0.29, -0.015),
        "head": (0.0, 0.35, 0.035), "left_shoulder": (0.17, 0.225, -0.015), "left_elbow": (0.43, 0.21, -0.04),
        "left_wrist": (0.68, 0.22, -0.045),
    }  # fmt: skip
    for name, place in expected.items():
        np.testing.assert_allclose(joints[name], place, atol=0.02, err_msg=name)
        if name.startswith("left"):
            mirrored = joints[name.replace("left", "right")] * [-1, 1, 1]
            np.testing.assert_allclose(mirrored, joints[name], atol=1e-4, err_msg=name)


def test_numbered_vertices_lie_where_their_names_say() -> None:
    arrays = standin_arrays()
    vertices = arrays["v_template"]
    at = {name: vertices[number] for name, number in VERTEX_JOINTS.items()}
    head = vertices[vertices[:, 1] > 0.36]
    assert at["nose"][2] > head[:, 2].max() - 0.005
    assert abs(at["nose"][0]) < 1e-3
    assert at["nose"][1] < at["left_eye"][1] < at["nose"][1] + 0.05
    assert 0.02 < at["left_eye"][0] < 0.05 and at["left_eye"][2] > 0.08
    assert at["left_ear"][0] > head[:, 0].max() - 0.005
    foot = vertices[(vertices[:, 1] < -1.1) & (vertices[:, 0] > 0)]
    assert at["left_big_toe"][2] > foot[:, 2].max() - 0.01
    assert at["left_small_toe"][0] > foot[:, 0].max() - 0.012 and at["left_small_toe"][2] > 0.10
    assert at["left_heel"][2] < foot[:, 2].min() + 0.015
    fingers = ("left_index", "left_middle", "left_ring", "left_pinky")
    wrist = (arrays["J_regressor"] @ vertices)[SMPL_JOINTS.index("left_wrist")]
    assert all(0.14 < np.linalg.norm(at[name] - wrist) < 0.22 for name in fingers)
    # From the thumb's side to the other.
    depths = [at[name][2] for name in ("left_thumb", *fingers)]
    assert (np.diff(depths) < -0.02).all()
    for name, place in at.items():
        if "left" in name:
            np.testing.assert_allclose(at[name.replace("left", "right")] * [-1, 1, 1], place, atol=1e-6)


def test_regressors_place_their_joints_inside_or_near_the_body() -> None:
    vertices = standin_arrays()["v_template"]
    regressors = standin_regressors()
    h36m = dict(zip(H36M_JOINTS, regressors["J_regressor_h36m"] @ vertices, strict=True))
    extra = dict(zip(EXTRA_JOINTS, regressors["J_regressor_extra"] @ vertices, strict=True))
    smpl = dict(zip(SMPL_JOINTS, standin_arrays()["J_regressor"] @ vertices, strict=True))
    # Close to SMPL's joints, and yet other definitions.
    for name in ("left_hip", "left_knee", "left_shoulder", "right_elbow", "right_ankle"):
        assert 0.003 < np.linalg.norm(h36m[f"h36m_{name}"] - smpl[name]) < 0.07
    assert extra["lsp_left_hip"][0] > smpl["left_hip"][0] + 0.02
    assert extra["lsp_left_hip"][1] < smpl["left_hip"][1] - 0.02
    assert extra["lsp_head_top"][1] > vertices[:, 1].max() - 0.04
    assert extra["lsp_neck"][1] > extra["mpii_thorax"][1] > extra["extra_spine"][1] > extra["mpii_pelvis"][1]
    used = np.abs(np.concatenate([*regressors.values(), standin_arrays()["J_regressor"]])).sum(0) > 0
    assert used.sum() < 1300  # the joints-only path depends on it


def test_shape_directions_mean_what_they_say() -> None:
    body = BodyModel()
    rest = posed(body, {})

    def change(beta: int) -> dict[str, float]:
        other = posed(body, {}, 2 * np.eye(10)[beta])

        def measures(output: BodyOutput) -> dict[str, float]:
            vertices, joints = output.vertices[0].numpy(), output.joints[0].numpy()
            at = {name: joints[SMPL_JOINTS.index(name)] for name in SMPL_JOINTS}
            waist = np.abs(vertices[:, 1] + 0.05) < 0.02
            distance = np.linalg.norm
            return {
                "height": np.ptp(vertices[:, 1]),
                "waist": np.ptp(vertices[waist & (np.abs(vertices[:, 0]) < 0.3), 2]),
                "leg": distance(at["left_hip"] - at["left_ankle"]),
                "arm": distance(at["left_shoulder"] - at["left_wrist"]),
                "shoulders": distance(at["left_shoulder"] - at["right_shoulder"]),
                "hips": distance(at["left_hip"] - at["right_hip"]),
                "torso": distance(at["pelvis"] - at["neck"]),
            }

        before, after = measures(rest), measures(other)
        return {name: 1000 * float(after[name] - before[name]) / 2 for name in before}

    assert 50 < change(0)["height"] < 70
    assert change(1)["waist"] > 15 and abs(change(1)["height"]) < 5
    assert change(2)["leg"] > 15 > -change(2)["torso"] > 3
    assert change(3)["arm"] > 10
    assert change(4)["shoulders"] > 8
    assert change(5)["hips"] > 5
    assert change(6)["torso"] > 10
    assert change(7)["waist"] > 10 and abs(change(7)["height"]) < 1
    directions = standin_arrays()["shapedirs"].reshape(-1, 10)
    assert np.linalg.matrix_rank(directions) == 10
    correlation = np.corrcoef(directions.T) - np.eye(10)
    assert np.abs(correlation).max() < 0.9


def test_people_of_plausible_height() -> None:
    arrays = standin_arrays()
    betas = np.random.default_rng(0).normal(size=(200, 10))
    top, sole = arrays["v_template"][:, 1].argmax(), arrays["v_template"][:, 1].argmin()
    ends = arrays["shapedirs"][[top, sole], 1]
    heights = np.ptp(arrays["v_template"][:, 1]) + betas @ (ends[0] - ends[1])
    assert 0.05 < heights.std() < 0.08


@pytest.mark.parametrize("gender", ["male", "female"])
def test_neutral_body_is_no_substitute_for_a_gendered_one(gender: str) -> None:
    """lsp14's MPVPE: pelvis of the h36m regressor aligned; a common silent error has to show."""
    regressor = standin_regressors()["J_regressor_h36m"]
    pose = {
        "left_shoulder": (0, 0, -70),
        "right_shoulder": (0, 0, 70),
        "left_hip": (-40, 0, 0),
        "left_knee": (60, 0, 0),
    }
    for seed in range(3):
        betas = np.random.default_rng(seed).normal(size=10)
        truth, taken = (posed(BodyModel("standin", g), pose, betas).vertices[0].numpy() for g in (gender, "neutral"))
        truth, taken = (mesh - (regressor @ mesh)[0] for mesh in (truth, taken))
        assert 1000 * np.linalg.norm(truth - taken, axis=1).mean() > 5


@pytest.mark.parametrize(("joint", "degrees"), [("left_elbow", (0, -90, 0)), ("right_knee", (90, 0, 0))])
def test_pose_blend_shapes_move_a_bent_joint(joint: str, degrees: tuple[float, float, float]) -> None:
    whole, without = BodyModel(), BodyModel()
    without.get_buffer("mesh_posedirs").zero_()
    with_shapes, plain = posed(whole, {joint: degrees}).vertices[0], posed(without, {joint: degrees}).vertices[0]
    moved = 1000 * (with_shapes - plain).norm(dim=1)
    rest = posed(whole, {}).vertices[0]
    centre = posed(whole, {}).joints[0, SMPL.index[joint]]
    assert moved[(rest - centre).norm(dim=1) < 0.06].mean() > 5
    assert moved.max() < 50
    assert moved[(rest - centre).norm(dim=1) > 0.3].max() < 0.5
    torch.testing.assert_close(posed(whole, {}).vertices, posed(without, {}).vertices)


def test_pose_blend_shapes_keep_the_volume_of_a_bent_elbow() -> None:
    """What they are for: linear blend skinning alone loses flesh at the bend."""
    faces = standin_arrays()["f"].astype(np.int64)
    lost = []
    for hollow in (False, True):
        body = BodyModel()
        if hollow:
            body.get_buffer("mesh_posedirs").zero_()
        volumes = []
        for pose in ({}, {"left_elbow": (0, -110, 0), "right_elbow": (0, 110, 0)}):
            a, b, c = (posed(body, pose).vertices[0].double().numpy()[faces[:, i]] for i in range(3))
            volumes.append(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)
        lost.append(volumes[0] - volumes[1])
    assert abs(lost[0]) < 0.6 * lost[1]


def test_mirrored_pose_gives_the_mirrored_body() -> None:
    body = BodyModel()
    vertices = standin_arrays()["v_template"]
    distance, twin = cKDTree(vertices).query(vertices * [-1, 1, 1])
    assert distance.max() < 1e-6
    generator = torch.Generator().manual_seed(0)
    rotations = axis_angle_to_matrix(0.4 * torch.randn(2, 24, 3, generator=generator))
    betas = torch.randn(2, 10, generator=generator)
    mirrored = mirror_pose(rotations, SMPL)
    first = body(rotations[:, 0], rotations[:, 1:], betas).vertices
    second = body(mirrored[:, 0], mirrored[:, 1:], betas).vertices
    torch.testing.assert_close(second[:, twin] * torch.tensor([-1.0, 1, 1]), first, atol=2e-4, rtol=0)


def test_stored_mesh_is_what_the_build_script_makes(tmp_path: Path) -> None:
    """Only where the mesh tools are installed; other versions of them may cut triangles differently."""
    pytest.importorskip("skimage")
    pytest.importorskip("fast_simplification")
    from body_models.standin_build import build

    build(tmp_path / "mesh.npz")
    with np.load(tmp_path / "mesh.npz") as made, np.load(STORED) as stored:
        assert {key: made[key].shape for key in made.files if "regressor" not in key} == {
            key: stored[key].shape for key in stored.files if "regressor" not in key
        }
        distance, _ = cKDTree(stored["vertices"] * QUANTUM).query(made["vertices"] * QUANTUM)
    assert distance.max() < 0.04
