"""Everyday poses as tables: what legs, arms and trunk do in each activity, and motions between such poses.

A gesture gives ranges for the swing-twist angles of one limb (see :mod:`body_models.joint_limits`); an activity
combines gestures, so that arms vary much within an activity, and yet joints depend on each other as in life: steps
alternate, arms swing against the legs, deep knees come with bent hips. All poses keep a margin to every joint limit,
and poses in which limbs run through the body are drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from smplx.lbs import batch_rigid_transform

from body_models.joint_limits import BODY_JOINT_NAMES, HIGH, LOW, swing_twist_to_matrix
from body_models.joint_sets import mirror_permutation
from body_models.rotations import axis_angle_to_matrix
from body_models.spec import SMPL

Floats = NDArray[np.float32]
Range = tuple[float, float]
# joint without its side -> ranges in degrees about x, y, z, in the sense of the left side
Gesture = dict[str, tuple[Range, Range, Range]]

MARGIN_DEG = 1.0
KEY_SECONDS = (0.45, 1.1)

_HAND: tuple[Range, Range, Range] = ((-35, 25), (-12, 18), (-30, 30))
ARMS: dict[str, Gesture] = {
    "hang": {"shoulder": ((-25, 35), (-25, 25), (-86, -62)), "elbow": ((-40, 25), (-50, -3), (-6, 6))},
    "bent": {"shoulder": ((-40, 30), (-50, 15), (-88, -52)), "elbow": ((-70, 20), (-135, -60), (-6, 6))},
    "akimbo": {"shoulder": ((30, 70), (0, 40), (-62, -35)), "elbow": ((-40, 20), (-115, -75), (-6, 6))},
    "forward": {"shoulder": ((-90, 20), (-110, -60), (-40, 30)), "elbow": ((-60, 30), (-60, -3), (-6, 6))},
    "low": {"shoulder": ((-40, 30), (-85, -35), (-80, -45)), "elbow": ((-60, 30), (-60, -3), (-6, 6))},
    "side": {"shoulder": ((-60, 40), (-35, 25), (-30, 30)), "elbow": ((-60, 30), (-70, -3), (-6, 6))},
    "raised": {"shoulder": ((-96, -40), (-60, 15), (-15, 50)), "elbow": ((-60, 30), (-125, -30), (-6, 6))},
    "overhead": {
        "collar": ((-8, 8), (-10, 10), (12, 40)),
        "shoulder": ((-50, 40), (-50, 10), (45, 86)),
        "elbow": ((-60, 30), (-75, -4), (-6, 6)),
    },
    "crossed": {"shoulder": ((-20, 40), (-100, -45), (-75, -45)), "elbow": ((-50, 20), (-130, -80), (-6, 6))},
    "to_head": {"shoulder": ((-30, 30), (-65, -20), (-75, -25)), "elbow": ((-80, 0), (-148, -118), (-6, 6))},
    "behind": {"shoulder": ((-10, 50), (15, 56), (-85, -50)), "elbow": ((-40, 30), (-95, -5), (-6, 6))},
    "swing_front": {"shoulder": ((-20, 20), (-62, -15), (-86, -62)), "elbow": ((-40, 20), (-80, -12), (-6, 6))},
    "swing_back": {"shoulder": ((-15, 25), (10, 48), (-84, -62)), "elbow": ((-40, 20), (-55, -8), (-6, 6))},
    "run_front": {"shoulder": ((-20, 25), (-70, -20), (-84, -58)), "elbow": ((-50, 20), (-130, -70), (-6, 6))},
    "run_back": {"shoulder": ((-15, 30), (15, 57), (-82, -50)), "elbow": ((-40, 20), (-115, -60), (-6, 6))},
    "throw": {"shoulder": ((-98, -45), (-20, 45), (-20, 45)), "elbow": ((-60, 30), (-125, -50), (-6, 6))},
}

_FOOT: tuple[Range, Range, Range] = ((-15, 8), (-4, 4), (-4, 4))
LEGS: dict[str, Gesture] = {
    "straight": {"hip": ((-14, 10), (-5, 25), (-3, 14)), "knee": ((0, 14), (-5, 8), (-3, 3)), "ankle": ((-8, 8),) * 3},
    "loose": {"hip": ((-40, -4), (-10, 30), (0, 20)), "knee": ((12, 60), (-8, 12), (-3, 3)), "ankle": ((-10, 12),) * 3},
    "wide": {"hip": ((-20, 8), (0, 35), (15, 42)), "knee": ((0, 35), (-5, 8), (-3, 3)), "ankle": ((-8, 10),) * 3},
    "step_front": {
        "hip": ((-48, -14), (-8, 12), (-4, 6)), "knee": ((4, 40), (-5, 8), (-3, 3)),
        "ankle": ((-18, 15), (-5, 5), (-5, 5)),
    },
    "step_back": {
        "hip": ((3, 28), (-8, 12), (-4, 8)), "knee": ((8, 65), (-5, 8), (-3, 3)), "ankle": ((0, 35), (-5, 5), (-5, 5)),
        "foot": ((-50, 0), (-4, 4), (-4, 4)),
    },
    "run_front": {
        "hip": ((-105, -45), (-8, 12), (-5, 10)), "knee": ((35, 128), (-5, 10), (-3, 3)),
        "ankle": ((-18, 30), (-6, 6), (-6, 6)),
    },
    "run_back": {
        "hip": ((4, 28), (-8, 12), (-5, 10)), "knee": ((20, 120), (-5, 10), (-3, 3)),
        "ankle": ((0, 48), (-6, 6), (-6, 6)), "foot": ((-40, 10), (-4, 4), (-4, 4)),
    },
    "sit": {
        "hip": ((-112, -65), (-20, 30), (-6, 32)), "knee": ((50, 115), (-12, 12), (-4, 4)),
        "ankle": ((-20, 25), (-10, 10), (-10, 10)),
    },
    "sit_stretched": {
        "hip": ((-108, -60), (-10, 30), (-2, 35)), "knee": ((0, 45), (-8, 8), (-4, 4)),
        "ankle": ((-15, 40), (-8, 8), (-8, 8)),
    },
    "sit_folded": {
        "hip": ((-115, -80), (18, 43), (18, 48)), "knee": ((95, 142), (-5, 30), (-5, 5)),
        "ankle": ((-5, 45), (-10, 10), (-25, 10)),
    },
    "crouch": {
        "hip": ((-123, -72), (-5, 38), (0, 42)), "knee": ((80, 143), (-10, 20), (-4, 4)),
        "ankle": ((-24, 12), (-8, 8), (-8, 8)), "foot": ((-45, 0), (-4, 4), (-4, 4)),
    },
    "half_squat": {
        "hip": ((-85, -35), (-5, 35), (0, 32)), "knee": ((40, 95), (-8, 12), (-4, 4)),
        "ankle": ((-24, 5), (-6, 6), (-6, 6)),
    },
    "lunge_front": {
        "hip": ((-105, -45), (-8, 25), (-4, 18)), "knee": ((50, 115), (-8, 12), (-4, 4)),
        "ankle": ((-24, 12), (-6, 6), (-6, 6)),
    },
    "lunge_back": {
        "hip": ((-5, 28), (-8, 20), (-4, 14)), "knee": ((3, 90), (-6, 10), (-4, 4)),
        "ankle": ((-15, 35), (-6, 6), (-6, 6)), "foot": ((-60, 0), (-4, 4), (-4, 4)),
    },
    "kneel": {
        "hip": ((-40, 15), (-8, 20), (-2, 18)), "knee": ((80, 140), (-6, 12), (-4, 4)),
        "ankle": ((0, 52), (-8, 8), (-8, 8)),
    },
    "kick": {
        "hip": ((-115, -35), (-15, 35), (-12, 35)), "knee": ((0, 75), (-8, 12), (-4, 4)),
        "ankle": ((-10, 48), (-8, 8), (-8, 8)),
    },
    "lift_side": {
        "hip": ((-75, 5), (0, 42), (22, 48)), "knee": ((0, 120), (-8, 25), (-4, 4)),
        "ankle": ((0, 45), (-8, 8), (-8, 8)),
    },
    "lift_back": {
        "hip": ((6, 28), (-10, 20), (-4, 15)), "knee": ((10, 120), (-8, 12), (-4, 4)),
        "ankle": ((0, 48), (-8, 8), (-8, 8)),
    },
    "tuck": {
        "hip": ((-110, -15), (-8, 30), (-2, 30)), "knee": ((20, 130), (-8, 12), (-4, 4)),
        "ankle": ((0, 48), (-8, 8), (-8, 8)),
    },
}  # fmt: skip


def _trunk(spine: tuple[Range, Range, Range], look: tuple[Range, Range, Range]) -> Gesture:
    """The same ranges for all three joints of the spine, and for neck and head."""
    return {"spine1": spine, "spine2": spine, "spine3": spine, "neck": look, "head": look}


TRUNKS: dict[str, Gesture] = {
    "upright": _trunk(((-4, 8), (-6, 6), (-5, 5)), ((-14, 14), (-24, 24), (-8, 8))),
    "slouch": _trunk(((3, 20), (-8, 8), (-6, 6)), ((-8, 24), (-24, 24), (-10, 10))),
    "bend": _trunk(((6, 30), (-10, 10), (-8, 8)), ((-28, 20), (-22, 22), (-10, 10))),
    "arch": _trunk(((-10, 0), (-10, 10), (-8, 8)), ((-26, 8), (-22, 22), (-10, 10))),
    "turn": _trunk(((-6, 14), (-16, 16), (-12, 12)), ((-15, 15), (-35, 35), (-12, 12))),
}


@dataclass(frozen=True)
class Activity:
    """What a person does.

    Attributes:
        legs: pairs of leg gestures to choose from; which side does which is drawn.
        arms: gestures of either arm, with weights; or, if ``swing``, one gesture for each leg of ``legs``.
        alike: probability that both arms do the same.
        trunks: trunk gestures to choose from.
        pitch: lean of the pelvis in degrees, forward is positive.
        roll: lean of the pelvis to a side in degrees, either side.
        swing: arms go against the legs: the arm beside the first leg of a pair does the first gesture of ``arms``.
    """

    legs: tuple[tuple[str, str], ...]
    arms: dict[str, float]
    trunks: tuple[str, ...] = ("upright", "upright", "turn")
    alike: float = 0.4
    pitch: Range = (-5, 10)
    roll: float = 5
    swing: bool = False


_FREE = {"hang": 3, "bent": 3, "forward": 1, "side": 1, "raised": 1, "to_head": 1, "akimbo": 1, "low": 1, "behind": 0.5}
ACTIVITIES: dict[str, Activity] = {
    "standing": Activity(
        (("straight", "straight"), ("straight", "loose"), ("wide", "straight"), ("wide", "wide")),
        {"hang": 4, "bent": 3, "akimbo": 1.5, "crossed": 1, "to_head": 1, "behind": 0.7},
        ("upright", "upright", "slouch", "turn"),
    ),
    "walking": Activity((("step_front", "step_back"),), {"swing_back": 1, "swing_front": 1}, swing=True),
    "walking_busy": Activity((("step_front", "step_back"),), {"hang": 1, "bent": 3, "to_head": 1, "low": 1}),
    "running": Activity(
        (("run_front", "run_back"),),
        {"run_back": 1, "run_front": 1},
        ("upright", "turn"),
        pitch=(0, 28),
        roll=8,
        swing=True,
    ),
    "sitting": Activity(
        (("sit", "sit"), ("sit", "sit_stretched"), ("sit_stretched", "sit_stretched"), ("sit_folded", "sit_folded")),
        {"hang": 1, "bent": 4, "low": 3, "to_head": 1, "crossed": 1, "forward": 1, "raised": 0.5},
        ("upright", "slouch", "slouch", "turn"),
        pitch=(-28, 14),
        roll=8,
    ),
    "crouching": Activity(
        (("crouch", "crouch"), ("half_squat", "half_squat"), ("kneel", "lunge_front"), ("kneel", "kneel")),
        {"low": 3, "forward": 2, "bent": 3, "hang": 1, "to_head": 0.5},
        ("slouch", "bend", "upright"),
        pitch=(0, 48),
        roll=8,
    ),
    "bending": Activity(
        (("straight", "straight"), ("loose", "loose"), ("wide", "wide"), ("step_front", "step_back")),
        {"hang": 1, "low": 3, "forward": 3, "bent": 1, "side": 1},
        ("bend", "bend", "slouch"),
        pitch=(15, 75),
        roll=8,
    ),
    "reaching": Activity(
        (("straight", "loose"), ("straight", "lift_back"), ("lunge_front", "lunge_back"), ("wide", "straight")),
        {"forward": 4, "overhead": 3, "side": 3, "low": 2, "raised": 1, "hang": 1.5},
        ("turn", "upright", "bend"),
        alike=0.25,
        pitch=(-5, 30),
        roll=14,
    ),
    "arms_raised": Activity(
        (("straight", "straight"), ("wide", "wide"), ("loose", "straight"), ("tuck", "tuck")),
        {"overhead": 4, "raised": 3, "side": 1},
        ("upright", "arch", "turn"),
        alike=0.65,
        pitch=(-10, 8),
        roll=8,
    ),
    "kicking": Activity(
        (("kick", "straight"), ("kick", "loose"), ("lift_side", "straight"), ("lift_back", "loose")),
        _FREE | {"side": 3, "low": 2},
        ("upright", "turn", "arch"),
        pitch=(-28, 22),
        roll=18,
    ),
    "throwing": Activity(
        (("step_front", "step_back"), ("lunge_front", "lunge_back"), ("wide", "loose")),
        {"throw": 4, "forward": 2, "overhead": 1, "side": 2, "bent": 1},
        ("turn", "arch"),
        alike=0.05,
        pitch=(-12, 25),
        roll=14,
    ),
    "dancing": Activity(
        (
            ("lift_side", "loose"),
            ("wide", "loose"),
            ("lift_back", "straight"),
            ("half_squat", "wide"),
            ("tuck", "loose"),
        ),
        {"overhead": 2, "raised": 2, "side": 3, "bent": 2, "crossed": 1, "akimbo": 1, "behind": 1, "forward": 1},
        ("turn", "arch", "upright", "bend"),
        alike=0.3,
        pitch=(-18, 25),
        roll=18,
    ),
    "exercising": Activity(
        (("half_squat", "half_squat"), ("lunge_front", "lunge_back"), ("wide", "wide"), ("tuck", "tuck")),
        {"forward": 2, "side": 2, "overhead": 2, "akimbo": 1, "bent": 1, "to_head": 1, "raised": 1},
        ("upright", "turn", "bend"),
        alike=0.7,
        pitch=(-5, 35),
        roll=10,
    ),
    "lying": Activity(
        (("straight", "straight"), ("loose", "straight"), ("tuck", "tuck"), ("wide", "loose")),
        _FREE | {"side": 3, "overhead": 1, "raised": 2},
        ("upright", "turn", "slouch"),
        pitch=(-105, -75),
        roll=25,
    ),
}

# What people do in each set. They differ on purpose: what helps on one set has to carry over to another.
MIXES: dict[str, dict[str, float]] = {
    "coco": {
        "standing": 22, "walking": 10, "walking_busy": 6, "running": 8, "sitting": 16, "crouching": 7, "bending": 6,
        "reaching": 9, "arms_raised": 5, "kicking": 4, "throwing": 6, "lying": 1,
    },
    "mpii": {
        "standing": 10, "walking": 6, "running": 8, "sitting": 12, "crouching": 9, "bending": 7, "reaching": 10,
        "arms_raised": 7, "kicking": 6, "throwing": 6, "dancing": 10, "exercising": 8, "lying": 1,
    },
    "mpi_inf_3dhp": {
        "standing": 16, "walking": 14, "sitting": 16, "crouching": 10, "exercising": 20, "reaching": 12,
        "arms_raised": 6, "kicking": 6,
    },
    "3dpw_train": {
        "standing": 18, "walking": 20, "walking_busy": 12, "running": 8, "sitting": 10, "reaching": 10, "bending": 8,
        "arms_raised": 6, "crouching": 8,
    },
    "3dpw_validation": {
        "standing": 20, "walking": 18, "walking_busy": 8, "running": 8, "sitting": 12, "reaching": 12, "throwing": 8,
        "crouching": 8, "dancing": 6,
    },
    "3dpw_test": {
        "standing": 16, "walking": 16, "walking_busy": 10, "running": 12, "sitting": 10, "reaching": 8, "throwing": 8,
        "kicking": 8, "crouching": 6, "dancing": 6,
    },
    "amass": {
        "standing": 12, "walking": 20, "walking_busy": 5, "running": 9, "sitting": 9, "crouching": 8, "bending": 6,
        "reaching": 8, "arms_raised": 5, "kicking": 5, "throwing": 5, "dancing": 10, "exercising": 8, "lying": 2,
    },
}  # fmt: skip


class Poses(NamedTuple):
    """Poses of N people.

    Attributes:
        angles: (N, R, 3) swing-twist angles in degrees.
        lean: (N, 2) pitch and roll of the pelvis in degrees.
        activity: (N,) name.
    """

    angles: Floats
    lean: Floats
    activity: NDArray[np.str_]

    def body_pose(self) -> torch.Tensor:
        """(N, R, 3, 3) joint rotations."""
        return swing_twist_to_matrix(torch.from_numpy(self.angles))

    def global_orient(self, yaw: NDArray[Any]) -> torch.Tensor:
        """(N, 3, 3) root rotations in a world with y up; yaw (N,) radians, 0 looks along z."""
        lean = torch.deg2rad(torch.from_numpy(self.lean))
        zero = torch.zeros(len(lean))
        heading = axis_angle_to_matrix(torch.stack((zero, torch.as_tensor(yaw, dtype=torch.float32), zero), -1))
        pitch = axis_angle_to_matrix(torch.stack((lean[:, 0], zero, zero), -1))
        roll = axis_angle_to_matrix(torch.stack((zero, zero, lean[:, 1]), -1))
        return heading @ roll @ pitch


def _indices(part: str, side: str) -> int:
    name = part if part in BODY_JOINT_NAMES else f"{side}_{part}"
    return BODY_JOINT_NAMES.index(name)


_SWAP = mirror_permutation(BODY_JOINT_NAMES)
_REFLECT = np.array([1, -1, -1], dtype=np.float32)
_LOW, _HIGH = LOW.numpy() + MARGIN_DEG, HIGH.numpy() - MARGIN_DEG


def _draw_one(rng: np.random.Generator, activity: Activity) -> tuple[Floats, Floats]:
    """One pose: (R, 3) angles and (2,) lean. Gestures are drawn for the left sense, then mirrored if need be."""
    angles = np.zeros((SMPL.num_rotations, 3), dtype=np.float32)

    def fill(gesture: Gesture, side: str) -> None:
        for part, ranges in gesture.items():
            low, high = np.array(ranges, dtype=np.float32).T
            value = low + (high - low) * rng.random(3, dtype=np.float32)
            angles[_indices(part, side)] = value * _REFLECT if side == "right" else value

    legs = activity.legs[rng.integers(len(activity.legs))]
    gestures = list(activity.arms)
    if activity.swing:
        arms = gestures[:2]
    else:
        weights = np.array(list(activity.arms.values()), dtype=float)
        first, second = rng.choice(gestures, 2, p=weights / weights.sum())
        arms = [first, first if rng.random() < activity.alike else second]
    for side, leg, arm in zip(("left", "right"), legs, arms, strict=True):
        fill({"foot": _FOOT} | LEGS[leg], side)
        fill({"collar": ((-8, 8), (-10, 8), (-6, 12)), "wrist": _HAND} | ARMS[arm], side)
    fill(TRUNKS[activity.trunks[rng.integers(len(activity.trunks))]], "middle")
    lean = np.array([rng.uniform(*activity.pitch), rng.uniform(-activity.roll, activity.roll)], dtype=np.float32)
    angles += rng.normal(0, 2.5, angles.shape).astype(np.float32)
    angles[[_indices("hand", "left"), _indices("hand", "right")]] = 0  # SMPL's hands stay flat
    if rng.random() < 0.5:
        angles, lean = angles[_SWAP] * _REFLECT, lean * np.array([1, -1], dtype=np.float32)
    return np.clip(angles, _LOW, _HIGH), lean


def draw_poses(rng: np.random.Generator, activities: NDArray[np.str_], rest_joints: torch.Tensor) -> Poses:
    """Draw a pose for each activity.

    Args:
        rng: source of the random numbers.
        activities: (N,) names, e.g. from :func:`draw_activities`.
        rest_joints: (1 + R, 3) joints of the unposed body in metres, for the test that no limb runs through the body.
    """
    angles = np.zeros((len(activities), SMPL.num_rotations, 3), dtype=np.float32)
    lean = np.zeros((len(activities), 2), dtype=np.float32)
    missing = np.arange(len(activities))
    while len(missing):
        for index in missing:
            angles[index], lean[index] = _draw_one(rng, ACTIVITIES[activities[index]])
        missing = missing[limbs_collide(angles[missing], rest_joints)]
    return Poses(angles, lean, activities)


def draw_activities(rng: np.random.Generator, mix: dict[str, float], count: int) -> NDArray[np.str_]:
    """(count,) names of activities, drawn with the weights of a mix."""
    weights = np.array(list(mix.values()), dtype=float)
    return rng.choice(np.array(list(mix)), count, p=weights / weights.sum())


def draw_motion(
    rng: np.random.Generator, mix: dict[str, float], frames: int, fps: float, rest_joints: torch.Tensor
) -> Poses:
    """A smooth motion through drawn poses; a person mostly keeps on doing what they do.

    The blend is monotone between two poses in each angle, and the joint limits form a box, so it stays inside.
    """
    seconds = frames / fps
    times = np.cumsum(rng.uniform(*KEY_SECONDS, int(seconds / KEY_SECONDS[0]) + 3))
    times = times[: np.searchsorted(times, seconds + times[0]) + 1] - times[0]
    activities = draw_activities(rng, mix, len(times))
    for i in range(1, len(times)):
        if rng.random() < 0.7:
            activities[i] = activities[i - 1]
    keys = draw_poses(rng, activities, rest_joints)
    at = np.arange(frames) / fps
    return Poses(
        PchipInterpolator(times, keys.angles)(at).astype(np.float32),
        PchipInterpolator(times, keys.lean)(at).astype(np.float32),
        activities[np.clip(np.searchsorted(times, at, side="right") - 1, 0, None)],
    )


def posed_joints(angles: Floats, rest_joints: torch.Tensor) -> Floats:
    """(N, 1 + R, 3) SMPL joints in metres of poses (N, R, 3), with the root unturned."""
    rotations = torch.eye(3).repeat(len(angles), len(SMPL.joints), 1, 1)
    rotations[:, 1:] = swing_twist_to_matrix(torch.from_numpy(angles))
    parents = torch.tensor(SMPL.parents)
    return batch_rigid_transform(rotations, rest_joints.expand(len(angles), -1, -1), parents)[0].numpy()


def limbs_collide(angles: Floats, rest_joints: torch.Tensor) -> NDArray[np.bool_]:
    """(N,) whether limbs come nearer to each other or to the trunk than their thickness."""
    joints = posed_joints(angles, rest_joints)
    place = {name: joints[:, i] for i, name in enumerate(SMPL.joints)}
    steps = np.linspace(0, 1, 6, dtype=np.float32)[:, None]

    def line(a: str, b: str, extend: float = 0.0) -> Floats:
        """(N, 6, 3) points from joint a to joint b, or beyond it."""
        start, end = place[a][:, None], place[b][:, None]
        return start + (end - start) * steps * (1 + extend)

    def near(one: Floats, other: Floats, distance: float) -> NDArray[np.bool_]:
        return np.linalg.norm(one[:, :, None] - other[:, None], axis=-1).min((1, 2)) < distance

    trunk = np.concatenate([line("pelvis", "spine3"), line("spine3", "neck")], axis=1)
    head = line("neck", "head", extend=1.0)
    result = np.zeros(len(angles), dtype=bool)
    for side in ("left", "right"):
        other = "right" if side == "left" else "left"
        elbow, forearm = place[f"{side}_elbow"][:, None], line(f"{side}_elbow", f"{side}_wrist")
        hand = line(f"{side}_wrist", f"{side}_hand", extend=0.8)
        shin = line(f"{side}_knee", f"{side}_ankle")
        result |= near(elbow, trunk, 0.16) | near(forearm, trunk, 0.13) | near(hand, trunk, 0.12)
        result |= near(hand, head, 0.12) | near(forearm, head, 0.12) | near(elbow, head, 0.13)
        for leg in (side, other):
            result |= near(hand, line(f"{leg}_hip", f"{leg}_knee"), 0.085)
            result |= near(hand, line(f"{leg}_knee", f"{leg}_ankle"), 0.07)
            result |= near(forearm, line(f"{leg}_hip", f"{leg}_knee"), 0.10)
        result |= near(place[f"{side}_knee"][:, None], trunk, 0.17) | near(
            shin, line(f"{other}_hip", f"{other}_knee"), 0.11
        )
        result |= near(shin, trunk, 0.16)
    result |= near(line("left_knee", "left_ankle"), line("right_knee", "right_ankle"), 0.09)
    result |= near(line("left_elbow", "left_wrist"), line("right_elbow", "right_wrist"), 0.07)
    result |= near(line("left_wrist", "left_hand", 0.8), line("right_elbow", "right_wrist"), 0.06)
    return result | near(line("right_wrist", "right_hand", 0.8), line("left_elbow", "left_wrist"), 0.06)
