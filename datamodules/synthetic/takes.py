"""Recordings: people who move on, in a studio, in the wild, or as bare motion capture without pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from body_models.joint_sets import MPI_INF_3DHP28
from body_models.spec import SMPL
from datamodules.synthetic.appearance import dress, dress_for_studio
from datamodules.synthetic.bodies import draw_betas, load_body, pose_bodies, to_axis_angle, write_image
from datamodules.synthetic.cameras import Camera, studio_rig, walking_camera
from datamodules.synthetic.poses import MIXES, Poses, draw_motion
from datamodules.synthetic.scenes import Figure, Light, draw_background, draw_light, draw_scene, draw_studio, draw_thing

Floats = NDArray[np.float64]

CODES = {"mpi_inf_3dhp": 11, "threedpw_train": 12, "threedpw_validation": 13, "threedpw_test": 14, "amass": 15}
STUDIO_CODE = 20
STUDIO_SIZE, OUTDOOR_SIZE = (320, 320), (256, 320)
STUDIO_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""Those of the 14 whose pictures are written: the ones at chest and knee height."""
STUDIO_LIGHT = Light(
    np.array([0.2, -0.85, -0.49], dtype=np.float32), np.full(3, 0.5, np.float32), np.full(3, 0.8, np.float32)
)
"""Bright and even, as studios are lit."""
FPS = {"mpi_inf_3dhp": 2.0, "threedpw": 3.0, "amass": 10.0}
"""Slower than real recordings, so that a small world still sees many poses."""
FLOOR = -0.95  # metres, below the studio's origin
THING_SHARE = 0.15

# Body joints that stand for the 28 of MPI-INF-3DHP: as the joint set compares them, and the nearest for the others.
_NEAREST = {
    "spine": "spine1", "spine2": "spine2", "spine3": "spine3", "spine4": "mpii_thorax", "head": "extra_jaw",
    "left_clavicle": "left_collar", "left_hand": "left_hand", "left_foot": "left_foot", "left_toe": "left_big_toe",
    "right_clavicle": "right_collar", "right_hand": "right_hand", "right_foot": "right_foot",
    "right_toe": "right_big_toe",
}  # fmt: skip
STUDIO_JOINTS = [
    SMPL.index[body or _NEAREST[name]] for name, body in zip(MPI_INF_3DHP28.names, MPI_INF_3DHP28.body, strict=True)
]
# The 18 joints of OpenPose's COCO model, as in 3DPW's poses2d; its neck is between the shoulders.
OPENPOSE18 = (
    "nose", "lsp_neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "lsp_right_hip", "right_knee", "right_ankle", "lsp_left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
_OPENPOSE_INDEX = [SMPL.index[name] for name in OPENPOSE18]


@dataclass
class Track:
    """A person over F frames, in the world's frame.

    Attributes:
        poses: (F, P) axis-angle, the root first.
        trans: (F, 3) metres.
        betas: (S,)
        gender: neutral, male or female.
        joints: (F, J, 3) body joints, metres.
        poses2d: (F, 3, 18) OpenPose joints in pixels with confidence; zeros where there is no picture.
        angles: (F, R, 3) swing-twist angles, for the comparison of the sets.
    """

    poses: Floats
    trans: Floats
    betas: Floats
    gender: str
    joints: Floats
    poses2d: Floats
    angles: NDArray[np.float32]


@dataclass
class Take:
    """A recording: tracks of people, and the cameras; one a frame for a moving camera, one each for a rig."""

    tracks: list[Track]
    cameras: list[Camera]


def _walk(rng: np.random.Generator, frames: int, fps: float, reach: float) -> tuple[Floats, Floats]:
    """A path on the floor: (F, 2) metres and heading (F,) radians, within about ``reach`` of the origin."""
    turn = rng.normal(0, 0.5 / np.sqrt(fps), frames)
    heading = rng.uniform(-np.pi, np.pi) + np.cumsum(uniform_filter1d(turn, 3) * 2.5)
    angle = np.cumsum(rng.uniform(0.0, 0.9, frames) / fps) * rng.choice([-1, 1]) + rng.uniform(0, 2 * np.pi)
    distance = reach * rng.uniform(0.3, 1) * np.abs(np.sin(angle * 0.7 + rng.uniform(0, 3)))
    return np.stack([np.sin(angle), np.cos(angle)], axis=1) * distance[:, None], heading


def _record(
    rng: np.random.Generator,
    body_models: str,
    gender: str,
    betas: Floats,
    motion: Poses,
    fps: float,
    reach: float,
    floor: float,
) -> tuple[Track, NDArray[np.float32]]:
    """Put a motion into the world, feet on the floor. Returns the track and its vertices (F, V, 3)."""
    frames = len(motion.angles)
    body, _ = load_body(body_models, gender)
    path, heading = _walk(rng, frames, fps, reach)
    orient, pose = motion.global_orient(heading), motion.body_pose()
    vertices, joints = pose_bodies(body, orient, pose, np.tile(betas, (frames, 1)))
    trans = np.stack([path[:, 0], floor - vertices[..., 1].min(1), path[:, 1]], axis=1)
    track = Track(
        poses=to_axis_angle(torch.cat((orient[:, None], pose), dim=1)),
        trans=trans,
        betas=betas,
        gender=gender,
        joints=joints + trans[:, None],
        poses2d=np.zeros((frames, 3, len(OPENPOSE18))),
        angles=motion.angles,
    )
    return track, (vertices + trans[:, None]).astype(np.float32)


def make_studio_take(folder: Path, seed: int, subject: int, sequence: int, frames: int, body_models: str) -> Take:
    """Draw and write the pictures of one sequence of MPI-INF-3DHP's layout.

    Args:
        folder: of the world.
        seed: of the world.
        subject: number from 1; a subject keeps body and suit.
        sequence: 1 or 2.
        frames: number of frames.
        body_models: see :mod:`body_models.bodies`.
    """
    code, fps = CODES["mpi_inf_3dhp"], FPS["mpi_inf_3dhp"]
    actor = np.random.default_rng([seed, code, subject])
    rng = np.random.default_rng([seed, code, subject, sequence])
    studio = np.random.default_rng([seed, STUDIO_CODE])
    rig = studio_rig(studio, STUDIO_SIZE)
    walls = [draw_studio(studio, STUDIO_SIZE) for _ in rig]
    gender = ("male", "female")[subject % 2]
    body, tailor = load_body(body_models, gender)
    betas, suit = draw_betas(actor), dress_for_studio(actor, tailor)
    motion = draw_motion(rng, MIXES["mpi_inf_3dhp"], frames, fps, body.joint_template)
    track, vertices = _record(rng, body_models, gender, betas, motion, fps, reach=0.7, floor=FLOOR)
    for number in STUDIO_CAMERAS:
        camera = rig[number]
        place = folder / f"mpi_inf_3dhp/S{subject}/Seq{sequence}/imageSequence/video_{number}"
        for frame in range(frames):
            figure = Figure(camera.look(vertices[frame]).astype(np.float32), suit)
            picture = draw_scene(rng, walls[number], [figure], body.faces, camera.focal, camera.princpt, STUDIO_LIGHT)
            write_image(place / f"frame_{frame + 1:06d}.jpg", picture.image, 88)
    return Take([track], rig)


def make_outdoor_take(
    folder: Path, name: str, seed: int, number: int, frames: int, people: int, body_models: str
) -> Take:
    """Draw and write the pictures of one sequence of 3DPW's layout: its people, place and light stay the same.

    Args:
        folder: of the world.
        name: threedpw_train, threedpw_validation or threedpw_test.
        seed: of the world.
        number: of the sequence.
        frames: number of frames.
        people: 1 or 2.
        body_models: see :mod:`body_models.bodies`.
    """
    rng = np.random.default_rng([seed, CODES[name], number])
    fps, split = FPS["threedpw"], name.removeprefix("threedpw_")
    tracks, meshes, clothes = [], [], []
    for person in range(people):
        gender = ("male", "female")[rng.integers(2)]
        body, tailor = load_body(body_models, gender)
        motion = draw_motion(rng, MIXES[f"3dpw_{split}"], frames, fps, body.joint_template)
        track, vertices = _record(rng, body_models, gender, draw_betas(rng), motion, fps, reach=0.8, floor=0.0)
        aside = np.array([1.1 * (person - (people - 1) / 2), 0, 0])
        track.trans += aside
        track.joints += aside
        tracks.append(track)
        meshes.append((vertices + aside).astype(np.float32))
        clothes.append(dress(rng, tailor))
    target = np.mean([track.joints[:, 0] for track in tracks], axis=0)
    span = rng.uniform(150, 230) * (0.8 if people > 1 else 1.0)
    cameras = walking_camera(rng, target, OUTDOOR_SIZE, span, height=1.75)
    # A wider picture of the place, through which the camera pans.
    width, height = OUTDOOR_SIZE
    place, light = draw_background(rng, (2 * width, height + 60)), draw_light(rng)
    pan = np.clip(np.cumsum(rng.normal(0, 8, frames)) + rng.integers(0, width), 0, width).astype(int)
    tilt = rng.integers(20, 40, frames)
    for frame, camera in enumerate(cameras):
        figures = [
            Figure(camera.look(mesh[frame]).astype(np.float32), colors)
            for mesh, colors in zip(meshes, clothes, strict=True)
        ]
        things = []
        if rng.random() < THING_SHARE:
            points = camera.project(figures[0].vertices)
            low, high = points.min(0), points.max(0)
            things.append(draw_thing(rng, camera.size, np.concatenate([low, high - low])))
        view = place[tilt[frame] : tilt[frame] + height, pan[frame] : pan[frame] + width]
        picture = draw_scene(rng, view, figures, body.faces, camera.focal, camera.princpt, light, things)
        path = folder / f"3dpw/imageFiles/{sequence_name(name, number)}/image_{frame:05d}.jpg"
        write_image(path, picture.image, 88)
        for index, track in enumerate(tracks):
            joints = camera.look(track.joints[frame, _OPENPOSE_INDEX])
            points = camera.project(joints)
            seen = picture.sees(index, points, joints[:, 2])
            track.poses2d[frame] = np.where(seen, np.concatenate([points.T, 0.8 * np.ones((1, len(seen)))]), 0)
    return Take(tracks, cameras)


def make_capture(name: str, seed: int, number: int, frames: int, body_models: str) -> Take:
    """A motion without pictures; AMASS's layout has z up, so the world is turned when it is written."""
    rng = np.random.default_rng([seed, CODES[name], number])
    gender = ("male", "female")[rng.integers(2)]
    rest_joints = load_body(body_models, gender)[0].joint_template
    motion = draw_motion(rng, MIXES[name], frames, FPS[name], rest_joints)
    path, heading = _walk(rng, frames, FPS[name], reach=2.0)
    orient = motion.global_orient(heading)
    track = Track(
        poses=to_axis_angle(torch.cat((orient[:, None], motion.body_pose()), dim=1)),
        trans=np.stack([path[:, 0], np.full(frames, 0.9), path[:, 1]], axis=1),
        betas=draw_betas(rng),
        gender=gender,
        joints=np.zeros((frames, len(SMPL.joints), 3)),
        poses2d=np.zeros((frames, 3, len(OPENPOSE18))),
        angles=motion.angles,
    )
    return Take([track], [])


def sequence_name(name: str, number: int) -> str:
    """File name of a sequence of 3DPW's layout."""
    places = ("downtown", "courtyard", "park", "office", "market", "station")
    return f"{places[number % len(places)]}_{name.removeprefix('threedpw_')}_{number:02d}"
