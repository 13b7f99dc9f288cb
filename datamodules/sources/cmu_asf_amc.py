"""CMU motion capture in ASF/AMC, retargeted to SMPL's joint rotations: real human motion without a licence, for priors.

An ASF file is a skeleton: bones with a direction, a length, the axes of their joint and its degrees of freedom. An AMC
file is a motion of it: for each frame the angles of those. A bone's rotation away from the skeleton's rest pose is
``parent * C * M * C^-1`` with C its axes and M its angles [1].

Both rest poses stand upright with the arms out, facing +z, y up, left along +x, but the bones differ. So a bone's
rotation is followed by a constant one between the rest poses:

* root, trunk, head, shoulder girdle and hands keep their rest orientation (both hold the palms down);
* each segment of a limb is turned so that its direction and the hinge of its elbow or knee coincide with SMPL's: the
  legs of an ASF skeleton are spread by 20 degrees, and its elbows bend in a plane that is turned by 30;
* feet and toes are turned so that their soles do: an ASF foot is at right angles to its spread shin;
* a turn of the trunk is shared evenly by the three joints of the spine, of the head by neck and head, of the palm by
  elbow and wrist (a joint of its own in the ASF skeleton): what SMPL's joints and their limits are made for.

The right hand's rz has the sign of the left's in all clips, though its axes are mirrored: as it stands, right hands
would always be bent 15 to 50 degrees towards the thumb, where 25 is the limit, and left ones towards the little finger.
It is taken as mirrored.

[1] J. Lander, Working with Motion Capture File Formats, Game Developer, January 1998; the ASF/AMC specification by
    Acclaim. Data: mocap.cs.cmu.edu, funded by NSF EIA-0196217.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from body_models.bodies import open_body
from body_models.spec import RECORDED_JOINTS, SMPL
from datamodules.columns import Arrays, build_or_open
from datamodules.files import AnnotationError, MissingFilesError, find_files, read_lines
from datamodules.progress import show_progress
from datamodules.sources.amass import Poses, open_built

VERSION = 2
CLIPS = "**/*.amc"
"""Pattern of the clips below a root."""
FRAME_RATE = 120.0
"""Frames a second of the clips; the files do not say it."""
_REMEDY = "Get the clips as .amc and their skeletons as .asf from http://mocap.cs.cmu.edu"
_ROOT = "root"
_ANGLES = {"rx": "x", "ry": "y", "rz": "z"}
_POSITIONS = {"tx", "ty", "tz"}

# Bone that drives each SMPL joint of the midline and the left side; those of the right begin with r.
_DRIVERS = {
    "pelvis": _ROOT, "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax", "neck": "lowerneck",
    "head": "head", "left_collar": "lclavicle", "left_shoulder": "lhumerus", "left_elbow": "lradius",
    "left_wrist": "lhand", "left_hip": "lfemur", "left_knee": "ltibia", "left_ankle": "lfoot", "left_foot": "ltoes",
}  # fmt: skip
# Segments of the left side, joint -> next joint, and the hinge of the limb in SMPL's rest pose.
_SEGMENTS = {
    "left_shoulder": ("left_elbow", (0.0, -1.0, 0.0)),
    "left_elbow": ("left_wrist", (0.0, -1.0, 0.0)),
    "left_hip": ("left_knee", (1.0, 0.0, 0.0)),
    "left_knee": ("left_ankle", (1.0, 0.0, 0.0)),
}
_FEET = ("left_ankle", "left_foot")
_HINGES = {"humerus": "radius", "radius": "radius", "femur": "tibia", "tibia": "tibia"}
"""Bone -> bone whose first axis is the hinge of the limb."""
_CHAINS = (("pelvis", "spine1", "spine2", "spine3"), ("spine3", "neck", "head"))
_UNMIRRORED = ("rhand", 1)


class Bone(NamedTuple):
    """A bone of an ASF skeleton.

    Attributes:
        parent: name of the bone that it hangs on.
        direction: (3,) unit vector in the rest pose.
        length: in the file's own unit.
        axes: (3, 3) axes of its joint, as columns, in the rest pose.
        angles: order of the angles in the motion: some of x, y, z.
    """

    parent: str
    direction: NDArray[np.float64]
    length: float
    axes: NDArray[np.float64]
    angles: str


class Skeleton(NamedTuple):
    """An ASF skeleton.

    Attributes:
        bones: by name, parents first; without the root.
        root_order: the values of the root in a motion: some of tx, ty, tz, rx, ry, rz.
        root_axes: (3, 3) orientation of the root in the rest pose.
        degrees: unit of its angles, and of the motions' unless they say otherwise.
    """

    bones: dict[str, Bone]
    root_order: tuple[str, ...]
    root_axes: NDArray[np.float64]
    degrees: bool


def find_clips(root: Path) -> list[Path]:
    """The clips below a folder, sorted."""
    return find_files(root, CLIPS)


def open_cmu(root: str, cache_dir: str = "cache", fps: float = 10.0) -> Poses:
    """Poses of all clips below a folder, in the order of their sorted paths; the twin of ``open_amass``.

    Args:
        root: folder with ``*.amc``, each with its skeleton beside it (``02_01.amc`` with ``02.asf``).
        cache_dir: folder for caches.
        fps: poses a second that are kept.
    """
    clips = find_clips(Path(root))
    if not clips:
        raise MissingFilesError([f"CMU motion capture: looked for {root}/**/*.amc. {_REMEDY}"])
    skeletons = skeletons_of(clips)
    files = [*clips, *sorted(set(skeletons.values()))]

    def build() -> tuple[Arrays, dict[str, Any]]:
        known = {path: read_asf(path) for path in files[len(clips) :]}
        poses = []
        for clip in show_progress(clips, "reading CMU motion capture"):
            poses.append(read_clip(clip, known[skeletons[clip]], fps)[1])
        numbers = np.repeat(np.arange(len(poses), dtype=np.int32), [len(clip) for clip in poses])
        return {"body_pose": np.concatenate(poses), "sequence": numbers}, {
            "files": list(map(str, clips)),
            "dropped": {},
        }

    folder = build_or_open(cache_dir, "cmu", files, {"fps": fps}, VERSION, build)
    return open_built(folder, Path(root), (CLIPS,))


def skeletons_of(clips: Sequence[Path]) -> dict[Path, Path]:
    """The skeleton beside each clip.

    Raises:
        MissingFilesError: of clips that have none.
    """
    found = {clip: _skeleton_of(clip) for clip in clips}
    lost = [clip for clip, path in found.items() if path is None]
    if lost:
        raise MissingFilesError(
            [f"{clip.with_name(clip.name.split('_')[0])}.asf of {clip}. {_REMEDY}" for clip in lost]
        )
    return {clip: path for clip, path in found.items() if path is not None}


def _skeleton_of(clip: Path) -> Path | None:
    """``02.asf`` for ``02_01.amc``, or the only skeleton of its folder."""
    named = clip.with_name(clip.stem.split("_")[0] + ".asf")
    if named.is_file():
        return named
    others = find_files(clip.parent, "*.asf")
    return others[0] if len(others) == 1 else None


def read_clip(path: Path, skeleton: Skeleton, fps: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(F, 3) root and (F, K, 3) body joint rotations of a clip at ``fps``, axis-angle, y up."""
    motion = read_amc(path, skeleton, max(1, round(FRAME_RATE / fps)))
    return retarget(skeleton, bone_rotations(skeleton, motion))


def read_asf(path: Path) -> Skeleton:
    """A skeleton.

    Raises:
        AnnotationError: it is not an ASF file, or lacks a bone that SMPL's joints need.
    """
    lines = _lines(path)
    try:
        sections = _sections(lines)
        units = dict(line.split()[:2] for line in sections.get("units", []))
        degrees = units.get("angle", "deg").startswith("deg")
        root = {key.lower(): values for key, *values in map(str.split, sections[_ROOT])}
        found = dict(_read_bone(block, degrees) for block in _blocks(sections["bonedata"]))
        parents = {}
        for parent, *children in map(str.split, _blocks(sections["hierarchy"])[0]):
            parents.update(dict.fromkeys(children, parent))
        bones: dict[str, Bone] = {}
        for name in _parents_first(parents):
            bones[name] = found[name]._replace(parent=parents[name])
        axes = _axes(root["axis"][0], root["orientation"], degrees)
        skeleton = Skeleton(bones, tuple(value.lower() for value in root["order"]), axes, degrees)
        _check(skeleton)
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        msg = f"{path} is not an ASF skeleton of the CMU data ({error!r}). {_REMEDY}"
        raise AnnotationError(msg) from error
    return skeleton


def read_amc(path: Path, skeleton: Skeleton, step: int = 1) -> dict[str, NDArray[np.float64]]:
    """Every ``step``-th frame of a motion: (F, n) values of the root and of each bone that moves, angles in radians.

    Raises:
        AnnotationError: it is not an AMC file, is of another skeleton, or is truncated.
    """
    widths = {_ROOT: len(skeleton.root_order), **{name: len(bone.angles) for name, bone in skeleton.bones.items()}}
    moving = [name for name, width in widths.items() if width]
    frames: list[dict[str, list[float]]] = []
    number, degrees, used = 0, skeleton.degrees, True
    for line_number, line in enumerate(_lines(path), 1):
        name, *values = line.split()
        try:
            if name.startswith(":"):
                degrees = {":DEGREES": True, ":RADIANS": False}.get(name.upper(), degrees)
            elif not values:
                number, used = _next_frame(name, number), number % step == 0
                if used:
                    frames.append({})
            elif name not in widths:
                msg = f"bone {name} is not in its skeleton"
                raise ValueError(msg)
            elif not number:
                msg = "values before the first frame"
                raise ValueError(msg)
            elif used:
                if len(values) != widths[name]:
                    msg = f"bone {name} has {len(values)} values, its skeleton {widths[name]}"
                    raise ValueError(msg)
                frames[-1][name] = [float(value) for value in values]
        except ValueError as error:
            msg = f"{path}, line {line_number} (frame {number}): {error}. {_REMEDY}"
            raise AnnotationError(msg) from error
    for index, frame in enumerate(frames):
        missing = [name for name in moving if name not in frame]
        if missing:
            msg = f"{path}: frame {1 + index * step} has no {', '.join(missing[:5])}; it may be truncated. {_REMEDY}"
            raise AnnotationError(msg)
    if not frames:
        msg = f"{path} is not an AMC motion: it has no frames. {_REMEDY}"
        raise AnnotationError(msg)
    motion = {name: np.array([frame[name] for frame in frames]) for name in moving}
    bad = next((name for name, values in motion.items() if not np.isfinite(values).all()), None)
    if bad is not None:
        row = 1 + step * int(np.argmin(np.isfinite(motion[bad]).all(axis=1)))
        msg = f"{path}: frame {row}: bone {bad} has values that are not finite. {_REMEDY}"
        raise AnnotationError(msg)
    if degrees:
        is_angle = np.array([value in _ANGLES for value in skeleton.root_order])
        for name, array in motion.items():
            motion[name] = np.where(is_angle if name == _ROOT else True, np.deg2rad(array), array)
    return motion


def bone_rotations(skeleton: Skeleton, motion: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """(F, 3, 3) rotation of the root and of each bone away from the rest pose, in the world."""
    angles = [i for i, value in enumerate(skeleton.root_order) if value in _ANGLES]
    order = "".join(_ANGLES[skeleton.root_order[i]] for i in angles)
    turned = _from_angles(order, motion[_ROOT][:, angles])
    result = {_ROOT: skeleton.root_axes @ turned @ skeleton.root_axes.T}
    for name, bone in skeleton.bones.items():
        result[name] = result[bone.parent]
        if bone.angles:
            turns = motion[name]
            if name == _UNMIRRORED[0] and len(bone.angles) > _UNMIRRORED[1]:
                turns = turns * np.where(np.arange(len(bone.angles)) == _UNMIRRORED[1], -1, 1)
            result[name] = result[name] @ bone.axes @ _from_angles(bone.angles, turns) @ bone.axes.T
    return result


def retarget(
    skeleton: Skeleton, rotations: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """SMPL's joint rotations for bones turned away from the rest pose.

    Args:
        skeleton: of the motion.
        rotations: (F, 3, 3) by bone, of :func:`bone_rotations`.

    Returns:
        (F, 3) root and (F, K, 3) of RECORDED_JOINTS, axis-angle, in the motion's world (y up).
    """
    posed = {}
    for joint in (SMPL.joints[0], *RECORDED_JOINTS):
        posed[joint] = rotations[_driver(joint)] @ _alignment(skeleton, joint)
    for chain in _CHAINS:
        _share_evenly(posed, chain)
    for side in ("left", "right"):
        _share_twist(posed, f"{side}_elbow", f"{side}_wrist")
    local = [posed["pelvis"]]
    for joint in RECORDED_JOINTS:
        parent = SMPL.joints[SMPL.parents[SMPL.index[joint]]]
        local.append(posed[parent].swapaxes(1, 2) @ posed[joint])
    vectors = Rotation.from_matrix(np.stack(local, axis=1).reshape(-1, 3, 3)).as_rotvec()
    vectors = vectors.reshape(-1, 1 + len(RECORDED_JOINTS), 3).astype(np.float32)
    return vectors[:, 0], vectors[:, 1:]


def _alignment(skeleton: Skeleton, joint: str) -> NDArray[np.float64]:
    """(3, 3) from SMPL's rest pose of a limb's segment to the skeleton's; the identity elsewhere."""
    side, left = joint.split("_")[0], joint.replace("right", "left")
    if left in _SEGMENTS:
        following, hinge = _SEGMENTS[left]
        direction, driver = _rest_direction(joint, following.replace("left", side)), _driver(joint)
        # Mirrored in x, an axis of rotation changes the signs that a rotation vector does.
        axis = np.array(hinge) * ([1, -1, -1] if side == "right" else 1)
    elif left in _FEET:
        direction, driver = np.array([0.0, -1.0, 0.0]), f"{side[0]}tibia"
        axis = np.cross(-direction, _rest_direction(f"{side}_ankle", f"{side}_foot"))
    else:
        return np.eye(3)
    hinge_bone = skeleton.bones[driver[0] + _HINGES[driver[1:]]]
    return np.asarray(_frame(skeleton.bones[driver].direction, hinge_bone.axes[:, 0]) @ _frame(direction, axis).T)


def _share_evenly(posed: dict[str, NDArray[Any]], chain: tuple[str, ...]) -> None:
    """Turn the joints between the first, which stays, and the last, which keeps its orientation, by equal parts."""
    first, *others = chain
    turn = Rotation.from_matrix(posed[first].swapaxes(1, 2) @ posed[others[-1]]).as_rotvec()
    for number, joint in enumerate(others, 1):
        posed[joint] = posed[first] @ Rotation.from_rotvec(turn * (number / len(others))).as_matrix()


def _share_twist(posed: dict[str, NDArray[Any]], elbow: str, wrist: str) -> None:
    """Give the elbow half of the wrist's turn about the forearm, which changes nothing beyond the wrist."""
    axis = _rest_direction(elbow, wrist)
    local = Rotation.from_matrix(posed[elbow].swapaxes(1, 2) @ posed[wrist]).as_quat()
    half_angle = np.arctan2(local[:, :3] @ axis, local[:, 3])
    # The half angle is known up to pi, so the turn up to a full one.
    turn = np.remainder(2 * half_angle + np.pi, 2 * np.pi) - np.pi
    posed[elbow] = posed[elbow] @ Rotation.from_rotvec(turn[:, None] / 2 * axis).as_matrix()


def _driver(joint: str) -> str:
    side, _, _ = joint.partition("_")
    return _DRIVERS[joint] if side != "right" else "r" + _DRIVERS[joint.replace("right", "left")][1:]


@cache
def _rest_joints() -> dict[str, NDArray[np.float64]]:
    """(3,) of each joint of the free body, whose joints lie where SMPL's do."""
    return dict(zip(SMPL.joints, open_body().joint_template.numpy().astype(np.float64), strict=True))


def _rest_direction(joint: str, following: str) -> NDArray[np.float64]:
    """(3,) unit vector from a joint to another in SMPL's rest pose."""
    difference = _rest_joints()[following] - _rest_joints()[joint]
    return np.asarray(difference / np.linalg.norm(difference))


def _frame(direction: NDArray[Any], hinge: NDArray[Any]) -> NDArray[np.float64]:
    """(3, 3) right-handed frame with the direction as its first column, and the hinge in the plane of the first two."""
    first = direction / np.linalg.norm(direction)
    second = hinge - (hinge @ first) * first
    second /= np.linalg.norm(second)
    return np.column_stack((first, second, np.cross(first, second)))


def _from_angles(order: str, angles: NDArray[Any]) -> NDArray[np.float64]:
    """(F, 3, 3) turns about fixed axes in the given order."""
    return np.asarray(Rotation.from_euler(order, angles.reshape(len(angles), len(order))).as_matrix())


def _axes(order: str, angles: list[str], degrees: bool) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_euler(order.lower(), [float(value) for value in angles[:3]], degrees).as_matrix())


def _lines(path: Path) -> list[str]:
    """Lines with content, without comments."""
    stripped = (raw.split("#")[0].strip() for raw in read_lines(path, _REMEDY))
    return [line for line in stripped if line]


def _sections(lines: list[str]) -> dict[str, list[str]]:
    """Lines below each ``:section``, by its name."""
    sections: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith(":"):
            current = sections.setdefault(line[1:].split()[0].lower(), [])
        else:
            current.append(line)
    return sections


def _blocks(lines: list[str]) -> list[list[str]]:
    """Lines between each begin and end."""
    blocks: list[list[str]] = []
    inside = False
    for line in lines:
        if line == "begin":
            blocks.append([])
            inside = True
        elif line == "end":
            inside = False
        elif inside:
            blocks[-1].append(line)
    return blocks


def _read_bone(lines: list[str], degrees: bool) -> tuple[str, Bone]:
    # The lines of limits below the first have no key; they begin with a bracket.
    values = {key: rest for key, *rest in map(str.split, lines) if not key.startswith("(")}
    direction = np.array([float(value) for value in values["direction"]])
    axes = _axes(values["axis"][3], values["axis"], degrees)
    dofs = [value.lower() for value in values.get("dof", [])]
    angles = "".join(_ANGLES[value] for value in dofs)
    return values["name"][0], Bone("", direction, float(values["length"][0]), axes, angles)


def _parents_first(parents: Mapping[str, str]) -> list[str]:
    """The bones in an order in which each follows its parent."""
    order: list[str] = []
    level = [_ROOT]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        if len(order) > len(parents):
            msg = "the hierarchy has a circle"
            raise ValueError(msg)
        order += level
    return order


def _check(skeleton: Skeleton) -> None:
    """Raise ValueError for bones that are missing, have no direction, or bend about themselves."""
    needed = {_driver(joint) for joint in RECORDED_JOINTS}
    missing = sorted(needed - set(skeleton.bones))
    if missing:
        msg = f"no bone {', '.join(missing)}"
        raise ValueError(msg)
    for name, bone in skeleton.bones.items():
        if bone.direction.shape != (3,) or not np.isfinite(bone.direction).all() or not bone.direction.any():
            msg = f"bone {name} has no direction"
            raise ValueError(msg)
    for name, axes in {_ROOT: skeleton.root_axes, **{name: bone.axes for name, bone in skeleton.bones.items()}}.items():
        if not np.isfinite(axes).all():
            msg = f"the axes of bone {name} are not finite"
            raise ValueError(msg)
    for joint in RECORDED_JOINTS:
        with np.errstate(divide="ignore", invalid="ignore"):
            aligned = _alignment(skeleton, joint)
        if not np.isfinite(aligned).all():
            msg = f"the hinge of bone {_driver(joint)} lies along it"
            raise ValueError(msg)
    unknown = set(skeleton.root_order) - _POSITIONS - set(_ANGLES)
    if unknown:
        msg = f"order of the root has {', '.join(sorted(unknown))}"
        raise ValueError(msg)


def _next_frame(name: str, number: int) -> int:
    """The number of a frame, which must follow the one before."""
    if not re.fullmatch(r"\d+", name) or int(name) != number + 1:
        msg = f"{name!r} where frame {number + 1} should begin"
        raise ValueError(msg)
    return int(name)
