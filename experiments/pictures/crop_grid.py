"""Picture grids for the command ``inspect``: crops with their joints, and meshes where SMPL parameters are known."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from body_models.camera import apply_affine, crop_affine, process_box
from body_models.contracts import GENDERS
from body_models.joint_sets import JointSet
from body_models.render import overlay, side_view
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from datamodules.crops import choose_reduction, read_image, warp
from datamodules.files import ImageError
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import body_parameters

Picture = NDArray[np.uint8]

TILE = 224
CAPTION = 18
_ASPECT = 4 / 3
_GREY = 96
# Left is warm and right is cold, as seen by the person.
COLORS = {"left": (255, 140, 0), "right": (0, 160, 255), "middle": (240, 240, 240)}
# Positions in sixteenths of a pixel.
_SHIFT, _PARTS = 4, 16
_MIN_CHARACTER = 7
# SMPL stands with y up and looks along z; pictures have y down and look along z.
_UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


def spread(count: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """Rows spread evenly over a data set of ``count``: one drawn at random from each of ``wanted`` equal parts."""
    wanted = min(wanted, count)
    edges = np.linspace(0, count, wanted + 1).astype(np.int64)
    return np.random.default_rng(seed).integers(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1))


def people_tiles(
    table: PeopleTable, rows: NDArray[np.int64], body_models: str, size: int = TILE
) -> tuple[list[Picture], list[str]]:
    """A tile for each person, and a line for each image that cannot be decoded (its tile stays grey).

    Args:
        table: the people.
        rows: of the table.
        body_models: folder of model files, or "free"; only used where the table has SMPL parameters and a camera.
        size: side of the crops in pixels.

    Returns:
        Tiles (size, size, 3) uint8 RGB, or (size, 3 size, 3) with the mesh from the front and the side.
    """
    some = table.select(rows)
    with_mesh = some.has("body_pose") and some.has("focal")
    columns = {name: some.column(name) for name in some.columns}
    tiles, unreadable = [], []
    bodies: dict[str, BodyModel] = {}
    for i, person in enumerate(some.ids()):
        image_size = columns["image_size"][i]
        box = process_box(columns["box"][i], (image_size[0], image_size[1]))
        affine = crop_affine(box, (size, size))
        try:
            reduction = choose_reduction(affine, image_size)
            path = os.path.join(os.fsencode(some.image_root), columns["image"][i])
            crop = warp(read_image(path, image_size, reduction), affine, size, reduction)
        except ImageError as error:
            unreadable.append(str(error))
            crop = np.full((size, size, 3), _GREY, np.uint8)
        pictures = [draw_joints(crop, columns["joints_2d"][i], affine, some.joint_set)]
        if with_mesh:
            gender = GENDERS[int(columns["gender"][i])] if "gender" in columns else GENDERS[0]
            if gender not in bodies:
                bodies[gender] = BodyModel(body_models, gender)
            body = bodies[gender]
            one = {name: columns[name][i : i + 1] for name in ("global_orient", "body_pose", "betas", "transl")}
            with torch.no_grad():
                vertices = body(**body_parameters(one)).vertices[0].numpy()
            stretch = size / box[2:]
            camera = columns["focal"][i] * stretch, (columns["princpt"][i] - box[:2]) * stretch
            pictures += [overlay(crop, vertices, body.faces, *camera), side_view(vertices, body.faces, (size, size))]
        tiles.append(captioned(np.concatenate(pictures, axis=1), person))
    return tiles, unreadable


def pose_tiles(poses: NDArray[Any], names: Sequence[str], body_models: str, size: int = TILE) -> list[Picture]:
    """A tile for each pose, from the front and from the side.

    Args:
        poses: (N, 21, 3) axis-angle of the body joints 1 to 21.
        names: (N,) captions.
        body_models: folder of model files, or "free".
        size: height of the pictures in pixels.
    """
    body = BodyModel(body_models)
    rotations = axis_angle_to_matrix(torch.tensor(np.pad(poses, ((0, 0), (0, 2), (0, 0))), dtype=torch.float32))
    with torch.no_grad():
        posed = body(_UPRIGHT.expand(len(poses), 3, 3), rotations, torch.zeros(len(poses), 10))
    return [
        captioned(
            np.concatenate([side_view(one, body.faces, (size, size), angle=angle) for angle in (0, 90)], axis=1), name
        )
        for one, name in zip(posed.vertices.numpy(), names, strict=True)
    ]


def draw_joints(crop: Picture, joints: NDArray[Any], affine: NDArray[Any], joint_set: JointSet) -> Picture:
    """Bones and joints on a copy of a crop; what is not labelled is not drawn.

    Args:
        crop: (S, S, 3) uint8 RGB.
        joints: (K, 3) x, y in image pixels and confidence.
        affine: (2, 3) image pixels to crop pixels.
        joint_set: of the joints.
    """
    picture = crop.copy()
    points = apply_affine(affine, joints[:, :2].astype(np.float64))
    # Far outside of the crop the fixed-point coordinates would overflow, and nothing is seen anyway.
    seen = (joints[:, 2] > 0) & (np.abs(points) < 8 * len(crop)).all(axis=1)
    places = {
        name: tuple(np.round(point * _PARTS).astype(int).tolist())
        for name, point, show in zip(joint_set.names, points, seen, strict=True)
        if show
    }
    for a, b in joint_set.bones:
        if a in places and b in places:
            cv2.line(picture, places[a], places[b], COLORS[_side(a, b)], 2, cv2.LINE_AA, _SHIFT)
    for name, place in places.items():
        cv2.circle(picture, place, 3 * _PARTS, (0, 0, 0), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(picture, place, 2 * _PARTS, COLORS[_side(name)], -1, cv2.LINE_AA, _SHIFT)
    return picture


def captioned(picture: Picture, text: str) -> Picture:
    """The picture with a line of text under it; of a text that is too long the end, where ids differ."""
    bar = np.zeros((CAPTION, picture.shape[1], 3), np.uint8)
    room = picture.shape[1] // _MIN_CHARACTER
    text = text.encode("ascii", "replace").decode()
    shown = text if len(text) <= room else "..." + text[3 - room :]
    cv2.putText(bar, shown, (3, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([picture, bar])


def grid(tiles: Sequence[Picture]) -> Picture:
    """Tiles of one size side by side, row by row, about as wide as a screen; empty places are black."""
    height, width = tiles[0].shape[:2]
    columns = min(len(tiles), max(1, round(math.sqrt(len(tiles) * height * _ASPECT / width))))
    rows = math.ceil(len(tiles) / columns)
    picture = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = i // columns * height, i % columns * width
        picture[y : y + height, x : x + width] = tile
    return picture


def _side(*names: str) -> str:
    """left or right if all joints are on that side."""
    return next((side for side in ("left", "right") if all(side in name for name in names)), "middle")
