"""Single pictures of people in the wild: everyone is someone else, somewhere else, doing something else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from body_models.joint_sets import COCO17, MPII16, JointSet
from body_models.spec import SMPL
from datamodules.synthetic.appearance import dress
from datamodules.synthetic.bodies import draw_betas, load_body, pose_bodies, to_axis_angle, write_image
from datamodules.synthetic.cameras import Camera, draw_yaw, focal_length, frame_person, upright
from datamodules.synthetic.poses import MIXES, draw_activities, draw_poses
from datamodules.synthetic.scenes import Figure, Picture, draw_background, draw_light, draw_scene, draw_thing

CHUNK = 64
SIZES = ((320, 256), (256, 320), (288, 288), (256, 256))
SPAN = (150.0, 240.0)
PAIR_SHARE, THING_SHARE, CUT_SHARE = 0.08, 0.12, 0.05
# A person fills about a third of their box; pictures in which they fill much less, hidden by things, are taken again.
MIN_FILL, MIN_PIXELS = 0.1, 250
_SPARSE = 5  # every fifth vertex shows well enough how far a body reaches

JOINT_SETS: dict[str, JointSet] = {"coco": COCO17, "mpii": MPII16}
CODES = {"coco": 1, "mpii": 2}
FOLDERS = {"coco": "coco/train2017", "mpii": "mpii/images"}


@dataclass
class Person:
    """An annotated person of one picture; truth in the camera's frame.

    Attributes:
        joints: (K, 3) x, y in pixels and 0 outside the picture, 1 hidden, 2 seen; joints of the data set.
        box: (4,) x, y, w, h in pixels, of what is seen of the person.
        area: pixels seen.
        truth: columns of the truth file.
        angles: (R, 3) swing-twist angles, for the comparison of the sets.
    """

    joints: NDArray[np.float64]
    box: NDArray[np.float64]
    area: int
    truth: dict[str, Any]
    angles: NDArray[np.float32]


@dataclass
class Photo:
    """A written picture and the people in it."""

    file_name: str
    size: tuple[int, int]
    people: list[Person]


def make_photos(
    folder: Path, name: str, seed: int, chunk: int, count: int, body_models: str, frontal: float
) -> list[Photo]:
    """Draw and write one chunk of a set.

    Args:
        folder: of the world.
        name: coco or mpii.
        seed: of the world.
        chunk: number of the chunk.
        count: people in it, at most CHUNK.
        body_models: see :mod:`body_models.bodies`.
        frontal: see :func:`datamodules.synthetic.cameras.draw_yaw`.
    """
    rng = np.random.default_rng([seed, CODES[name], chunk])
    body, tailor = load_body(body_models, "neutral")
    poses = draw_poses(rng, draw_activities(rng, MIXES[name], count), body.joint_template)
    views = np.stack([upright(rng.normal(6, 9), rng.normal(0, 4)) for _ in range(count)])
    yaw = draw_yaw(rng, count, frontal)
    orient, pose = torch.from_numpy(views).float() @ poses.global_orient(yaw), poses.body_pose()
    betas = np.stack([draw_betas(rng) for _ in range(count)])
    vertices, joints = pose_bodies(body, orient, pose, betas)
    files = {
        "global_orient": to_axis_angle(orient[:, None]),
        "body_pose": to_axis_angle(pose),
        "betas": betas,
        "activity": poses.activity,
    }

    photos: list[Photo] = []
    waiting = list(range(count))
    while waiting:
        pair = len(waiting) > 1 and rng.random() < PAIR_SHARE
        group = waiting[: 1 + pair]
        size = SIZES[rng.integers(len(SIZES))]
        focal = focal_length(rng, size)
        camera = Camera(np.eye(3), np.zeros(3), np.full(2, focal), np.array(size) / 2, size)
        transl = []
        for person in group:
            span = rng.uniform(*SPAN) * (0.75 if pair else 1.0)
            cut = rng.random() < CUT_SHARE
            transl.append(frame_person(rng, vertices[person, ::_SPARSE], size, focal, min(span, 0.92 * min(size)), cut))
        if pair:  # side by side, so that neither vanishes behind the other
            for offset, side in zip(transl, rng.permutation([-1, 1]), strict=True):
                offset[0] += side * size[0] * 0.16 * offset[2] / focal
        figures = [
            Figure((vertices[i] + t).astype(np.float32), dress(rng, tailor)) for i, t in zip(group, transl, strict=True)
        ]
        picture = _take(rng, figures, body.faces, camera)
        if picture is None:
            continue  # hidden too much: taken again, elsewhere
        file_name = _file_name(name, chunk * CHUNK + len(photos))
        write_image(folder / FOLDERS[name] / file_name, picture.image, int(rng.integers(75, 96)))
        people = []
        for number, (i, offset) in enumerate(zip(group, transl, strict=True)):
            truth = {key: column[i] for key, column in files.items()}
            truth |= {"transl": offset, "focal": camera.focal, "princpt": camera.princpt}
            people.append(
                _annotate(picture, number, joints[i] + offset, camera, JOINT_SETS[name], truth, poses.angles[i])
            )
        photos.append(Photo(file_name, size, people))
        waiting = waiting[len(group) :]
    return photos


def _file_name(name: str, number: int) -> str:
    return f"{number + 1:012d}.jpg" if name == "coco" else f"{number + 1:09d}.jpg"


def _take(rng: np.random.Generator, figures: list[Figure], faces: NDArray[np.int64], camera: Camera) -> Picture | None:
    """Draw a picture; None if somebody is hidden too much."""
    things = []
    if rng.random() < THING_SHARE:
        points = camera.project(figures[0].vertices[::_SPARSE])
        low, high = points.min(0), points.max(0)
        things.append(draw_thing(rng, camera.size, np.concatenate([low, high - low])))
    background, light = draw_background(rng, camera.size), draw_light(rng)
    picture = draw_scene(rng, background, figures, faces, camera.focal, camera.princpt, light, things)
    for number, figure in enumerate(figures):
        points = camera.project(figure.vertices[::_SPARSE])
        low, high = np.clip(points.min(0), 0, camera.size), np.clip(points.max(0), 0, camera.size)
        seen = picture.owner == number
        if seen.sum() < max(MIN_FILL * np.prod(high - low), MIN_PIXELS):
            return None
    return picture


def _annotate(
    picture: Picture,
    number: int,
    joints: NDArray[Any],
    camera: Camera,
    joint_set: JointSet,
    truth: dict[str, Any],
    angles: NDArray[np.float32],
) -> Person:
    """What an annotator would write down about a figure whose body joints are (J, 3) metres in the camera's frame."""
    chosen = joints[SMPL.rows(joint_set)]
    points = camera.project(chosen)
    inside = ((points >= 0) & (points < camera.size)).all(1)
    visible = np.where(inside, 1 + picture.sees(number, points, chosen[:, 2]), 0)
    rows, columns = np.nonzero(picture.owner == number)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    return Person(
        joints=np.concatenate([points, visible[:, None]], axis=1),
        box=np.concatenate([low, high - low]).astype(float),
        area=len(rows),
        truth=truth,
        angles=angles,
    )
