"""Orders of joints of the tools, beside the lists that they publish."""

from __future__ import annotations

from body_models.joint_sets import OPENPOSE25
from datamodules.joint_names import NAMED_SETS, best_set, canonical_name, order_of
from datamodules.sources.detections.skeletons import AUTO, SKELETONS
from experiments.settings import schema
from tests.support.skeletons import BODY_25

HALPE_26 = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee Rknee LAnkle RAnkle Head "
    "Neck Hip LBigToe RBigToe LSmallToe RSmallToe LHeel RHeel"
).split()
OPENPOSE_18 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar"
).split()
OPENPOSE_MPI_15 = (
    "Head Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle Chest"
).split()
VITPOSE_25 = (
    "nose left_eye right_eye left_ear right_ear neck left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip hip left_knee right_knee left_ankle right_ankle left_big_toe left_small_toe "
    "left_heel right_big_toe right_small_toe right_heel"
).split()
OTHER_WORDS = {"hip": "mid_hip"}


def known(names: list[str]) -> list[str]:
    return [OTHER_WORDS.get(canonical_name(name), canonical_name(name)) for name in names]


def test_published_orders() -> None:
    assert known(HALPE_26) == list(SKELETONS["halpe_26"])
    assert known(OPENPOSE_18) == list(SKELETONS["openpose_18"])
    assert known(OPENPOSE_MPI_15)[1:] == list(SKELETONS["openpose_15"])[1:]
    assert known(VITPOSE_25) == list(SKELETONS["vitpose_25"])
    assert known([name.replace("MidHip", "Hip") for name in BODY_25]) == list(OPENPOSE25.names)
    assert SKELETONS["openpose_25"] == OPENPOSE25.names


def test_their_numbers_of_joints() -> None:
    assert {name: len(joints) for name, joints in SKELETONS.items()} == {
        name: int(name.rpartition("_")[2]) for name in SKELETONS
    }
    assert all(len(set(joints)) == len(joints) for joints in SKELETONS.values())


def test_every_order_has_the_limbs() -> None:
    for names in SKELETONS.values():
        order = order_of(names, best_set([names], NAMED_SETS))
        assert order.num_compared >= 12


def test_they_are_the_settings_choices() -> None:
    assert schema.SKELETONS == (AUTO, *SKELETONS)
