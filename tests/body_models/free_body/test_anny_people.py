"""What brings Anny's people into SMPL's rest pose, on made-up people; Anny itself is not needed."""

import numpy as np
import pytest

from body_models.free_body import anny_people as people
from body_models.free_body.arrays import free_body_arrays
from body_models.joint_sets import SMPL_JOINTS, mirror_permutation


def test_joints_are_carried_by_the_most_even_weights() -> None:
    random = np.random.default_rng(0)
    offset = random.normal(scale=0.1, size=(500, 3)) + np.array([0.02, 0, -0.03])
    weights = people._most_even(np.zeros(500), offset)
    assert weights.min() > 0 and weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights @ offset, 0, atol=1e-6)
    with pytest.raises(RuntimeError, match="does not enclose"):
        people._most_even(np.zeros(500), np.abs(offset))


def a_pose() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The free body's left half with its arms 45 degrees down, its weights and its joints."""
    arrays = free_body_arrays()
    half = arrays["v_template"][:, 0] >= 0
    joints = arrays["J_regressor"] @ arrays["v_template"]
    shoulder = joints[SMPL_JOINTS.index("left_shoulder")]
    turn = people._about((0, 0, 1), np.radians(-45.0))
    arm = [SMPL_JOINTS.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist", "hand")]
    weights = arrays["weights"][half]
    share = weights[:, arm].sum(1, keepdims=True)
    skin = arrays["v_template"][half]
    skin = (1 - share) * skin + share * ((skin - shoulder) @ turn.T + shoulder)
    joints[arm] = (joints[arm] - shoulder) @ turn.T + shoulder
    return skin, weights, people._both_sides(joints[None])


def test_rest_pose_is_that_of_smpl() -> None:
    skin, weights, joints = a_pose()
    knuckles = people._about((0, 0, 1), np.radians(-45.0)) @ np.array([0.01, 0.02, 0.05])
    moved, posed = people.in_rest_pose(skin[None], weights, joints, knuckles[None])
    at = {name: posed[0, i] for i, name in enumerate(SMPL_JOINTS)}
    np.testing.assert_allclose(at["pelvis"], people.PELVIS)
    for name, following in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
        bone = at[f"left_{following}"] - at[f"left_{name}"]
        wanted = np.array(people.REST_DIRECTIONS[f"left_{name}"])
        np.testing.assert_allclose(bone / np.linalg.norm(bone), wanted / np.linalg.norm(wanted), atol=1e-9)
    mirrored = posed[0, mirror_permutation(SMPL_JOINTS)] * people.MIRROR
    np.testing.assert_allclose(mirrored, posed[0], atol=1e-9)
    # The fingertips are out at the side again, and what was on the midline stays there.
    assert moved[0, :, 0].max() > 0.8
    assert (moved[0, skin[:, 0] == 0, 0] == 0).all()


def test_lengths_of_bones_stay() -> None:
    skin, weights, joints = a_pose()
    _, posed = people.in_rest_pose(skin[None], weights, joints, np.array([[0.0, 0.0, 0.05]]))
    for name, parent in (("left_wrist", "left_elbow"), ("right_knee", "right_hip"), ("head", "neck")):
        pair = [SMPL_JOINTS.index(name), SMPL_JOINTS.index(parent)]
        lengths = [np.linalg.norm(np.subtract(*places[0, pair])) for places in (joints, posed)]
        assert lengths[0] == pytest.approx(lengths[1])


def test_lips_are_sewn_and_rims_found() -> None:
    """A strip with a slit at its left end, as a mouth is: the slit is closed, with every edge between two faces."""
    x, y = np.meshgrid(np.arange(5), np.arange(4), indexing="ij")
    template = np.stack([x.ravel(), y.ravel(), np.zeros(20)], -1).astype(float)
    faces = []
    for i in range(4):
        for j in range(3):
            if j == 1 and i < 2:
                continue  # the opening
            a, b, c, d = 4 * i + j, 4 * (i + 1) + j, 4 * (i + 1) + j + 1, 4 * i + j + 1
            faces += [(a, b, c), (a, c, d)]
    rims = people._rims(np.array(faces), template)
    lips = next(rim for rim in rims if template[rim, 0].max() == 2)
    closed = np.concatenate([faces, people._sewn(lips, template)])
    edges = np.concatenate([closed[:, [0, 1]], closed[:, [1, 2]], closed[:, [2, 0]]])
    assert len({tuple(edge) for edge in edges.tolist()}) == len(edges)
    area = np.cross(template[closed[:, 1]] - template[closed[:, 0]], template[closed[:, 2]] - template[closed[:, 0]])
    assert area[:, 2].sum() / 2 == pytest.approx(12)
    assert (area[:, 2] > 0).all()


def test_every_bone_of_the_rig_has_a_joint() -> None:
    assert people._skin_joint("lowerarm02.R") == "right_elbow"
    assert people._skin_joint("finger1-1.L") == "left_wrist" and people._skin_joint("finger1-2.L") == "left_hand"
    assert people._skin_joint("spine05") == "pelvis" and people._skin_joint("toe3-2.R") == "right_foot"
    assert set(people.SKIN_OF_BONES.values()) <= set(SMPL_JOINTS)
