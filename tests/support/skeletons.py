"""Joint names as annotation tools and data sets write them."""

from __future__ import annotations


def both(*parts: str) -> list[str]:
    return [f"{side}_{part}" for part in parts for side in ("left", "right")]


LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
POSETRACK18 = ["nose", "head_bottom", "head_top", *both("ear", *LIMBS)]
HUMAN36M = (
    "Pelvis R_Hip R_Knee R_Ankle L_Hip L_Knee L_Ankle Torso Neck Nose Head L_Shoulder L_Elbow L_Wrist R_Shoulder "
    "R_Elbow R_Wrist"
).split()
HUMAN36M_MMPOSE = (
    "root right_hip right_knee right_foot left_hip left_knee left_foot spine thorax neck_base head left_shoulder "
    "left_elbow left_wrist right_shoulder right_elbow right_wrist"
).split()
AI_CHALLENGER = [
    *(f"{side}_{part}" for parts in (LIMBS[:3], LIMBS[3:]) for side in ("right", "left") for part in parts),
    "head_top", "neck",
]  # fmt: skip
MPII = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top right_wrist "
    "right_elbow right_shoulder left_shoulder left_elbow left_wrist"
).split()
BODY_25 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye LEye "
    "REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
).split()
AP_10K = (
    "left_eye right_eye nose neck root_of_tail left_shoulder left_elbow left_front_paw right_shoulder right_elbow "
    "right_front_paw left_hip left_knee left_back_paw right_hip right_knee right_back_paw"
).split()
