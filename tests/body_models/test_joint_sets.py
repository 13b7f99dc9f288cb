"""Joint sets against the published orders, and the conversion between them."""

from __future__ import annotations

import numpy as np
import pytest

from body_models.joint_sets import (
    COCO17,
    COCO_WHOLEBODY23,
    HUMAN36M17,
    JOINT_SETS,
    LSP14,
    MPI_INF_3DHP17,
    MPI_INF_3DHP28,
    MPII16,
    OPENPOSE25,
    SMPL24,
    SPIN49,
    JointSet,
    convert_joints,
    mirror_permutation,
)
from body_models.spec import SMPL

# constants.py of SPIN: the body joint of each of its 49 joints, as an index into 24 SMPL joints, 21 vertices and the
# 9 rows of J_regressor_extra.
SPIN_JOINT_MAP = [
    24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
    8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27,
]  # fmt: skip
SPIN_FLIP = [
    *(0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21),
    *(25 + i for i in (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 20, 23, 22)),
]


def _marked(joint_set: JointSet) -> np.ndarray:
    """(1, K, 3) joints that carry their own number."""
    number = np.arange(len(joint_set.names), dtype=float)
    return np.stack([number, 1000 + number, np.ones(len(number))], axis=1)[None]


def _converted(from_set: JointSet, to_set: JointSet) -> dict[str, str]:
    """Name in ``to_set`` -> name in ``from_set`` that it was made of."""
    joints = convert_joints(_marked(from_set), from_set, to_set)[0]
    return {
        name: from_set.names[int(joint[0])] for name, joint in zip(to_set.names, joints, strict=True) if joint[2] > 0
    }


@pytest.mark.parametrize("joint_set", JOINT_SETS.values(), ids=JOINT_SETS)
def test_names_bones_and_sides_fit_together(joint_set: JointSet) -> None:
    assert len(set(joint_set.names)) == len(joint_set.names)
    assert {name for bone in joint_set.bones for name in bone} <= set(joint_set.names)
    assert {body for body in joint_set.body if body} <= set(SMPL.body_joints)
    mirrored = mirror_permutation(joint_set.names)
    assert (mirrored[mirrored] == np.arange(len(mirrored))).all()
    body_mirrored = mirror_permutation(SMPL.body_joints)
    mapped = SMPL.rows(joint_set)
    both = mapped >= 0
    assert (body_mirrored[mapped[both]] == mapped[mirrored][both]).all()
    assert SMPL.root_row(joint_set) >= 0


def test_spin49_is_spins_own_map() -> None:
    smpl_vertices_extra = [*range(24), *range(24, 45), *range(45 + 17, 45 + 17 + 9)]
    assert SMPL.rows(SPIN49).tolist() == [smpl_vertices_extra[i] for i in SPIN_JOINT_MAP]
    assert mirror_permutation(SPIN49.names).tolist() == SPIN_FLIP


def test_two_of_one_data_set_agree() -> None:
    assert COCO_WHOLEBODY23.names[:17] == COCO17.names
    assert _converted(MPI_INF_3DHP28, MPI_INF_3DHP17) == {name: name for name in MPI_INF_3DHP17.names}
    assert _converted(COCO_WHOLEBODY23, COCO17) == {name: name for name in COCO17.names}


@pytest.mark.parametrize("joint_set", JOINT_SETS.values(), ids=JOINT_SETS)
def test_a_set_converts_to_itself(joint_set: JointSet) -> None:
    joints = np.random.default_rng(0).random((3, len(joint_set.names), 3))
    np.testing.assert_array_equal(convert_joints(joints, joint_set, joint_set), joints)


def test_a_common_name_is_not_a_common_definition() -> None:
    assert "left_hip" not in _converted(SMPL24, COCO17)
    assert "left_shoulder" not in _converted(HUMAN36M17, COCO17)
    assert "head_top" not in _converted(HUMAN36M17, LSP14)
    assert "pelvis" not in _converted(SMPL24, MPII16)
    assert "spine" not in _converted(SMPL24, MPI_INF_3DHP17)


def test_spins_set_takes_each_source_where_spin_puts_it() -> None:
    # SPIN's preprocessing of COCO writes its 17 joints to these of the 24 ground-truth joints.
    coco = convert_joints(_marked(COCO17), COCO17, SPIN49)[0, 25:]
    places = [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]
    assert coco[places, 0].tolist() == list(range(17))
    assert np.flatnonzero(coco[:, 2] == 0).tolist() == [12, 13, 14, 15, 16, 17, 18]
    h36m = _converted(HUMAN36M17, SPIN49)
    assert h36m == {"h36m_spine": "torso", "h36m_jaw": "nose", "h36m_head": "head_top"}
    openpose = _converted(OPENPOSE25, SPIN49)
    assert {name: openpose[f"op_{name}"] for name in OPENPOSE25.names} == {name: name for name in OPENPOSE25.names}


def test_the_more_confident_of_two_is_taken() -> None:
    joints = _marked(SPIN49)
    joints[0, SPIN49.names.index("op_nose"), 2] = 0.3
    nose = convert_joints(joints, SPIN49, COCO17)[0, 0]
    assert nose.tolist() == joints[0, SPIN49.names.index("nose")].tolist()


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"joints of coco17 have shape \(N, 17, C\), got \(1, 16, 3\)"):
        convert_joints(_marked(MPII16), COCO17, MPII16)
