"""Poses of the synthetic world: inside the joint limits, different from set to set, smooth over time."""

import numpy as np
import pytest

from body_models.joint_limits import degrees_outside
from body_models.smpl import BodyModel
from datamodules.synthetic.poses import ACTIVITIES, MIXES, draw_activities, draw_motion, draw_poses, limbs_collide


@pytest.fixture(scope="module")
def rest_joints():
    return BodyModel().joint_template


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_every_activity_stays_inside_the_limits_and_out_of_the_body(activity: str, rest_joints) -> None:
    poses = draw_poses(np.random.default_rng(0), np.full(30, activity), rest_joints)
    assert degrees_outside(poses.body_pose()).max() == 0
    assert not limbs_collide(poses.angles, rest_joints).any()
    assert poses.angles.std(axis=0).max() > 15  # no two people do it alike


def test_motions_are_smooth_and_stay_inside_the_limits(rest_joints) -> None:
    motion = draw_motion(np.random.default_rng(1), MIXES["amass"], 300, 30.0, rest_joints)
    assert motion.angles.shape == (300, 23, 3)
    assert degrees_outside(motion.body_pose()).max() == 0
    assert np.abs(np.diff(motion.angles, axis=0)).max() < 30  # degrees in a thirtieth of a second
    assert np.abs(motion.angles[-1] - motion.angles[0]).max() > 10


def test_sets_do_different_things() -> None:
    rng = np.random.default_rng(2)
    for name, mix in MIXES.items():
        assert set(mix) <= set(ACTIVITIES)
        drawn = draw_activities(rng, mix, 4000)
        for activity, weight in mix.items():
            assert (drawn == activity).mean() == pytest.approx(weight / sum(mix.values()), abs=0.03), name
    assert len({tuple(sorted(mix.items())) for mix in MIXES.values()}) == len(MIXES)
