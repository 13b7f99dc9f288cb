"""What a body is: SMPL's names and numbers, how data sets' joints find theirs, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from body_models.joint_sets import COCO17, JOINT_SETS, MPI_INF_3DHP28, mirror_name
from body_models.spec import BODY_PART, RECORDED_JOINTS, ROOT_PART, SMPL


def test_smpl() -> None:
    assert (len(SMPL.joints), SMPL.num_rotations, SMPL.pose_size, SMPL.shape_size) == (24, 23, 72, 10)
    assert len(SMPL.body_joints) == 24 + 21 + 17 + 9 == len(SMPL.index)
    assert SMPL.parts == (ROOT_PART, *[BODY_PART] * 23)
    assert RECORDED_JOINTS == SMPL.joints[1:22]


def test_the_mirror_image_of_every_body_joint() -> None:
    names = np.array(SMPL.body_joints)
    assert names[SMPL.mirror_body_joints].tolist() == [mirror_name(name) for name in SMPL.body_joints]
    assert SMPL.mirror_body_joints[:24].tolist() == list(SMPL.mirror)


def test_joints_of_data_sets_are_found_by_name_on_bodies_that_have_them() -> None:
    some = replace(SMPL, kind="smpl without regressors", regressors={})
    assert (SMPL.rows(COCO17) >= 0).all()
    assert SMPL.root_row(MPI_INF_3DHP28) == SMPL.index["h36m_pelvis"]
    rows = some.rows(COCO17)
    assert [COCO17.names[i] for i in np.flatnonzero(rows < 0)] == ["left_hip", "right_hip"]
    assert (some.rows(MPI_INF_3DHP28) < 0).all() and some.root_row(MPI_INF_3DHP28) == 0
    assert {SMPL.root_row(one) for one in JOINT_SETS.values()} <= set(range(len(SMPL.body_joints)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": SMPL.parts[:-1]}, r"\[23, 24\] entries"),
        ({"parents": (-1, 2, *SMPL.parents[2:])}, "before their children"),
        ({"parents": (-1, -1, *SMPL.parents[2:])}, "the root alone"),
        ({"landmarks": {"pelvis": 3}}, "named twice: pelvis"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMPL, **change)
