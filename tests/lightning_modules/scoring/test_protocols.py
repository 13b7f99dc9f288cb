"""Protocols against NumPy, from the posed mesh on; and how they are found."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from body_models.joint_sets import HUMAN36M17, MPI_INF_3DHP17
from body_models.parameters import BodyParameters
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from body_models.spec import SMPL
from datamodules.sources.threedpw import FRAME_FILTERS
from lightning_modules.scoring.protocol import Posed, human36m, mpi_inf_3dhp
from lightning_modules.scoring.protocols import (
    PROTOCOLS,
    BodyScorer,
    Meshes,
    find_protocols,
    global_rotations,
    protocol_of,
)

REGRESSOR = slice(24 + 21, 24 + 21 + 17)  # rows of J_regressor_h36m among the body joints


def bodies(count: int = 5, seed: int = 0) -> BodyParameters:
    generator = torch.Generator().manual_seed(seed)
    pose = Rotation.from_rotvec(0.3 * torch.randn(count * 24, 3, generator=generator).numpy()).as_matrix()
    pose = torch.from_numpy(pose).float().view(count, 24, 3, 3)
    return BodyParameters(pose[:, 0], pose[:, 1:], torch.randn(count, 10, generator=generator))


def posed() -> Posed:
    people = bodies()
    out = BodyModel()(people.global_orient, people.body_pose, people.betas)
    return Posed(SMPL, out.vertices, out.joints, torch.empty(0))


def oracle_pa(pred: np.ndarray, true: np.ndarray) -> float:
    x, y = pred - pred.mean(0), true - true.mean(0)
    turned = Rotation.align_vectors(y, x)[0].apply(x)
    return 1000 * np.linalg.norm((turned * y).sum() / (x * x).sum() * turned - y, axis=1).mean()


def test_mpi_inf_3dhp_against_numpy() -> None:
    body = posed()
    h36m = body.joints[:, REGRESSOR].double().numpy()
    # head top, neck, right arm, left arm, right leg, left leg, pelvis, spine, head: as the test set has them.
    order = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]
    rng = np.random.default_rng(0)
    true = h36m[:, order] + rng.normal(0, 0.06, (5, 17, 3)) + rng.normal(size=(5, 1, 3))
    found = mpi_inf_3dhp(body, torch.from_numpy(true))
    pred = h36m[:, order] - h36m[:, :1]
    errors = 1000 * np.linalg.norm(pred - (true - true[:, 14:15]), axis=-1)
    np.testing.assert_allclose(found["mpjpe"], errors[:, :14].mean(1), atol=1e-3)
    np.testing.assert_allclose(found["mpjpe17"], errors.mean(1), atol=1e-3)
    np.testing.assert_allclose(found["per_joint"], errors[:, :14], atol=1e-3)
    np.testing.assert_allclose(found["pck150"], 100 * (errors[:, :14] < 150).mean(1))
    curve = [(errors[:, :14] < limit).mean(1) for limit in range(0, 151, 5)]
    np.testing.assert_allclose(found["auc150"], 100 * np.mean(curve, axis=0))
    for name, some in (("pa_mpjpe", slice(14)), ("pa_mpjpe17", slice(17))):
        np.testing.assert_allclose(
            found[name], [oracle_pa(p[some], t[some]) for p, t in zip(pred, true, strict=True)], atol=1e-3
        )
    perfect = mpi_inf_3dhp(body, torch.from_numpy(h36m[:, order]))
    assert perfect["auc150"].numpy() == pytest.approx(100 * 30 / 31)
    # A training batch knows no spine and head: only the metrics of all 17 are lost.
    true[..., 15:, :] = np.nan
    partly = mpi_inf_3dhp(body, torch.from_numpy(true))
    torch.testing.assert_close(partly["pck150"], found["pck150"])
    assert partly["mpjpe17"].isnan().all()


def test_human36m_against_numpy() -> None:
    body = posed()
    h36m = body.joints[:, REGRESSOR].double().numpy()
    true = h36m + np.random.default_rng(0).normal(0, 0.05, h36m.shape) + 3
    found = human36m(body, torch.from_numpy(true))
    # Public code's h36m_eval_joint: all but pelvis, torso and nose.
    some = [1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16]
    pred, true = h36m - h36m[:, :1], true - true[:, :1]
    errors = 1000 * np.linalg.norm(pred - true, axis=-1)[:, some]
    np.testing.assert_allclose(found["mpjpe"], errors.mean(1), atol=1e-3)
    expected = [oracle_pa(p[some], t[some]) for p, t in zip(pred, true, strict=True)]
    np.testing.assert_allclose(found["pa_mpjpe"], expected, atol=1e-3)
    names = PROTOCOLS["p1"].joint_names
    wrist = errors[:, some.index(HUMAN36M17.names.index("left_wrist"))]
    np.testing.assert_allclose(found["per_joint"][:, names.index("left_wrist")], wrist, atol=1e-3)


def test_smpl24_against_numpy() -> None:
    pred, true = bodies(seed=0), bodies(seed=1)
    scores = BodyScorer(protocols=["3dpw/smpl24"], batch_size=2).score(pred, true)
    model = BodyModel()
    points = [model.joints(b.global_orient, b.body_pose, b.betas)[:, :24].double().numpy() for b in (pred, true)]
    errors = 1000 * np.linalg.norm((points[0] - points[0][:, :1]) - (points[1] - points[1][:, :1]), axis=-1)
    np.testing.assert_allclose(scores.values["smpl24_mpjpe"], errors.mean(1), atol=1e-2)
    np.testing.assert_allclose(scores.per_joint["smpl24"], errors, atol=1e-2)
    limbs = errors[:, [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]]
    np.testing.assert_allclose(scores.values["smpl24_pck50"], 100 * (limbs <= 50).mean(1), atol=1e-6)
    names = ("mpjpe", "pa_mpjpe", "mpvpe", "pa_mpvpe", "pck50", "auc200", "mpjae", "depth", "turned")
    assert set(scores.values) == {f"smpl24_{name}" for name in names}
    depth = [(joints - joints[:, :1])[..., 2] for joints in points]
    np.testing.assert_allclose(scores.values["smpl24_depth"], 1000 * np.abs(depth[0] - depth[1]).mean(1), atol=1e-2)


def test_who_is_turned_by_more_than_60_degrees() -> None:
    true = bodies()
    angles = torch.tensor([0.0, 59.0, 61.0, 180.0, 300.5]).deg2rad()
    turns = axis_angle_to_matrix(torch.nn.functional.normalize(torch.tensor([0.3, 1.0, -0.2]), dim=0) * angles[:, None])
    some = true.select(torch.zeros(len(angles), dtype=torch.int64))
    pred = replace(some, global_orient=turns @ some.global_orient)
    found = BodyScorer(protocols=["3dpw/smpl24"]).score(pred, some).values["smpl24_turned"]
    assert found.tolist() == [0, 0, 100, 100, 0]


def test_true_joints_of_a_batch_are_nan_where_unknown() -> None:
    conf = torch.ones(2, len(SMPL.body_joints))
    conf[1, SMPL.index["h36m_neck"]] = 0
    batch = {"joints_3d": torch.randn(2, len(SMPL.body_joints), 3), "joints_3d_conf": conf}
    for key, joint_set in (("p1", HUMAN36M17), ("univ", MPI_INF_3DHP17)):
        joints = PROTOCOLS[key].joints_of(batch, SMPL)
        place = joint_set.names.index("neck")
        assert joints.shape == (2, 17, 3) and joints[1, place].isnan().all() and not joints[0].isnan().any()


def test_names_keys_and_data_sets_find_protocols() -> None:
    def keys(*names: str) -> list[str]:
        return [protocol.key for protocol in find_protocols(names)]

    assert keys("3dpw/lsp14", "lsp14") == ["lsp14"]
    assert keys("3dpw") == keys("threedpw") == ["lsp14", "smpl24"]  # variants of them are asked for by name
    assert keys("3dpw/lsp14neutral", "metro14") == ["lsp14neutral", "metro14"]
    assert keys("emdb") == ["emdb24", "emdb24neutralJ"]
    assert keys("mpi_inf_3dhp", "h36m/p2") == ["univ", "annot3", "p2"]
    assert [PROTOCOLS[key].name for key in keys("h36m")] == ["h36m/p1", "h36m/p2"]
    with pytest.raises(ValueError, match=r"lsp15, x; there are: lsp14.*3dpw/lsp14"):
        find_protocols(["lsp15", "lsp14", "x"])
    assert not any("_" in key for key in PROTOCOLS)  # it ends where the metric begins


def test_frames_of_3dpw_are_those_of_its_reader() -> None:
    for key, columns in FRAME_FILTERS.items():
        if key != "all":
            assert PROTOCOLS[key].rows == dict.fromkeys(columns, 1)


@pytest.fixture(scope="module")
def pair() -> tuple[BodyParameters, BodyParameters]:
    """Predicted bodies, and true ones of each gender."""
    return bodies(), replace(bodies(seed=1), gender=torch.tensor([0, 1, 2, 1, 2]))


def meshes(people: BodyParameters) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and body joints of each person, posed alone."""
    found = []
    for row in range(len(people.betas)):
        one = people.select(slice(row, row + 1))
        gender = "neutral" if one.gender is None else ("neutral", "male", "female")[int(one.gender)]
        out = BodyModel("free", gender)(one.global_orient, one.body_pose, one.betas)
        found.append((out.vertices[0].double().numpy(), out.joints[0].double().numpy()))
    return np.stack([vertices for vertices, _ in found]), np.stack([joints for _, joints in found])


def distance(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    return 1000 * np.linalg.norm(pred - true, axis=-1).mean(-1)


def test_neutral_truth_and_the_hips_of_metro_against_numpy(pair: tuple[BodyParameters, BodyParameters]) -> None:
    pred, true = pair
    found = BodyScorer(protocols=["lsp14", "lsp14neutral", "metro14"], batch_size=2).score(pred, true).values
    order = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    (pred_mesh, pred_joints) = meshes(pred)
    for key, people in (("lsp14", true), ("lsp14neutral", replace(true, gender=None))):
        true_mesh, true_joints = meshes(people)
        pred_h36m, true_h36m = pred_joints[:, REGRESSOR], true_joints[:, REGRESSOR]
        expected = distance(pred_h36m[:, order] - pred_h36m[:, :1], true_h36m[:, order] - true_h36m[:, :1])
        np.testing.assert_allclose(found[f"{key}_mpjpe"], expected, atol=1e-2)
        vertices = distance(pred_mesh - pred_h36m[:, :1], true_mesh - true_h36m[:, :1])
        np.testing.assert_allclose(found[f"{key}_mpvpe"], vertices, atol=1e-2)
    pred14, true14 = pred_h36m[:, order], true_h36m[:, order]
    expected = distance(pred14 - pred14[:, 2:4].mean(1, keepdims=True), true14 - true14[:, 2:4].mean(1, keepdims=True))
    np.testing.assert_allclose(found["metro14_mpjpe"], expected, atol=1e-2)
    for key in ("mpvpe", "pa_mpjpe"):  # the two differ in the point that joints are taken relative to alone
        np.testing.assert_allclose(found[f"metro14_{key}"], found[f"lsp14neutral_{key}"], atol=1e-9)
    gendered = true.gender != 0
    assert gendered is not None and (found["lsp14_mpvpe"] - found["lsp14neutral_mpvpe"]).abs()[gendered].min() > 0.1


def test_emdb_against_numpy(pair: tuple[BodyParameters, BodyParameters]) -> None:
    pred, true = pair
    found = BodyScorer(protocols=["emdb"], batch_size=2).score(pred, true).values
    regressor = BodyModel().joint_regressor.double().numpy()
    sides = [meshes(pred), meshes(true)]
    own = [joints[:, :24] for _, joints in sides]
    through = [np.einsum("jv,nvc->njc", regressor, vertices) for vertices, _ in sides]
    for key, (pred_joints, true_joints) in (("emdb24", own), ("emdb24neutralJ", through)):
        hips = [joints[:, 1:3].mean(1, keepdims=True) for joints in (pred_joints, true_joints)]
        np.testing.assert_allclose(
            found[f"{key}_mpjpe"], distance(pred_joints - hips[0], true_joints - hips[1]), atol=1e-2
        )
        np.testing.assert_allclose(
            found[f"{key}_mpvpe"], distance(sides[0][0] - hips[0], sides[1][0] - hips[1]), atol=1e-2
        )
        for row in range(len(pred_joints)):
            x, y = (joints[row] - joints[row].mean(0) for joints in (pred_joints, true_joints))
            turn = Rotation.align_vectors(y, x)[0]
            scale = (turn.apply(x) * y).sum() / (x * x).sum()
            moved = scale * turn.apply(sides[0][0][row] - pred_joints[row].mean(0)) + true_joints[row].mean(0)
            assert found[f"{key}_pa_mpjpe"][row] == pytest.approx(distance(scale * turn.apply(x), y), abs=1e-2)
            assert found[f"{key}_pa_mpvpe"][row] == pytest.approx(distance(moved, sides[1][0][row]), abs=1e-2)
            turned = turn.as_matrix() @ global_rotations(pred.rotations, SMPL)[row].numpy()
            true_turns = global_rotations(true.rotations, SMPL)[row].numpy()
            some = [0, 1, 2, 4, 5, 16, 17, 18, 19]
            angles = Rotation.from_matrix(turned[some].transpose(0, 2, 1) @ true_turns[some]).magnitude()
            assert found[f"{key}_mpjae_pa"][row] == pytest.approx(np.degrees(angles).mean(), abs=0.05)
    assert (found["emdb24_mpjpe"] - found["emdb24neutralJ_mpjpe"]).abs().max() > 0.1


def test_meshes_without_parameters_are_scored_but_for_their_angles() -> None:
    people = bodies()
    mesh = Meshes(BodyModel()(people.global_orient, people.body_pose, people.betas).vertices)
    scorer = BodyScorer(protocols=["lsp14", "smpl24"], batch_size=2)
    found, expected = scorer.score(mesh, bodies(seed=1)).values, scorer.score(people, bodies(seed=1)).values
    for name in ("lsp14_mpjpe", "lsp14_pa_mpjpe", "lsp14_mpvpe", "lsp14_mpvpe_untranslated", "smpl24_pa_mpvpe"):
        torch.testing.assert_close(found[name], expected[name], atol=1e-3, rtol=0)
    assert found["smpl24_mpjae"].isnan().all() and found["smpl24_turned"].isnan().all()
    assert scorer.score(mesh, people).values["lsp14_mpjpe"].max() < 1e-3


@pytest.mark.parametrize(
    ("column", "key"), [("lsp14_pa_mpjpe", "lsp14"), ("smpl24_mpvpe", "smpl24"), ("smpl24", "smpl24")]
)
def test_the_protocol_of_a_column(column: str, key: str) -> None:
    assert protocol_of(column) == key


def test_the_protocol_of_a_column_with_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, "lsp14_hip", PROTOCOLS["lsp14"])
    assert protocol_of("lsp14_hip_mpjpe") == "lsp14_hip"
    with pytest.raises(ValueError, match="other_mpjpe is no column"):
        protocol_of("other_mpjpe")
