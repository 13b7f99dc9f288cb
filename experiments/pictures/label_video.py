"""Videos of label tables: the meshes on each image, and the same people from the side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from body_models.render import overlay, side_view
from body_models.smpl import BodyModel
from datamodules.crops import choose_reduction, read_image
from datamodules.files import image_size
from datamodules.ids import PersonId
from datamodules.progress import show_progress
from datamodules.pseudo_gt.native import (
    Columns,
    body_parameters,
    column_names,
    iter_labels,
    read_labels,
    read_provenance,
)
from experiments.pictures.figures import PALETTE, mesh_color

_DRAWN = ("image", "box", "global_orient", "body_pose", "betas", "transl", "focal", "princpt")
_SIDES = 3
"""People shown from the side; with more the views would be too small."""
_PARTS_OF_A_TRACK = 3
"""Of a key that names a track: sequence, frame, person."""


class VideoError(RuntimeError):
    """A video that cannot be made or written."""


@dataclass(frozen=True)
class Clip:
    """What a video shows.

    Attributes:
        sequence: folder of its images below the root; empty for images that lie in the root itself.
        images: root of the images.
        frames: image of each frame, and for each person in it the row of ``labels``, by track.
        labels: columns of these people.
        bodies: body models by gender.
    """

    sequence: str
    images: Path
    frames: list[tuple[str, dict[str, int]]]
    labels: Columns
    bodies: dict[str, BodyModel]

    @property
    def tracks(self) -> list[str]:
        """The people, those in most frames first."""
        counts: dict[str, int] = {}
        for _, people in self.frames:
            for name in people:
                counts[name] = counts.get(name, 0) + 1
        return sorted(counts, key=lambda name: (-counts[name], name))


def open_clip(
    folder: Path,
    sequence: str | None = None,
    most: int | None = None,
    images: Path | None = None,
    body_models: str | None = None,
) -> Clip:
    """Read the labels of one sequence.

    Args:
        folder: of the label table.
        sequence: folder of its images, or the end of it; None for the first.
        most: number of frames; None for all.
        images: root of the images; None for what the table says.
        body_models: folder of model files; None for what the labels were made with.

    Raises:
        VideoError: the table has no cameras, no such sequence, or its images are not there.
        LabelError: it is no label table.
    """
    meta = read_provenance(folder)
    if lacking := [name for name in _DRAWN if name not in column_names(folder)]:
        msg = f"{folder} cannot be drawn on images: it has no {', '.join(lacking)}"
        raise VideoError(msg)
    names = read_labels(folder, ["image"]).columns["image"].astype(str)
    folders = np.array([os.path.dirname(name) for name in names.tolist()])
    chosen = _find_sequence(folder, list(dict.fromkeys(folders.tolist())), sequence)
    shown = sorted(set(names[folders == chosen].tolist()))[:most]
    keep = np.isin(names, shown)
    wanted = [name for name in ("id", "gender", *_DRAWN) if name in column_names(folder)]
    blocks = list(iter_labels(folder, columns=wanted, keep=keep))
    labels = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    root = images or meta["image_root"]
    if root is None or not Path(root, shown[0]).is_file():
        msg = f"{folder}: its image {shown[0]} is not in {root or 'any place that the table names'}; give --images"
        raise VideoError(msg)
    settings = meta["provenance"].get("settings", {})
    models = body_models or settings.get("paths", {}).get("body_models", "free")
    genders = set(labels["gender"].tolist()) if "gender" in labels else {"neutral"}
    bodies = {str(gender): BodyModel(models, str(gender)) for gender in genders}
    return Clip(chosen, Path(root), _frames(labels, shown), labels, bodies)


def _find_sequence(folder: Path, there: Sequence[str], wanted: str | None) -> str:
    if wanted is None:
        return there[0]
    found = [name for name in there if name == wanted] or [name for name in there if f"/{name}".endswith(f"/{wanted}")]
    if len(found) != 1:
        shown = ", ".join(there[:8]) + (" ..." if len(there) > 8 else "")
        msg = f"{folder} has {len(found)} sequences {wanted!r}; there are {shown}"
        raise VideoError(msg)
    return found[0]


def _frames(labels: Columns, images: Sequence[str]) -> list[tuple[str, dict[str, int]]]:
    """Each image with its people; where ids do not tell who is who, the largest is first."""
    rows: dict[str, list[int]] = {name: [] for name in images}
    for row, name in enumerate(labels["image"].astype(str).tolist()):
        rows[name].append(row)
    frames = []
    for name, people in rows.items():
        people = sorted(people, key=lambda row: -float(labels["box"][row, 2]))
        keys = [PersonId.parse(str(labels["id"][row])).key_parts for row in people]
        known = all(len(key) >= _PARTS_OF_A_TRACK for key in keys)
        tracks = [key[-1] if known else str(place) for place, key in enumerate(keys)]
        frames.append((name, dict(zip(tracks, people, strict=True))))
    return frames


def write_video(clip: Clip, path: Path, fps: float, height: int) -> Path:
    """Draw a clip into a video, which appears when it is complete.

    Args:
        clip: to draw.
        path: .mp4, or .avi; where OpenCV cannot write the first, the second is written instead.
        fps: frames a second.
        height: of the video in pixels.

    Returns:
        The path that was written.

    Raises:
        VideoError: OpenCV can write neither.
        ImageError: an image is missing or damaged.
    """
    height -= height % 2
    width, image_height = image_size(clip.images / clip.frames[0][0])
    left = round(width * height / image_height / 2) * 2
    shown = min(len(clip.tracks), _SIDES)
    side = height // shown
    size = (left + side + side % 2, height)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer, path, temporary = _open_writer(path, fps, size)
    try:
        for frame in show_progress(_pictures(clip, (left, height), side, size), "video", len(clip.frames)):
            writer.write(frame[..., ::-1])
        writer.release()
        os.replace(temporary, path)
    finally:
        writer.release()
        temporary.unlink(missing_ok=True)
    return path


def _open_writer(path: Path, fps: float, size: tuple[int, int]) -> tuple[cv2.VideoWriter, Path, Path]:
    """The writer, the path that it will have, and the one that it writes to."""
    codecs = {".mp4": "mp4v", ".avi": "MJPG"}
    for suffix in dict.fromkeys((path.suffix, ".avi")):
        temporary = path.with_name(f".{path.stem}-{os.getpid()}{suffix}")
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*codecs[suffix]), fps, size)
        if writer.isOpened():
            return writer, path.with_suffix(suffix), temporary
        temporary.unlink(missing_ok=True)
    msg = f"OpenCV can write neither mp4 nor avi to {path.parent}: is it writable?"
    raise VideoError(msg)


def _pictures(clip: Clip, left: tuple[int, int], side: int, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """(H, W, 3) uint8 RGB of each frame."""
    tracks = clip.tracks
    colors = {name: mesh_color(PALETTE[place % len(PALETTE)]) for place, name in enumerate(tracks)}
    for name, people in clip.frames:
        path = clip.images / name
        whole = image_size(path)
        canvas = np.full((size[1], size[0], 3), 255, np.uint8)
        scale = min(left[0] / whole[0], left[1] / whole[1])
        inner = (round(whole[0] * scale), round(whole[1] * scale))
        image = read_image(path, whole, choose_reduction(np.eye(2, 3) * scale, whole))
        picture: Any = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        meshes = {track: _posed(clip, row) for track, row in people.items()}
        faces = next(iter(clip.bodies.values())).faces
        # Labels have cameras of their own, so that only size tells who is in front.
        for track in sorted(people, key=lambda track: float(clip.labels["box"][people[track], 2])):
            row = people[track]
            camera = clip.labels["focal"][row] * scale, clip.labels["princpt"][row] * scale
            picture = overlay(picture, meshes[track][0], faces, *camera, colors[track])
        canvas[: inner[1], : inner[0]] = picture
        for place, track in enumerate(tracks[:_SIDES]):
            if track in meshes:
                # About the root, so that the body does not jump when an arm is stretched.
                vertices, root = meshes[track]
                view = side_view(vertices, faces, (side, side), colors[track], centre=root)
                canvas[place * side : place * side + side, left[0] : left[0] + side] = view
        yield canvas


def _posed(clip: Clip, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(6890, 3) vertices and (3,) root joint, metres, camera frame."""
    labels = clip.labels
    body = clip.bodies[str(labels["gender"][row])] if "gender" in labels else clip.bodies["neutral"]
    one = {key: labels[key][row : row + 1] for key in ("global_orient", "body_pose", "betas", "transl")}
    with torch.no_grad():
        posed = body(**body_parameters(one))
    return posed.vertices[0].numpy(), posed.joints[0, 0].numpy()
