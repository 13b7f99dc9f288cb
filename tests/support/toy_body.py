"""A body that no product file knows: a starfish of 30 joints and 600 vertices with 12 numbers of shape, as a file.

Four arms of seven joints leave a core with a crown; each joint carries a tube of two rings of ten vertices.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from body_models.bodies import BodyModels
from body_models.joint_sets import JointSet
from body_models.parameters import BodyParameters
from body_models.render import overlay
from datamodules.pseudo_gt.native import LabelWriter

ARMS = {
    f"{side}_{height}": (x, y) for side, x in (("left", 1), ("right", -1)) for height, y in (("up", 1), ("low", -1))
}
JOINTS = ("core", "crown", *(f"{arm}_{number}" for arm in ARMS for number in range(7)))
PARENTS = (-1, 0, *(0 if number == 0 else 2 + 7 * arm + number - 1 for arm in range(4) for number in range(7)))
TIPS = {f"{arm}_tip": 20 * (2 + 7 * number + 6) + 10 for number, arm in enumerate(ARMS)}
TOY30 = JointSet("toy30", (*JOINTS, *TIPS), (*JOINTS, *TIPS), "core", (("core", "crown"),))
SIZE, RING = 96, 10


def write_toy_body(path: Path) -> str:
    """Write the body file, and return its path."""
    places = [np.zeros(3), np.array([0.0, 0.2, 0.0])]
    places += [0.12 * (number + 1) * np.array([x, y, 0.0]) for x, y in ARMS.values() for number in range(7)]
    angles = 2 * np.pi * np.arange(RING) / RING
    circle = 0.06 * np.stack([np.cos(angles), np.zeros(RING), np.sin(angles)], axis=1)
    rise = np.array([0.0, 0.09, 0.0])
    vertices = np.concatenate([ring for place in places for ring in (place + circle, place + circle + rise)])
    low, turned = np.arange(RING), (np.arange(RING) + 1) % RING
    corners = (low, low + RING, turned), (turned, low + RING, turned + RING)
    tube = np.concatenate([np.stack(three, axis=1) for three in corners])
    joints = np.repeat(np.arange(len(JOINTS)), 2 * RING)
    first_rings = np.eye(len(JOINTS))[joints].T * np.tile([1.0, 0.0], len(JOINTS)).repeat(RING) / RING
    np.savez(
        path, kind="starfish", joints=np.array(JOINTS), parents=np.array(PARENTS), v_template=vertices,
        f=np.concatenate([tube + 2 * RING * joint for joint in range(len(JOINTS))]),
        shapedirs=np.random.default_rng(0).normal(0, 0.004, (len(vertices), 3, 12)), J_regressor=first_rings,
        weights=np.eye(len(JOINTS))[joints], landmark_names=np.array(list(TIPS)),
        landmark_vertices=np.array(list(TIPS.values())), regressor_middle_joints=np.array(["middle"]),
        regressor_middle=np.full((1, len(vertices)), 1 / len(vertices)),
    )  # fmt: skip
    return str(path)


def write_toy_people(folder: Path, body: str, count: int) -> Path:
    """Draw people, and write their label table, which is a source by itself."""
    bodies, generator = BodyModels(body), torch.Generator().manual_seed(1)
    pose = 0.15 * torch.randn(count, bodies.spec.pose_size, generator=generator)
    pose[:, 0] += np.pi
    shape = torch.randn(count, bodies.spec.shape_size, generator=generator)
    people = BodyParameters.of_axis_angle(pose, shape, torch.tensor([0.0, 0.0, 6.0]).expand(count, 3))
    focal, princpt = np.full((count, 2), 200.0, np.float32), np.full((count, 2), SIZE / 2, np.float32)
    posed = bodies.pose(people)
    seen = posed.joints.numpy()[:, bodies.spec.rows(TOY30)]
    for number, mesh in enumerate(posed.vertices.numpy()):
        picture = overlay(np.zeros((SIZE, SIZE, 3), np.uint8), mesh, bodies.neutral.faces, focal[0], princpt[0])
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    points = seen[..., :2] / seen[..., 2:] * 200 + SIZE / 2
    columns = {
        "id": [f"toy/train/{number}" for number in range(count)], "image": [f"{number}.png" for number in range(count)],
        "image_size": np.full((count, 2), SIZE), "person_box": np.tile([12.0, 12, 72, 72], (count, 1)),
        "joints_2d": np.concatenate([points, np.ones((count, len(TOY30.names), 1))], axis=2),
        "global_orient": pose[:, :3].numpy(), "body_pose": pose[:, 3:].numpy(), "betas": shape.numpy(),
        "transl": np.tile([0.0, 0, 6], (count, 1)), "focal": focal, "princpt": princpt, "gender": ["neutral"] * count,
    }  # fmt: skip
    provenance = {"settings": {"paths": {"body_models": body}}}
    with LabelWriter(
        folder / "labels", joint_set="toy30", image_root=str(folder), provenance=provenance, spec=bodies.spec
    ) as writer:
        writer.write(columns)
    return folder / "labels"
