"""Pictures of people: a background, the people in it shaded by a light, things in front of them, a camera's noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from body_models.render import rasterize

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

NOBODY, THING = -1, -2
# A joint lies inside the body: it counts as seen if the surface before it is nearer by no more than this (metres).
JOINT_DEPTH = 0.16


@dataclass(frozen=True)
class Figure:
    """A person in the camera's frame.

    Attributes:
        vertices: (V, 3) metres.
        colors: (F, 3) colour of each face in [0, 1].
    """

    vertices: Floats
    colors: Floats


@dataclass(frozen=True)
class Light:
    """Light on the people: colour is what faces turned towards it get, beside what comes from all around.

    Attributes:
        direction: (3,) unit vector towards the light, camera frame.
        color: (3,)
        ambient: (3,)
    """

    direction: Floats
    color: Floats
    ambient: Floats


class Picture(NamedTuple):
    """A drawn scene.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        owner: (H, W) int8: number of the figure seen there, NOBODY or THING.
        depth: (H, W) float32 metres to the nearest figure, infinite where there is none.
    """

    image: Image
    owner: NDArray[np.int8]
    depth: Floats

    def sees(self, figure: int, points: NDArray[Any], depth: NDArray[Any]) -> NDArray[np.bool_]:
        """(J,) whether joints of a figure at points (J, 2) pixels and depth (J,) metres are seen."""
        height, width = self.owner.shape
        x, y = np.floor(points).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        return inside & (self.owner[y, x] == figure) & (depth - self.depth[y, x] < JOINT_DEPTH)


def draw_light(rng: np.random.Generator) -> Light:
    """Day or lamp light, mostly from above."""
    direction = np.array([rng.normal(0, 0.7), -rng.uniform(0.2, 1), rng.normal(-0.5, 0.6)])
    tint = rng.normal(1, 0.07, 3)
    strength, ambient = rng.uniform(0.4, 0.95), rng.uniform(0.4, 0.75)
    return Light(
        (direction / np.linalg.norm(direction)).astype(np.float32),
        (strength * tint).astype(np.float32),
        (ambient * rng.normal(1, 0.05, 3)).astype(np.float32),
    )


def draw_scene(
    rng: np.random.Generator,
    background: Image,
    figures: list[Figure],
    faces: NDArray[np.int64],
    focal: NDArray[Any],
    princpt: NDArray[Any],
    light: Light,
    things: list[Image] | None = None,
) -> Picture:
    """Draw people on a background.

    Args:
        rng: source of the camera's noise.
        background: (H, W, 3) uint8; left as it is.
        figures: people; nearer ones hide farther ones, pixel by pixel.
        faces: (F, 3) vertex numbers of the body.
        focal: (2,) pixels.
        princpt: (2,) pixels.
        light: light on the people.
        things: (H, W, 4) uint8 RGBA pictures of objects in front of everybody.
    """
    height, width = background.shape[:2]
    canvas = background.reshape(-1, 3).copy()
    owner = np.full(height * width, NOBODY, dtype=np.int8)
    depth = np.full(height * width, np.inf, dtype=np.float32)
    for number, figure in enumerate(figures):
        seen = rasterize(figure.vertices, faces, focal, princpt, (width, height))
        nearer = seen.depth < depth[seen.pixels]
        pixels, face = seen.pixels[nearer], seen.faces[nearer]
        depth[pixels], owner[pixels] = seen.depth[nearer], number
        shown, inverse = np.unique(face, return_inverse=True)
        a, b, c = figure.vertices[faces[shown]].transpose(1, 0, 2)
        normals = np.cross(b - a, c - a)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        lit = np.clip(normals @ light.direction, 0, 1)[:, None] * light.color
        # From below comes less light than from the sky.
        around = light.ambient * (1 - 0.25 * np.clip(normals[:, 1:2], -1, 1))
        shaded = figure.colors[shown] * (lit + around)
        canvas[pixels] = np.clip(shaded * 255, 0, 255).astype(np.uint8)[inverse]
    image: Image = canvas.reshape(height, width, 3)
    owner = owner.reshape(height, width)
    for thing in things or ():
        hides = thing[..., 3] > 127
        image[hides], owner[hides] = thing[..., :3][hides], THING
    # Edges as soft as a lens makes them, then the sensor's noise, from one stored tile.
    image = np.asarray(cv2.GaussianBlur(image, (3, 3), rng.uniform(0.4, 0.8)), dtype=np.uint8)
    y, x = rng.integers(0, _NOISE_SIDE - np.array([height, width]))
    strength = rng.choice([0, 1, 2])
    if strength:
        noise = _noise()[y : y + height, x : x + width]
        image = _add(image, noise * np.int16(strength))
    return Picture(image, owner, depth.reshape(height, width))


def _add(image: Image, change: NDArray[np.int16]) -> Image:
    """Sum, kept within what a pixel can hold."""
    return np.asarray(cv2.add(image, change, dtype=cv2.CV_8U), dtype=np.uint8)


_NOISE_SIDE = 1024


@cache
def _noise() -> NDArray[np.int16]:
    return np.round(np.random.default_rng(0).normal(0, 2.5, (_NOISE_SIDE, _NOISE_SIDE, 3))).astype(np.int16)


# ------------------------------------------------------------------------------------------- surroundings


def _paint(rng: np.random.Generator, low: float = 0.1, high: float = 1.0) -> tuple[int, int, int]:
    """A colour of things: mostly dull, often brownish or bluish."""
    base, warmth = rng.uniform(low, high), rng.normal(0, 0.06)
    spread = rng.choice([0.02, 0.06, 0.2], p=[0.6, 0.33, 0.07])
    color = base + warmth * np.array([1, 0, -1]) + rng.normal(0, spread, 3)
    red, green, blue = np.clip(255 * color, 0, 255).astype(int).tolist()
    return red, green, blue


def _texture(rng: np.random.Generator, size: tuple[int, int], cells: int, strength: float) -> NDArray[np.int16]:
    """(H, W, 3) smooth blotches around 0."""
    coarse = rng.normal(0, strength, (cells, cells, 1)) + rng.normal(0, strength / 5, (cells, cells, 3))
    return cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC).astype(np.int16)


def _clutter(rng: np.random.Generator, image: Image, count: int, span: tuple[float, float], below: float) -> None:
    """Scatter boxes, discs, poles and polygons over a picture, in place; ``below`` is the highest row as a share."""
    height, width = image.shape[:2]
    for _ in range(count):
        center = rng.uniform([0, below * height], [width, height]).astype(int)
        extent = (rng.uniform(*span, 2) * height).astype(int) + 2
        color = _paint(rng)
        kind = rng.integers(4)
        if kind == 0:
            cv2.rectangle(image, tuple(center - extent), tuple(center + extent), color, -1)
        elif kind == 1:
            cv2.ellipse(image, tuple(center), tuple(extent), float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
        elif kind == 2:
            end = center + (rng.normal(0, 1.5, 2) * extent).astype(int)
            cv2.line(image, tuple(center), tuple(end), color, int(rng.integers(2, 14)), cv2.LINE_AA)
        else:
            corners = center + (rng.normal(0, 1, (rng.integers(3, 7), 2)) * extent).astype(int)
            cv2.fillPoly(image, [corners.astype(np.int32)], color, cv2.LINE_AA)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """(H, W, 3) a place, indoors or outdoors, with clutter.

    Args:
        rng: source of the random numbers.
        size: width, height in pixels.
    """
    width, height = size
    image = np.empty((height, width, 3), dtype=np.uint8)
    horizon = int(height * rng.uniform(0.25, 0.75))
    top, edge, near, far = (np.array(_paint(rng, 0.25)) for _ in range(4))
    rows = np.linspace(0, 1, height)[:, None, None]
    image[:] = (top * (1 - rows) + edge * rows).astype(np.uint8)
    image[horizon:] = (far * (1 - rows) + near * rows)[horizon:].astype(np.uint8)
    for _ in range(rng.integers(0, 7)):  # buildings, trees, furniture on the horizon
        left, tall = int(rng.integers(-20, width)), float(rng.uniform(0.05, 0.6)) * height
        wide = int(rng.uniform(0.05, 0.3) * width)
        if rng.random() < 0.7:
            cv2.rectangle(
                image, (left, int(horizon - tall)), (left + wide, horizon + int(rng.integers(0, 30))), _paint(rng), -1
            )
        else:
            center, radius = (left, int(horizon - tall)), (wide // 2 + 3, wide // 2 + 8)
            cv2.line(image, center, (left, horizon + 10), _paint(rng, 0.1, 0.5), 5)
            cv2.ellipse(image, center, radius, 0, 0, 360, _paint(rng, 0.1, 0.6), -1)
    for _ in range(rng.integers(0, 4)):  # lines on floor and walls
        ends = rng.integers(0, [width, height], (2, 2))
        cv2.line(image, tuple(ends[0]), tuple(ends[1]), _paint(rng), int(rng.integers(1, 5)), cv2.LINE_AA)
    _clutter(rng, image, int(rng.integers(0, 5)), (0.01, 0.14), rng.choice([0.0, 0.4]))
    image = _add(image, _texture(rng, size, int(rng.integers(4, 50)), rng.uniform(2, 14)))
    if rng.random() < 0.8:  # out of focus
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(1.0, 5.0)), dtype=np.uint8)
    return image


def draw_studio(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """(H, W, 3) the studio as one camera sees it: a green wall, a green floor, a few lamps and cables."""
    width, height = size
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = np.clip(np.array([62, 150, 74]) + rng.normal(0, 6, 3), 0, 255)
    floor = int(height * rng.uniform(0.55, 0.72))
    image[floor:] = (image[floor:] * 0.82).astype(np.uint8)
    for x in rng.integers(0, width, 3):
        cv2.line(image, (int(x), 0), (int(x), int(floor * rng.uniform(0.1, 0.5))), (40, 40, 44), 2)
    return _add(image, _texture(rng, size, 8, 5))


def draw_thing(rng: np.random.Generator, size: tuple[int, int], near: NDArray[Any]) -> Image:
    """(H, W, 4) RGBA: an object that hides part of a person.

    Args:
        rng: source of the random numbers.
        size: width, height of the picture in pixels.
        near: (4,) x, y, w, h of the person in pixels.
    """
    width, height = size
    x, y, w, h = near
    thing = np.zeros((height, width, 4), dtype=np.uint8)
    color = _paint(rng)
    kind = rng.integers(4)
    if kind == 0:  # a table or a wall before the legs
        top = y + h * rng.uniform(0.5, 0.9)
        left = x + w * rng.uniform(-0.5, 0.5)
        corners = [(left, top), (left + w * rng.uniform(0.7, 2), top + rng.uniform(-8, 8))]
        corners += [(corners[1][0], height), (left, height)]
        cv2.fillPoly(thing, [np.array(corners, dtype=np.int32)], (*color, 255))
    elif kind == 1:  # a pole or a trunk
        left = x + w * rng.uniform(0, 1)
        thick = int(rng.uniform(0.04, 0.12) * h) + 2
        lean = rng.normal(0, 12)
        cv2.line(thing, (int(left), 0), (int(left + lean), height), (*color, 255), thick)
    elif kind == 2:  # something round, as a ball or a bush
        center = (int(x + w * rng.uniform(-0.1, 1.1)), int(y + h * rng.uniform(0.3, 1)))
        radii = (int(h * rng.uniform(0.07, 0.2)), int(h * rng.uniform(0.07, 0.2)))
        cv2.ellipse(thing, center, radii, float(rng.uniform(0, 180)), 0, 360, (*color, 255), -1)
    else:  # a box
        left, top = x + w * rng.uniform(-0.2, 0.9), y + h * rng.uniform(0.1, 0.9)
        right, bottom = left + h * rng.uniform(0.1, 0.3), top + h * rng.uniform(0.1, 0.35)
        cv2.rectangle(thing, (int(left), int(top)), (int(right), int(bottom)), (*color, 255), -1)
    thing[..., :3] = _add(thing[..., :3], _texture(rng, size, 24, 10))
    return thing
