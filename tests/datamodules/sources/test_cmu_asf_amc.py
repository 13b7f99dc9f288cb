"""ASF/AMC clips: hand-made ones against angles worked out by hand, real ones against their own bones."""

from __future__ import annotations

import codecs
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from body_models.joint_limits import degrees_outside
from body_models.joint_sets import SMPL_JOINTS, SMPL_PARENTS
from body_models.smpl import BodyModel
from datamodules.files import AnnotationError, MissingFilesError
from datamodules.pose_prior import PosePriorDataModule
from datamodules.sources.cmu_asf_amc import bone_rotations, open_cmu, read_amc, read_asf, read_clip, retarget
from datamodules.sources.poses import open_poses

# name -> parent, direction, length, axis, angles; a CMU skeleton, rounded.
BONES = {
    "lhipjoint": ("root", (0.65, -0.71, 0.25), 2.5, (0, 0, 0), ""),
    "lfemur": ("lhipjoint", (0.342, -0.940, 0), 7.6, (0, 0, 20), "rx ry rz"),
    "ltibia": ("lfemur", (0.342, -0.940, 0), 7.3, (0, 0, 20), "rx"),
    "lfoot": ("ltibia", (0.0887, -0.2437, 0.9658), 2.2, (-90, 0, 20), "rx rz"),
    "ltoes": ("lfoot", (0, 0, 1), 1.1, (-90, 0, 20), "rx"),
    "rhipjoint": ("root", (-0.65, -0.72, 0.25), 2.5, (0, 0, 0), ""),
    "rfemur": ("rhipjoint", (-0.342, -0.940, 0), 7.6, (0, 0, -20), "rx ry rz"),
    "rtibia": ("rfemur", (-0.342, -0.940, 0), 7.2, (0, 0, -20), "rx"),
    "rfoot": ("rtibia", (-0.0887, -0.2437, 0.9658), 2.2, (-90, 0, -20), "rx rz"),
    "rtoes": ("rfoot", (0, 0, 1), 1.1, (-90, 0, -20), "rx"),
    "lowerback": ("root", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    "upperback": ("lowerback", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    "thorax": ("upperback", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    "lowerneck": ("thorax", (0, 1, 0), 1.5, (0, 0, 0), "rx ry rz"),
    "upperneck": ("lowerneck", (0, 1, 0), 1.5, (0, 0, 0), "rx ry rz"),
    "head": ("upperneck", (0, 1, 0), 1.6, (0, 0, 0), "rx ry rz"),
    "lclavicle": ("thorax", (0.97, 0.25, 0), 3.6, (0, 0, 0), "ry rz"),
    "lhumerus": ("lclavicle", (1, 0, 0), 4.9, (180, -30, -90), "rx ry rz"),
    "lradius": ("lhumerus", (1, 0, 0), 3.4, (180, -30, -90), "rx"),
    "lwrist": ("lradius", (1, 0, 0), 1.7, (0, 90, 90), "ry"),
    "lhand": ("lwrist", (1, 0, 0), 0.7, (0, 90, 90), "rx rz"),
    "rclavicle": ("thorax", (-0.97, 0.25, 0), 3.6, (0, 0, 0), "ry rz"),
    "rhumerus": ("rclavicle", (-1, 0, 0), 5.0, (180, 30, 90), "rx ry rz"),
    "rradius": ("rhumerus", (-1, 0, 0), 3.4, (180, 30, 90), "rx"),
    "rwrist": ("rradius", (-1, 0, 0), 1.7, (0, -90, -90), "ry"),
    "rhand": ("rwrist", (-1, 0, 0), 0.7, (0, -90, -90), "rx rz"),
}
WIDTHS = {"root": 6, **{name: len(bone[4].split()) for name, bone in BONES.items()}}
# The legs of a rest pose are spread; turned back by this they hang as SMPL's do.
LEGS_DOWN = {"lfemur": [0, 0, -20], "rfemur": [0, 0, 20]}


def write_asf(path: Path) -> None:
    """A skeleton in the words and the order of CMU's."""
    blocks = []
    for number, (name, (_, direction, length, axis, dof)) in enumerate(BONES.items(), 1):
        lines = [
            f"id {number}", f"name {name}", f"direction {' '.join(map(str, direction))}", f"length {length}",
            f"axis {' '.join(map(str, axis))} XYZ",
        ]  # fmt: skip
        if dof:
            lines += [f"dof {dof}", "limits (-160.0 20.0)", *["       (-70.0 70.0)"] * (len(dof.split()) - 1)]
        blocks.append("  begin\n" + "".join(f"     {line}\n" for line in lines) + "  end\n")
    children: dict[str, list[str]] = {}
    for name, bone in BONES.items():
        children.setdefault(bone[0], []).append(name)
    hierarchy = "".join(f"    {parent} {' '.join(names)}\n" for parent, names in children.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "# a comment\n:version 1.10\n:name VICON\n:units\n  mass 1.0\n  length 0.45\n  angle deg\n"
        ":documentation\n   free text\n:root\n   order TX TY TZ RX RY RZ\n   axis XYZ\n   position 0 0 0\n"
        "   orientation 0 0 0\n:bonedata\n" + "".join(blocks) + ":hierarchy\n  begin\n" + hierarchy + "  end\n"
    )


def write_amc(path: Path, frames: list[dict[str, list[float]]], unit: str = "DEGREES") -> None:
    """A motion; bones without values stay at rest."""
    text = f"#!OML:ASF somewhere\n:FULLY-SPECIFIED\n:{unit}\n"
    for number, frame in enumerate(frames, 1):
        text += f"{number}\n"
        for name, width in WIDTHS.items():
            if width:
                text += f"{name} {' '.join(map(str, frame.get(name, [0.0] * width)))}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def cmu_root(tmp_path: Path) -> Path:
    """Two subjects with a clip of 36 and one of 24 frames."""
    root = tmp_path / "cmu"
    for subject, count in (("02", 36), ("10", 24)):
        write_asf(root / subject / f"{subject}.asf")
        frames = [{"root": [0, 16, 0, 0, 5.0 * i, 0], "lradius": [float(i)], **LEGS_DOWN} for i in range(count)]
        write_amc(root / subject / f"{subject}_01.amc", frames)
    return root


def pose_of(tmp_path: Path, frame: dict[str, list[float]]) -> dict[str, np.ndarray]:
    """Local rotations in degrees by SMPL joint, of one frame on legs that hang down."""
    write_asf(tmp_path / "one.asf")
    write_amc(tmp_path / "one_01.amc", [{**LEGS_DOWN, **frame}])
    orient, body = read_clip(tmp_path / "one_01.amc", read_asf(tmp_path / "one.asf"), 120)
    return dict(zip(SMPL_JOINTS, np.degrees(np.concatenate((orient[0][None], body[0]))), strict=False))


def test_a_skeleton_that_stands_gives_smpls_rest_pose(tmp_path: Path) -> None:
    pose = pose_of(tmp_path, {})
    for joint in ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar", "left_foot"):
        np.testing.assert_allclose(pose[joint], 0, atol=1e-3)
    for joint in ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"):
        # Straight legs and feet against SMPL's, whose ankles stand a little inside and whose feet point 11 degrees out.
        assert np.abs(pose[joint]).max() < 12, joint
    # The elbow's hinge is turned against SMPL's, which the upper arm's twist makes up for, and the hand undoes.
    np.testing.assert_allclose(pose["left_shoulder"], [-30, 0, 0], atol=7)
    twist = pose["left_shoulder"][0] + pose["left_elbow"][0] + pose["left_wrist"][0]
    assert abs(twist) < 3


@pytest.mark.parametrize(
    ("frame", "joint", "expected"),
    [
        # Axis-angle in degrees by hand: SMPL's x is to the left, y up, z forward.
        ({"root": [0, 0, 0, 0, 90, 0]}, "pelvis", [0, 90, 0]),
        ({"lradius": [60]}, "left_elbow", [0, -60, 0]),
        ({"rradius": [60]}, "right_elbow", [0, 60, 0]),
        ({"ltibia": [50]}, "left_knee", [50, 0, 0]),
        ({"rtibia": [50]}, "right_knee", [50, 0, 0]),
        ({"lowerback": [30, 0, 0], "thorax": [15, 0, 0]}, "spine2", [15, 0, 0]),
        ({"head": [0, 40, 0]}, "neck", [0, 20, 0]),
        ({"head": [0, 40, 0]}, "head", [0, 20, 0]),
        ({"lfemur": [-40, 0, -20]}, "left_hip", [-40, 0, 0]),
        ({"lclavicle": [0, 12]}, "left_collar", [0, 0, 12]),
        ({"lhand": [-30, 0]}, "left_wrist", [0, 0, 30]),
        ({"rhand": [-30, 0]}, "right_wrist", [0, 0, -30]),
        ({"lhand": [0, 25]}, "left_wrist", [0, 25, 0]),
        ({"rhand": [0, 25]}, "right_wrist", [0, -25, 0]),
    ],
)
def test_one_joint_at_a_time(frame: dict, joint: str, expected: list[float], tmp_path: Path) -> None:
    at_rest, turned = pose_of(tmp_path, {}), pose_of(tmp_path, frame)
    rest, moved = (Rotation.from_rotvec(pose[joint], degrees=True) for pose in (at_rest, turned))
    # The rest poses differ by a few degrees at limbs, and by the twist of the arms, which hands inherit.
    tolerance = 16 if "wrist" in joint else 7
    np.testing.assert_allclose((moved * rest.inv()).as_rotvec(degrees=True), expected, atol=tolerance)


def test_turning_the_palm_is_shared_by_elbow_and_wrist(tmp_path: Path) -> None:
    at_rest, turned = pose_of(tmp_path, {}), pose_of(tmp_path, {"lwrist": [-60]})
    for joint in ("left_elbow", "left_wrist"):
        np.testing.assert_allclose(turned[joint][0] - at_rest[joint][0], 30, atol=3)


def test_radians_and_degrees_are_the_same_motion(tmp_path: Path) -> None:
    write_asf(tmp_path / "a.asf")
    frames = [{"root": [1, 2, 3, 10, 20, 30], "lfemur": [5, 6, 7], "rradius": [45]}]
    write_amc(tmp_path / "a_01.amc", frames)
    radians = {name: [*values[:3], *np.radians(values[3:])] for name, values in frames[0].items() if name == "root"}
    radians |= {name: np.radians(values).tolist() for name, values in frames[0].items() if name != "root"}
    write_amc(tmp_path / "a_02.amc", [radians], "RADIANS")
    skeleton = read_asf(tmp_path / "a.asf")
    first, second = (read_amc(tmp_path / name, skeleton) for name in ("a_01.amc", "a_02.amc"))
    np.testing.assert_allclose(first["root"], second["root"])
    np.testing.assert_allclose(first["root"][0], [1, 2, 3, *np.radians([10, 20, 30])])
    np.testing.assert_allclose(first["lfemur"], second["lfemur"])


def test_clips_below_a_folder_become_one_table(cmu_root: Path, tmp_path: Path) -> None:
    poses, sequence, _ = open_cmu(str(cmu_root), str(tmp_path / "cache"), fps=10)
    assert poses.shape == (3 + 2, 21, 3)
    assert poses.dtype == np.float32
    assert sequence.tolist() == [0, 0, 0, 1, 1]
    elbow = SMPL_JOINTS.index("left_elbow") - 1
    bent = np.degrees(np.linalg.norm(poses[:, elbow], axis=1))
    # Frames 0, 12 and 24 bend the elbow by as many degrees, beside its twist.
    assert np.diff(bent[:3]).tolist() == sorted(np.diff(bent[:3]).tolist())
    np.testing.assert_allclose(poses[1, elbow], poses[4, elbow], atol=1e-6)
    again, _, _ = open_poses(str(cmu_root), str(tmp_path / "cache"), fps=10)
    np.testing.assert_array_equal(again, poses)


def test_a_folder_with_one_skeleton_serves_all_its_clips(cmu_root: Path, tmp_path: Path) -> None:
    (cmu_root / "02" / "02_01.amc").rename(cmu_root / "02" / "walk.amc")
    assert len(open_cmu(str(cmu_root), str(tmp_path / "cache"))[0]) == 5


def test_the_prior_trains_on_either_kind(cmu_root: Path, amass_root: Path, tmp_path: Path) -> None:
    for root in (cmu_root, amass_root):
        data = PosePriorDataModule(str(root), batch_size=2, cache_dir=str(tmp_path / "cache"))
        data.prepare_data()
        data.setup()
        assert next(iter(data.val_dataloader())).shape[1:] == (21, 3)


def test_files_of_macos_and_byte_order_marks(cmu_root: Path, tmp_path: Path) -> None:
    before = open_cmu(str(cmu_root), str(tmp_path / "cache"))
    for name in ("._02_01.amc", "._02.asf"):
        (cmu_root / "02" / name).write_bytes(b"\x00\x05\x16\x07")
    for path in (cmu_root / "02/02.asf", cmu_root / "02/02_01.amc"):
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    after = open_cmu(str(cmu_root), str(tmp_path / "cache"))
    np.testing.assert_array_equal(after.body_pose, before.body_pose)
    assert (before.dropped, after.dropped) == ({}, {"._ file of macOS": 1})


def test_open_poses_wants_one_kind(cmu_root: Path, amass_root: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"looked for .*_poses\.npz.* and for \*\.amc"):
        open_poses(str(tmp_path / "nothing"), str(tmp_path / "cache"))
    shutil.copy(amass_root / "CMU" / "00" / "walk_poses.npz", cmu_root / "a_poses.npz")
    with pytest.raises(AnnotationError, match="would count twice"):
        open_poses(str(cmu_root), str(tmp_path / "cache"))


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return fault


def _cut(name: str, keep: float) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: int(len(data) * keep)])

    return fault


AMC, ASF = "02/02_01.amc", "02/02.asf"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_edit(AMC, "\nhead ", "\nantlers "), r"02_01\.amc, line \d+ \(frame 1\): bone antlers is not in its skeleton"),
        (_edit(AMC, "\nlradius 0.0", "\nlradius 0.0 1.0"), r"02_01\.amc, .*bone lradius has 2 values, its skeleton 1"),
        (_edit(AMC, "\nlradius 0.0", "\nlradius zero"), r"02_01\.amc, line \d+ \(frame 1\): could not convert"),
        (
            _edit(AMC, "\nlradius 0.0", "\nlradius nan"),
            r"02_01\.amc: frame 1: bone lradius has values that are not fin",
        ),
        (_edit(AMC, "\nlradius 0.0", ""), r"02_01\.amc: frame 1 has no lradius; it may be truncated"),
        (_edit(AMC, "\n3\n", "\n4\n"), r"02_01\.amc, .*'4' where frame 3 should begin"),
        (_edit(AMC, "\n1\n", "\n"), r"02_01\.amc, .*values before the first frame"),
        (_cut(AMC, 0.01), r"02_01\.amc.*Get the clips"),
        (_cut(AMC, 0.0), r"02_01\.amc is not an AMC motion: it has no frames"),
        (_cut(ASF, 0.9), r"02\.asf is not an ASF skeleton"),
        (_cut(ASF, 0.5), r"02\.asf is not an ASF skeleton"),
        (_cut(ASF, 0.0), r"02\.asf is not an ASF skeleton"),
        (_edit(ASF, "direction 1 0 0", "direction 0 0 0"), r"02\.asf is not .*bone lhumerus has no direction"),
        (_edit(ASF, "name lfemur", "name thigh"), r"02\.asf is not an ASF skeleton .*lfemur"),
        (_edit(ASF, "dof rx ry rz", "dof rx ry l"), r"02\.asf is not an ASF skeleton .*'l'"),
        (_edit(ASF, "order TX", "order QX"), r"02\.asf is not an ASF skeleton .*order of the root has qx"),
        (_edit(ASF, "    root ", "    nobody "), r"02\.asf is not an ASF skeleton .*no bone"),
        (lambda root: (root / ASF).write_bytes(b"\xff\xfe\x00"), r"02\.asf is not text"),
        (lambda root: (root / ASF).unlink(), r"02/02\.asf of .*02_01\.amc\. Get the clips"),
        (lambda root: shutil.rmtree(root), r"looked for .*\*\.amc\. Get the clips"),
    ],
)
def test_wrong_clips_are_named(fault: Callable, message: str, cmu_root: Path, tmp_path: Path) -> None:
    fault(cmu_root)
    with pytest.raises((AnnotationError, MissingFilesError), match=message):
        open_cmu(str(cmu_root), str(tmp_path / "cache"))


def test_a_clip_cut_in_a_kept_frame_is_refused(cmu_root: Path, tmp_path: Path) -> None:
    lines = (cmu_root / AMC).read_text().splitlines()
    (cmu_root / AMC).write_text("\n".join(lines[: lines.index("25") + 4]))
    with pytest.raises(AnnotationError, match=r"frame 25 has no .*; it may be truncated"):
        open_cmu(str(cmu_root), str(tmp_path / "cache"))


# --- real clips -------------------------------------------------------------------------------------------------------

REST = BodyModel("free").joint_template.numpy()
SEGMENTS = [
    (f"{side}_{joint}", f"{side}_{following}", side[0] + bone)
    for side in ("left", "right")
    for joint, following, bone in (
        ("shoulder", "elbow", "humerus"), ("elbow", "wrist", "radius"), ("hip", "knee", "femur"),
        ("knee", "ankle", "tibia"), ("ankle", "foot", "foot"),
    )
]  # fmt: skip


def _angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.degrees(np.arccos(np.clip((first * second).sum(-1) / lengths, -1, 1)))


def test_real_clips_keep_their_limbs_and_stay_within_joint_limits(samples_folder: Path) -> None:
    folder, errors, outside = samples_folder / "cmu_mocap", {}, []
    if not folder.is_dir():
        pytest.skip("no motion capture among the samples")
    for clip in sorted(folder.glob("*.amc")):
        skeleton = read_asf(folder / f"{clip.stem[:2]}.asf")
        rotations = bone_rotations(skeleton, read_amc(clip, skeleton, 12))
        vectors = np.concatenate([part.reshape(len(part), -1, 3) for part in retarget(skeleton, rotations)], axis=1)
        local = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(-1, 22, 3, 3)
        world, joints = [local[:, 0]], [np.zeros((len(local), 3))]
        for joint in range(1, 22):
            parent = SMPL_PARENTS[joint]
            world.append(world[parent] @ local[:, joint])
            joints.append(joints[parent] + world[parent] @ (REST[joint] - REST[parent]))
        place = {name: joints[i] for i, name in enumerate(SMPL_JOINTS[:22])}
        for joint, following, bone in SEGMENTS:
            posed = rotations[bone] @ skeleton.bones[bone].direction
            errors.setdefault(bone, []).append(_angle(place[following] - place[joint], posed))
        ends = {"root": np.zeros((len(local), 3))}
        for name, bone in skeleton.bones.items():
            ends[name] = ends[bone.parent] + rotations[name] @ bone.direction * bone.length
        trunk = ends["thorax"] - (ends["lhipjoint"] + ends["rhipjoint"]) / 2
        hips = (place["left_hip"] + place["right_hip"]) / 2
        errors.setdefault("trunk", []).append(_angle(place["neck"] - hips, trunk))
        arm = ends["lwrist"] - ends["lclavicle"]
        errors.setdefault("arm", []).append(_angle(place["left_wrist"] - place["left_shoulder"], arm))
        body_pose = np.tile(np.eye(3), (len(local), 23, 1, 1))
        body_pose[:, :21] = local[:, 1:]
        outside.append(degrees_outside(torch.from_numpy(body_pose))[:, :21].numpy())
    means = {bone: float(np.concatenate(values).mean()) for bone, values in errors.items()}
    for bone in ("humerus", "radius", "femur", "tibia"):
        assert means["l" + bone] < 0.01
        assert means["r" + bone] < 0.01
    # SMPL's foot falls more steeply than the markers' in the rest pose; the soles are what is aligned.
    assert max(means["lfoot"], means["rfoot"]) < 9
    assert means["trunk"] < 3.5
    # The body's forearm is shorter against its upper arm than the actor's.
    assert means["arm"] < 3
    excess = np.concatenate(outside)
    assert len(excess) == 969
    assert (excess > 0.1).mean() < 0.017
    assert (excess > 10).mean() < 0.002
    # Knees and elbows bend one way only: none is half a turn off.
    assert excess[:, [SMPL_JOINTS.index(name) - 1 for name in ("left_knee", "right_knee")]].max() < 1
    assert math.isclose(float(excess.min()), 0.0)
