"""Joints by name: the words of annotation tools and data sets, and the joint set that fits them."""

from __future__ import annotations

import pytest

from body_models.joint_sets import COCO17, COCO_WHOLEBODY23, CROWDPOSE14, HUMAN36M17, MPII16, JointSet
from datamodules.joint_names import NAMED_SETS, best_set, canonical_name, is_human, order_of
from tests.support.skeletons import (
    AI_CHALLENGER,
    AP_10K,
    BODY_25,
    HUMAN36M,
    HUMAN36M_MMPOSE,
    LIMBS,
    MPII,
    POSETRACK18,
    both,
)


@pytest.mark.parametrize(
    "name", ["LShoulder", "l_sho", "left-shoulder", "Shoulder Left", "leftShoulder", "LEFT_SHOULDER", "lshoulder",
             "Shoulder.L"],
)  # fmt: skip
def test_spellings_of_one_joint(name: str) -> None:
    assert canonical_name(name) == "left_shoulder"


@pytest.mark.parametrize(
    ("name", "known"),
    [("RBigToe", "right_big_toe"), ("top_head", "head_top"), ("upper neck", "neck"), ("Head", "head"), ("", "")],
)
def test_other_words(name: str, known: str) -> None:
    assert canonical_name(name) == known


@pytest.mark.parametrize(
    ("names", "joint_set", "unread", "missing"),
    [
        (list(COCO17.names), COCO17, (), ()),
        (list(COCO17.names[::-1]), COCO17, (), ()),
        (POSETRACK18, COCO17, ("head_bottom", "head_top"), ("left_eye", "right_eye")),
        (HUMAN36M, HUMAN36M17, (), ()),
        (HUMAN36M_MMPOSE, HUMAN36M17, (), ()),
        (AI_CHALLENGER, CROWDPOSE14, (), ()),
        ([*both(*LIMBS), "head", "neck"], CROWDPOSE14, (), ()),
        (MPII, MPII16, (), ()),
        (BODY_25, COCO_WHOLEBODY23, ("Neck", "MidHip"), ()),
        ([*COCO17.names, "neck"], COCO17, ("neck",), ()),
    ],
)
def test_the_set_that_fits_best(
    names: list[str], joint_set: JointSet, unread: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    assert is_human(names)
    assert best_set([names], NAMED_SETS) is joint_set
    order = order_of(names, joint_set)
    assert (order.unread, order.missing) == (unread, missing)


def test_the_places_of_joints() -> None:
    assert order_of(list(COCO17.names), COCO17).places == tuple(range(17))
    places = order_of(HUMAN36M, HUMAN36M17).places
    assert places == tuple(range(17))
    assert order_of(POSETRACK18, COCO17).places[:7] == (0, -1, -1, 3, 4, 5, 6)
    # A joint's own name goes before a word that stands for it in this set.
    assert order_of(["head", "head_top"], MPII16).places[9] == 1


@pytest.mark.parametrize(
    "names",
    [AP_10K, [str(i) for i in range(17)], ["nose", *both("eye", "ear")], ["wrist", "thumb1", "thumb2"], [],
     [*COCO17.names, "tail_end"]],
)  # fmt: skip
def test_what_is_no_person(names: list[str]) -> None:
    assert not is_human(names)
