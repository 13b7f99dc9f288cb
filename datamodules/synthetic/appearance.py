"""What synthetic people look like: skin, hair, faces and painted-on clothes, one colour a face of the mesh.

Clothes are cut along the unposed body: a sleeve ends at a share of the way from shoulder to wrist, a trouser leg at a
share of the way from hip to ankle. Front and back differ, as they do in life: face and hair, an emblem or an open
jacket in front, a number behind.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from body_models.smpl import SkinnedBody
from body_models.spec import SMPL

Floats = NDArray[np.float32]

SKINS = (
    (0.96, 0.82, 0.72),
    (0.90, 0.72, 0.58),
    (0.80, 0.60, 0.45),
    (0.62, 0.43, 0.31),
    (0.45, 0.30, 0.21),
    (0.30, 0.20, 0.15),
)
HAIRS = (
    (0.08, 0.07, 0.06),
    (0.20, 0.13, 0.08),
    (0.38, 0.24, 0.13),
    (0.72, 0.55, 0.30),
    (0.60, 0.58, 0.56),
    (0.55, 0.20, 0.10),
)
PATTERNS = ("plain",) * 20 + ("stripes", "pinstripes", "checks", "dots", "halves")


@dataclass(frozen=True)
class Tailor:
    """Where the faces of a body lie, in lengths of the body itself, so that it serves any SMPL-shaped mesh.

    Attributes:
        rest: (F, 3) face centres on the unposed body, metres.
        head, arm, leg, foot: (F,) bool: faces of head and neck, arms from the shoulder on, legs, feet.
        along_arm: (F,) 0 at the shoulder, 1 at the wrist.
        down_leg: (F,) 0 at the hips, 1 at the ankles; negative above the hips.
        places: name -> (3,) rest position of joints and facial vertices.
    """

    rest: Floats
    head: NDArray[np.bool_]
    arm: NDArray[np.bool_]
    leg: NDArray[np.bool_]
    foot: NDArray[np.bool_]
    along_arm: Floats
    down_leg: Floats
    places: dict[str, Floats]

    @classmethod
    def of(cls, body: SkinnedBody) -> Tailor:
        """Measure a body model."""
        vertices = body.get_buffer("mesh_template").numpy()
        joints = body.joint_template.numpy()
        places = dict(zip(SMPL.joints, joints, strict=True))
        places |= {name: vertices[index] for name, index in SMPL.landmarks.items()}
        rest = vertices[body.faces].mean(1)
        bone = body.get_buffer("mesh_weights").numpy()[body.faces].mean(1).argmax(1)

        def on(*parts: str) -> NDArray[np.bool_]:
            return np.isin(bone, [i for i, name in enumerate(SMPL.joints) if name.split("_")[-1] in parts])

        shoulder, wrist = places["left_shoulder"][0], places["left_wrist"][0]
        hip, ankle = places["left_hip"][1], places["left_ankle"][1]
        return cls(
            rest=rest,
            head=on("head", "neck"),
            arm=on("shoulder", "elbow", "wrist", "hand"),
            leg=on("hip", "knee", "ankle", "foot", "pelvis"),
            foot=on("ankle", "foot"),
            along_arm=(np.abs(rest[:, 0]) - shoulder) / (wrist - shoulder),
            down_leg=(hip - rest[:, 1]) / (hip - ankle),
            places=places,
        )


def _color(rng: np.random.Generator) -> Floats:
    """A clothing colour: any hue, with greys, black and white as often as in a street."""
    saturation = rng.choice([0.05, 0.35, 0.75], p=[0.2, 0.35, 0.45]) * rng.uniform(0.6, 1.3)
    return np.array(colorsys.hsv_to_rgb(rng.random(), min(saturation, 1), rng.uniform(0.12, 0.98)), dtype=np.float32)


def _cloth(rng: np.random.Generator, rest: Floats) -> Floats:
    """(N, 3) colours of a cloth laid over faces at ``rest`` (N, 3)."""
    first, second = _color(rng), _color(rng)
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    width = rng.uniform(0.03, 0.09)
    x, y, z = rest.T
    if pattern == "stripes":
        other = np.floor(y / width) % 2 > 0
    elif pattern == "pinstripes":
        other = (x / width) % 1 < 0.35
    elif pattern == "checks":
        other = (np.floor(x / width) + np.floor(y / width) + np.floor(z / width)) % 2 > 0
    elif pattern == "dots":
        other = np.hypot((x / width) % 1 - 0.5, (y / width) % 1 - 0.5) < 0.3
    elif pattern == "halves":
        other = x > 0
    else:
        other = np.zeros(len(rest), dtype=bool)
    return np.where(other[:, None], second, first)


def dress(rng: np.random.Generator, tailor: Tailor) -> Floats:
    """(F, 3) colours in [0, 1] of a person in everyday clothes, each person in others."""
    rest, places = tailor.rest, tailor.places
    colors = _bare(rng, tailor)
    front = rest[:, 2] > places["spine2"][2] + 0.02
    trunk = ~tailor.head & ~tailor.arm & ~tailor.leg
    waist = rng.uniform(-0.12, 0.02)  # in lengths of the leg, above the hips

    trousers = tailor.leg & (tailor.down_leg < rng.choice([0.3, 0.5, 0.75, 0.99], p=[0.3, 0.25, 0.1, 0.35]))
    colors[trousers] = _cloth(rng, rest[trousers])
    if rng.random() < 0.2:  # a stripe down the outside
        seam = trousers & (np.abs(rest[:, 0]) > places["left_knee"][0] + 0.03)
        colors[seam] = _color(rng)

    shirt = trunk | (tailor.leg & (tailor.down_leg < waist))
    shirt |= tailor.arm & (tailor.along_arm < rng.choice([0.02, 0.3, 0.55, 0.95], p=[0.15, 0.5, 0.15, 0.2]))
    depth = rng.uniform(0, 0.12)
    neckline = places["neck"][1] - 0.02 - depth
    shirt &= ~(front & (rest[:, 1] > neckline + np.abs(rest[:, 0]) * rng.uniform(0.5, 2)))
    if rng.random() < 0.05:  # a dress, or overalls
        shirt |= trousers & (tailor.down_leg < rng.uniform(0.25, 0.8))
    colors[shirt] = _cloth(rng, rest[shirt])
    _decorate(rng, colors, tailor, shirt, front)

    shoes = tailor.foot & (rest[:, 1] < places["left_ankle"][1] + rng.choice([-0.03, 0.02, 0.1]))
    if rng.random() < 0.92:
        colors[shoes] = _color(rng) * 0.8
        sole = rest[:, 1] < places["left_heel"][1] + 0.012
        colors[shoes & sole] = rng.choice([0.1, 0.9])
    if rng.random() < 0.15:  # gloves
        colors[tailor.arm & (tailor.along_arm > 0.97)] = _color(rng)
    return colors


def dress_for_studio(rng: np.random.Generator, tailor: Tailor) -> Floats:
    """(F, 3) colours of a tight suit of one or two colours, as worn in motion capture."""
    colors = _bare(rng, tailor)
    suit = ~tailor.head & (tailor.along_arm < 0.9)
    top, bottom = rng.permutation([rng.uniform(0.15, 0.3), rng.uniform(0.4, 0.7)])
    colors[suit] = top * rng.normal(1, 0.12, 3)
    legs = tailor.leg & (tailor.down_leg > -0.1)
    colors[legs] = bottom * rng.normal(1, 0.12, 3)
    colors[tailor.foot] = rng.uniform(0.1, 0.8)
    return colors


def _decorate(
    rng: np.random.Generator, colors: Floats, tailor: Tailor, shirt: NDArray[np.bool_], front: NDArray[np.bool_]
) -> None:
    """Tell the front of a shirt from its back, in place."""
    rest, places = tailor.rest, tailor.places
    trunk = shirt & ~tailor.arm
    chest = places["spine3"][1] + 0.06
    if rng.random() < 0.55:  # an emblem
        radii = rng.uniform(0.03, 0.10, 2)
        inside = ((rest[:, 0] - rng.uniform(-0.05, 0.05)) / radii[0]) ** 2 + ((rest[:, 1] - chest) / radii[1]) ** 2 < 1
        colors[trunk & front & inside] = _color(rng)
    elif rng.random() < 0.6:  # an open jacket or a row of buttons
        colors[trunk & front & (np.abs(rest[:, 0]) < rng.uniform(0.01, 0.07))] = _color(rng)
    if rng.random() < 0.3:  # a number
        inside = (np.abs(rest[:, 0]) < 0.07) & (np.abs(rest[:, 1] - chest) < 0.08)
        colors[trunk & ~front & inside] = _color(rng)
    elif rng.random() < 0.25:  # a backpack with its straps
        pack = _color(rng)
        colors[trunk & ~front & (np.abs(rest[:, 0]) < 0.13) & (rest[:, 1] > places["spine1"][1])] = pack
        strap = np.abs(np.abs(rest[:, 0]) - 0.09) < 0.02
        colors[trunk & front & strap & (rest[:, 1] > places["spine2"][1])] = pack
    if rng.random() < 0.3:  # a belt
        belt = np.abs(rest[:, 1] - (places["left_hip"][1] + places["spine1"][1]) / 2) < 0.02
        colors[belt & ~tailor.arm] = _color(rng)
    if rng.random() < 0.4:  # sleeves of another colour
        colors[shirt & tailor.arm] = _color(rng)


def _bare(rng: np.random.Generator, tailor: Tailor) -> Floats:
    """(F, 3) skin, face and hair."""
    rest, places = tailor.rest, tailor.places
    skin = np.array(SKINS[rng.integers(len(SKINS))], dtype=np.float32) * rng.uniform(0.88, 1.08)
    colors = np.tile(skin, (len(rest), 1)).astype(np.float32)

    nose, eyes = places["nose"], (places["left_eye"], places["right_eye"])
    ear = places["left_ear"]
    x, y, z = rest.T
    hair = np.array(HAIRS[rng.integers(len(HAIRS))], dtype=np.float32) * rng.uniform(0.7, 1.3)
    brow = eyes[0][1] + 0.012
    face = tailor.head & (z > ear[2] + 0.02)
    colors[face & (np.abs(y - nose[1] + 0.037) < 0.010) & (np.abs(x) < 0.028)] = skin * (0.75, 0.45, 0.45)  # lips
    style = rng.choice(["bald", "short", "long", "hat", "hood"], p=[0.08, 0.42, 0.3, 0.14, 0.06])
    hairline = brow + rng.uniform(0.025, 0.05)
    if style != "bald":
        scalp = tailor.head & ((y > hairline) | ((z < ear[2]) & (y > ear[1] - rng.uniform(0.02, 0.06))))
        colors[scalp] = hair
    if style == "long":
        behind = (z < ear[2] + 0.015) & (y > places["neck"][1] - rng.uniform(-0.03, 0.12)) & (np.abs(x) < 0.13)
        colors[(behind & ~tailor.arm) & (tailor.head | (z < places["neck"][2]))] = hair
    if style == "hat":
        colors[tailor.head & (y > hairline - 0.01)] = _color(rng)
    if style == "hood":
        colors[tailor.head & ((y > hairline) | (z < ear[2] + 0.03))] = _color(rng)
    if rng.random() < 0.2:
        colors[face & (y < nose[1] - 0.022) & (y > nose[1] - 0.11) & (np.abs(y - nose[1] + 0.037) > 0.008)] = (
            hair  # beard
        )
    for eye in eyes:
        colors[face & (np.hypot(x - eye[0], y - brow - 0.004) < 0.010)] = hair * 0.6  # brow
        colors[face & (np.hypot(x - eye[0], y - eye[1]) < 0.014)] = (0.08, 0.06, 0.05)
    if rng.random() < 0.15:  # sunglasses
        colors[face & (np.abs(y - eyes[0][1]) < 0.016) & (np.abs(x) < 0.07)] = rng.uniform(0.02, 0.2)
    return colors
