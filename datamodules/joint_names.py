"""Joints by name: what annotation tools and data sets call a joint, and the joint set that fits a list of such names.

Tools write the order of their keypoints into ``categories[].keypoints``. It is COCO's only by chance: PoseTrack18 has
head_bottom and head_top where COCO has the eyes, CVAT and Label Studio write the order in which the user drew the
skeleton. Names are compared without case, punctuation and the place of the side: ``LShoulder``, ``L_Sho``,
``left-shoulder`` and ``shoulder_left`` are one joint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from body_models.joint_sets import COCO17, COCO_WHOLEBODY23, CROWDPOSE14, HUMAN36M17, MPII16, JointSet

NAMED_SETS = (COCO17, COCO_WHOLEBODY23, CROWDPOSE14, MPII16, HUMAN36M17)
"""The sets that a list of names is compared with; the first of those that cover most of it is taken."""
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
# Part of the body, without its side and without spaces -> its name in the joint sets.
_SYNONYMS = {
    "sho": "shoulder", "elb": "elbow", "elbo": "elbow", "wri": "wrist", "wris": "wrist", "kne": "knee", "ank": "ankle",
    "ankl": "ankle", "bigtoe": "big_toe", "smalltoe": "small_toe", "littletoe": "small_toe", "topofhead": "head_top",
    "headtop": "head_top", "tophead": "head_top", "upperneck": "neck", "headbottom": "neck",
}  # fmt: skip
# What is that joint in one set only. "head" is the top of the head in CrowdPose's, MPII's and Human3.6M's files, and
# anything in others; mmpose names Human3.6M's joints 8 to 10 thorax, neck_base and head.
_OWN_SYNONYMS: dict[str, dict[str, str]] = {
    "crowdpose14": {"head": "head_top"},
    "mpii16": {"head": "head_top"},
    "human36m17": {
        "head": "head_top", "root": "pelvis", "spine": "torso", "thorax": "neck", "neck_base": "nose",
        "left_foot": "left_ankle", "right_foot": "right_ankle",
    },
}  # fmt: skip
_LIMBS = frozenset(
    f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
_GLUED = re.compile(r"\b(left|right|l|r)(shoulder|sho|elbow|wrist|hip|knee|ankle|eye|ear|heel)\b")
# Fewer than two arms or two legs without ends are no body: faces and hands have none, cars neither.
_MIN_LIMBS = 4
_ANIMAL_PARTS = re.compile(r"paws?|tail\w*|hoof|hooves|wing|beak|fin|withers|snout|muzzle|horn|antler|claw")


class Order(NamedTuple):
    """Where the joints of a set are in a list of named keypoints.

    Attributes:
        joint_set: the set.
        places: for each joint of the set its place in the list, -1 where it has none.
        unread: names of the list that are no joint of the set.
    """

    joint_set: JointSet
    places: tuple[int, ...]
    unread: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints of the set that the list does not have."""
        return tuple(name for name, place in zip(self.joint_set.names, self.places, strict=True) if place < 0)

    @property
    def num_compared(self) -> int:
        """Number of joints found that the body has, too."""
        return sum(
            place >= 0 and body is not None for place, body in zip(self.places, self.joint_set.body, strict=True)
        )


def canonical_name(name: str) -> str:
    """The name as the joint sets write it, as far as it is known: side first, words joined by underscores."""
    # Capitals begin a word, as in RightShoulder; RShoulder is an R and a word.
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = re.findall(r"[a-z0-9]+", _GLUED.sub(r"\1 \2", spaced.casefold()))
    sides = [_SIDES[word] for word in words if word in _SIDES]
    rest = [word for word in words if word not in _SIDES]
    part = _SYNONYMS.get("".join(rest), "_".join(rest))
    return "_".join([*sides[:1], part])


def is_human(names: Sequence[str]) -> bool:
    """Whether keypoints of these names are a person's: two arms or legs, and no part that only animals have."""
    known = {canonical_name(name) for name in names}
    has_animal_part = any(_ANIMAL_PARTS.fullmatch(word) for name in known for word in name.split("_"))
    return len(known & _LIMBS) >= _MIN_LIMBS and not has_animal_part


def order_of(names: Sequence[str], joint_set: JointSet) -> Order:
    """Where the joints of a set are in a list of names."""
    own = _OWN_SYNONYMS.get(joint_set.name, {})
    places = dict.fromkeys(joint_set.names, -1)
    # A joint's own name goes before what only stands for it.
    for synonyms in ({}, own):
        for place, name in enumerate(map(canonical_name, names)):
            joint = synonyms.get(name, name)
            if places.get(joint) == -1 and place not in places.values():
                places[joint] = place
    unread = [name for place, name in enumerate(names) if place not in places.values()]
    return Order(joint_set, tuple(places.values()), tuple(unread))


def best_set(skeletons: Sequence[Sequence[str]], joint_sets: Sequence[JointSet]) -> JointSet:
    """The first of the joint sets that cover most joints of the skeletons."""
    return max(joint_sets, key=lambda joint_set: sum(order_of(names, joint_set).num_compared for names in skeletons))
