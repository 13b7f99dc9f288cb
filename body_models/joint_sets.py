"""Named skeletons, their left/right pairs, and how each joint of a data set is compared with the body.

SMPL's body joints (:data:`body_models.spec.SMPL`) come in four groups, each a definition of its own: the 24 joints that
are turned, 21 vertices that smplx picks by number, the 17 joints of ``J_regressor_h36m`` and the 9 of
``J_regressor_extra``. A data set's joint is mapped to exactly one of them by name, or to None where no body joint has
the same definition; such a joint is drawn, but left out of the losses, and so is a joint that another body does not
have. :func:`convert_joints` takes joints from one set to another by these definitions. docs/joint_sets.md lists all
sets.

[1] Kolotouros et al., Learning to Reconstruct 3D Human Pose and Shape via Model-fitting in the Loop, ICCV 2019;
    JOINT_NAMES, JOINT_MAP, H36M_TO_J17 and J24_TO_J17 of the code's constants.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

# name -> vertex of the SMPL mesh, in the order in which smplx.SMPL appends them (smplx.vertex_ids, "smplh" table).
VERTEX_JOINTS = {
    "nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
    "left_thumb": 2746, "left_index": 2319, "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673,
    "right_thumb": 6191, "right_index": 5782, "right_middle": 5905, "right_ring": 6016, "right_pinky": 6133,
}  # fmt: skip

H36M_JOINTS = (
    "h36m_pelvis", "h36m_right_hip", "h36m_right_knee", "h36m_right_ankle", "h36m_left_hip", "h36m_left_knee",
    "h36m_left_ankle", "h36m_spine", "h36m_neck", "h36m_nose", "h36m_head_top", "h36m_left_shoulder",
    "h36m_left_elbow", "h36m_left_wrist", "h36m_right_shoulder", "h36m_right_elbow", "h36m_right_wrist",
)  # fmt: skip
EXTRA_JOINTS = (
    "lsp_right_hip", "lsp_left_hip", "lsp_neck", "lsp_head_top", "mpii_pelvis", "mpii_thorax", "extra_spine",
    "extra_jaw", "extra_head",
)  # fmt: skip

# The 14 joints of the lsp14 protocol, as rows of J_regressor_h36m (SPIN's H36M_TO_J14).
LSP14_FROM_H36M = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)


def mirror_name(name: str) -> str:
    """Name of the joint on the other side of the body; the same name for a joint on the midline."""
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def mirror_permutation(names: tuple[str, ...]) -> np.ndarray:
    """(J,) index array ``p`` with ``names[p[i]]`` the mirror image of ``names[i]``."""
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[mirror_name(name)] for name in names])


@dataclass(frozen=True)
class JointSet:
    """The joints of one data set, in the order of its files.

    Attributes:
        name: the name used in tables and settings.
        names: the data set's own joints.
        body: for each joint the body joint of the same definition, or None if there is none.
        root: the joint (one of ``names``) that 3D joints of this set are taken relative to, or None for 2D sets.
        bones: pairs of joint names, for drawings.
    """

    name: str
    names: tuple[str, ...]
    body: tuple[str | None, ...]
    root: str | None
    bones: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.body):
            msg = f"joint set {self.name}: {len(self.names)} names but {len(self.body)} body joints"
            raise ValueError(msg)


_LIMBS = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
)

COCO17 = JointSet(
    "coco17",
    ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
     "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
     "right_ankle"),
    ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
     "right_elbow", "left_wrist", "right_wrist", "lsp_left_hip", "lsp_right_hip", "left_knee", "right_knee",
     "left_ankle", "right_ankle"),
    None,
    (*_LIMBS, ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_shoulder", "left_hip"),
     ("right_shoulder", "right_hip"), ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"),
     ("right_eye", "right_ear")),
)  # fmt: skip

MPII16 = JointSet(
    "mpii16",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "neck",
     "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ("right_ankle", "right_knee", "lsp_right_hip", "lsp_left_hip", "left_knee", "left_ankle", "mpii_pelvis",
     "mpii_thorax", "lsp_neck", "lsp_head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
     "left_elbow", "left_wrist"),
    None,
    (*_LIMBS, ("pelvis", "thorax"), ("thorax", "neck"), ("neck", "head_top"), ("thorax", "left_shoulder"),
     ("thorax", "right_shoulder"), ("pelvis", "left_hip"), ("pelvis", "right_hip")),
)  # fmt: skip

MPI_INF_3DHP28 = JointSet(
    "mpi_inf_3dhp28",
    ("spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top", "left_clavicle", "left_shoulder",
     "left_elbow", "left_wrist", "left_hand", "right_clavicle", "right_shoulder", "right_elbow", "right_wrist",
     "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe", "right_hip", "right_knee",
     "right_ankle", "right_foot", "right_toe"),
    # The markerless joint centres follow the h36m regressor; spine, clavicles, hands and feet have no counterpart.
    (None, None, None, None, "h36m_pelvis", "h36m_neck", None, "h36m_head_top", None, "h36m_left_shoulder",
     "h36m_left_elbow", "h36m_left_wrist", None, None, "h36m_right_shoulder", "h36m_right_elbow",
     "h36m_right_wrist", None, "h36m_left_hip", "h36m_left_knee", "h36m_left_ankle", None, None, "h36m_right_hip",
     "h36m_right_knee", "h36m_right_ankle", None, None),
    "pelvis",
    (*_LIMBS, ("pelvis", "spine"), ("spine", "neck"), ("neck", "head_top"), ("neck", "left_shoulder"),
     ("neck", "right_shoulder"), ("pelvis", "left_hip"), ("pelvis", "right_hip")),
)  # fmt: skip

# COCO-WholeBody's feet, in the order of its foot_kpts; the same joints as OpenPose's BODY_25.
_FEET = (
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
_FOOT_BONES = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("ankle", "heel"), ("ankle", "big_toe"), ("big_toe", "small_toe"))
)

COCO_WHOLEBODY23 = JointSet(
    "coco_wholebody23", (*COCO17.names, *_FEET), (*COCO17.body, *_FEET), None, (*COCO17.bones, *_FOOT_BONES)
)

_HEAD_AND_HIPS = (
    ("neck", "head_top"), ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
)  # fmt: skip

# The data set LSP and its extension; the evaluation protocol lsp14 has this order, but the h36m regressor's joints.
LSP14 = JointSet(
    "lsp14",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
     "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top"),
    ("right_ankle", "right_knee", "lsp_right_hip", "lsp_left_hip", "left_knee", "left_ankle", "right_wrist",
     "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "lsp_neck", "lsp_head_top"),
    None,
    (*_LIMBS, *_HEAD_AND_HIPS),
)  # fmt: skip

CROWDPOSE14 = JointSet(
    "crowdpose14",
    ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
     "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head_top", "neck"),
    ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "lsp_left_hip",
     "lsp_right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "lsp_head_top", "lsp_neck"),
    None,
    (*_LIMBS, *_HEAD_AND_HIPS),
)  # fmt: skip

# The order of the Human36M json, which is also the row order of J_regressor_h36m.
HUMAN36M17 = JointSet(
    "human36m17",
    ("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "torso", "neck",
     "nose", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
     "right_wrist"),
    H36M_JOINTS,
    "pelvis",
    (*_LIMBS, ("pelvis", "torso"), ("torso", "neck"), ("neck", "nose"), ("nose", "head_top"),
     ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("pelvis", "left_hip"), ("pelvis", "right_hip")),
)  # fmt: skip

# The order of MPI-INF-3DHP's test set and of its json layout.
MPI_INF_3DHP17 = JointSet(
    "mpi_inf_3dhp17",
    ("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
    ("h36m_head_top", "h36m_neck", "h36m_right_shoulder", "h36m_right_elbow", "h36m_right_wrist",
     "h36m_left_shoulder", "h36m_left_elbow", "h36m_left_wrist", "h36m_right_hip", "h36m_right_knee",
     "h36m_right_ankle", "h36m_left_hip", "h36m_left_knee", "h36m_left_ankle", "h36m_pelvis", None, None),
    "pelvis",
    MPI_INF_3DHP28.bones,
)  # fmt: skip

_OPENPOSE_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", *_FEET,
)  # fmt: skip
_OPENPOSE_BONES = (
    *_LIMBS, *_FOOT_BONES, ("neck", "mid_hip"), ("neck", "nose"), ("neck", "left_shoulder"),
    ("neck", "right_shoulder"), ("mid_hip", "left_hip"), ("mid_hip", "right_hip"), ("nose", "left_eye"),
    ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"),
)  # fmt: skip

# BODY_25 is trained on COCO's hips; its neck and mid hip are midpoints of other joints, which no body joint is.
OPENPOSE25 = JointSet(
    "openpose25",
    _OPENPOSE_NAMES,
    ("nose", None, "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     None, "lsp_right_hip", "right_knee", "right_ankle", "lsp_left_hip", "left_knee", "left_ankle", "right_eye",
     "left_eye", "right_ear", "left_ear", *_FEET),
    None,
    _OPENPOSE_BONES,
)  # fmt: skip

# SPIN's 25 OpenPose joints and 24 ground-truth joints [1]. Unlike openpose25, SPIN compares OpenPose's neck, mid hip
# and hips with SMPL's joints; files of its family were fitted that way, so the set says the same.
SPIN49 = JointSet(
    "spin49",
    (*(f"op_{name}" for name in _OPENPOSE_NAMES),
     *LSP14.names[:12], "lsp_neck", "lsp_head_top", "mpii_pelvis", "mpii_thorax", "h36m_spine", "h36m_jaw",
     "h36m_head", "nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
     "left_eye", "right_ear", "left_ear", *_FEET,
     *LSP14.body[:12], "lsp_neck", "lsp_head_top", "mpii_pelvis", "mpii_thorax", "extra_spine", "extra_jaw",
     "extra_head", "nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    "mpii_pelvis",
    (*((f"op_{a}", f"op_{b}") for a, b in _OPENPOSE_BONES), *_LIMBS, ("lsp_neck", "lsp_head_top"),
     ("mpii_pelvis", "h36m_spine"), ("h36m_spine", "mpii_thorax"), ("mpii_thorax", "lsp_neck"),
     ("mpii_pelvis", "left_hip"), ("mpii_pelvis", "right_hip"), ("lsp_neck", "left_shoulder"),
     ("lsp_neck", "right_shoulder")),
)  # fmt: skip

SMPL24 = JointSet(
    "smpl24",
    SMPL_JOINTS,
    SMPL_JOINTS,
    "pelvis",
    tuple((SMPL_JOINTS[parent], SMPL_JOINTS[child]) for child, parent in enumerate(SMPL_PARENTS) if parent >= 0),
)

JOINT_SETS = {
    joint_set.name: joint_set
    for joint_set in (
        COCO17, COCO_WHOLEBODY23, MPII16, LSP14, CROWDPOSE14, HUMAN36M17, MPI_INF_3DHP28, MPI_INF_3DHP17, OPENPOSE25,
        SPIN49, SMPL24,
    )
}  # fmt: skip

# Body joints that are two regressors of one definition: SPIN's extra rows and the h36m rows, both of Human3.6M [1].
SAME_BODY_JOINT = {"extra_spine": "h36m_spine", "extra_jaw": "h36m_nose", "extra_head": "h36m_head_top"}
# (set, joint) that is another set's joint by construction, though neither is a body joint or the sets name different
# ones: OpenPose's joints within SPIN's set.
SAME_JOINT = {("spin49", f"op_{name}"): ("openpose25", name) for name in ("neck", "mid_hip", "left_hip", "right_hip")}
# Sets of one data set in two orders: there a joint without a body joint is the joint of the same name.
_SAME_SKELETON = {"mpi_inf_3dhp17": "mpi_inf_3dhp28"}


def _definitions(joint_set: JointSet, joint: int) -> set[tuple[str, str]]:
    """Everything that a joint is known to be; two joints are the same if they share one."""
    name, body = joint_set.names[joint], joint_set.body[joint]
    skeleton = _SAME_SKELETON.get(joint_set.name, joint_set.name)
    known = {(skeleton, name)}
    if body is not None:
        known.add(("body", SAME_BODY_JOINT.get(body, body)))
    if (joint_set.name, name) in SAME_JOINT:
        known.add(SAME_JOINT[joint_set.name, name])
    return known


def matching_joints(from_set: JointSet, to_set: JointSet) -> list[list[int]]:
    """For each joint of ``to_set`` the joints of ``from_set`` with the same definition, possibly none or several.

    Two joints have the same definition if they are mapped to the same body joint (or to two that
    :data:`SAME_BODY_JOINT` puts together), or if they are equal by :data:`SAME_JOINT`. A common name is not enough:
    the hips of SMPL, COCO and Human3.6M lie centimetres apart.
    """
    known = [_definitions(from_set, joint) for joint in range(len(from_set.names))]
    return [
        [joint for joint, definitions in enumerate(known) if definitions & _definitions(to_set, wanted)]
        for wanted in range(len(to_set.names))
    ]


def convert_joints(joints: np.ndarray, from_set: JointSet, to_set: JointSet) -> np.ndarray:
    """(N, K2, C) joints of another set, zero (so with zero confidence) where it has no joint of the same definition.

    Args:
        joints: (N, K, C) joints of ``from_set``; the last of the C columns is the confidence.
        from_set: the joints' own set.
        to_set: the set wanted; where it has several candidates, the most confident of each person is taken.
    """
    if joints.ndim != 3 or joints.shape[1] != len(from_set.names):
        msg = f"joints of {from_set.name} have shape (N, {len(from_set.names)}, C), got {joints.shape}"
        raise ValueError(msg)
    if from_set == to_set:
        return joints.copy()
    converted = np.zeros((len(joints), len(to_set.names), joints.shape[2]), dtype=joints.dtype)
    for wanted, candidates in enumerate(matching_joints(from_set, to_set)):
        if candidates:
            best = np.argmax(joints[:, candidates, -1], axis=1)
            converted[:, wanted] = joints[np.arange(len(joints)), np.array(candidates)[best]]
    return converted
