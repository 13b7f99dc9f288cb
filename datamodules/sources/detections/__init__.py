"""2D joints that other tools found in photographs, or that people marked there, as people to annotate.

===================== ========================================================= ==================================
tool                  file                                                      coordinates; x and y, and
===================== ========================================================= ==================================
COCO results          one json, a list of people with ``image_id``              pixels, score
AlphaPose             ``alphapose-results.json``                                pixels, score (may exceed 1)
OpenPose              ``NAME_keypoints.json``, BODY_25, 18 or 15 joints          pixels, score
MMPose                ``predictions/NAME.json`` or ``results_NAME.json``        pixels, score
RTMLib                ``NAME.json`` with its two arrays                         pixels, score
MediaPipe             ``NAME.json`` with its 33 landmarks                       shares, visibility
easy_ViTPose          ``NAME_result.json``                                      pixels, **y before x**, score
YOLO-pose             ``labels/NAME.txt``                                       shares, score
Label Studio          the project's JSON export                                 percent
===================== ========================================================= ==================================

Joints are taken by name (:mod:`datamodules.sources.detections.skeletons`) into the joint set that they fit best, mostly
COCO's with feet; the others are named in a note. Scores are confidences: 0 to 1 as they are, above as 1. The box is the
file's, or else 1.2 times the hull of the joints of a sufficient score. A person with fewer than three such joints is
left out: that is what a tool makes of a place without anybody. Ids are the image's name below its folder and the number
of the person in the file, from 0. docs/detections.md has the command of each tool.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import JointSet
from datamodules.columns import Arrays, build_or_open
from datamodules.files import (
    AnnotationError,
    ImageError,
    MissingFilesError,
    find_files,
    first_file,
    macos_note,
    read_json,
    read_lines,
)
from datamodules.joint_names import NAMED_SETS, best_set, order_of
from datamodules.people import PeopleBuilder, PeopleTable, hull_box
from datamodules.photos import PhotoHeader, read_header, upright_folder
from datamodules.progress import show_progress
from datamodules.sources.detections.coco_results import RESULTS
from datamodules.sources.detections.found import PIXELS, SHARES, Found, Layout
from datamodules.sources.detections.label_studio import LABEL_STUDIO
from datamodules.sources.detections.mediapipe import MEDIAPIPE
from datamodules.sources.detections.mmpose import MMPOSE, RTMLIB
from datamodules.sources.detections.openpose import OPENPOSE
from datamodules.sources.detections.photos import Photos
from datamodules.sources.detections.skeletons import AUTO, UNREAD
from datamodules.sources.detections.vitpose import VITPOSE
from datamodules.sources.detections.yolo import YOLO
from datamodules.videos import VIDEO_SUFFIXES, frames_folder

VERSION = 1
LAYOUTS = (RESULTS, OPENPOSE, VITPOSE, RTMLIB, MMPOSE, MEDIAPIPE, LABEL_STUDIO)
"""Layouts of json files; the first that matches is taken. Text files are YOLO's."""
MIN_SCORE = 0.3
# Not deeper, where caches and results of this project may lie. The first that finds a file is taken.
_PATTERNS = ("*.json", "*/*.json", "labels/**/*.txt", "*.txt")
_MIN_JOINTS = 3
_HULL_MARGIN = 1.2
_LAST_NUMBER = re.compile(r"(\d{1,12})(?:\.\w+)?$")
_REMEDY = "docs/detections.md says how each tool writes its file"
_NAMED = 3
# Pixels below which joints are shares of the image, and times the whole above which shares are pixels.
_LEAST_PIXELS, _MOST_WHOLES = 1.5, 3.0
# Not the root itself: tools put pictures that they have drawn on beside their files.
_IMAGES = "images"


def open_detections(
    root: str,
    split: str = "train",
    cache_dir: str = "cache",
    images: str | None = None,
    image_list: str | None = None,
    skeleton: str = AUTO,
    min_score: float = MIN_SCORE,
) -> PeopleTable:
    """Table of what a tool found.

    Args:
        root: the tool's file, or the folder that its files are in.
        split: part of the ids.
        cache_dir: folder for caches.
        images: folder of the photographs, or of the frames of a video in order, or the video, whose frames are
            decoded into the cache; None is ``images/`` in the folder of the files or in the one above.
        image_list: COCO-style json whose images have the numbers of a file of COCO results; without it an image's
            number is the one that its name ends in.
        skeleton: order of the joints, one of :data:`datamodules.sources.detections.skeletons.SKELETONS`; ``auto`` is
            what the file names, or else the usual order of that many joints.
        min_score: confidence from which a joint counts for the box, and for whether there is anybody.

    Raises:
        AnnotationError: the files are of no known layout, of several, or damaged.
        MissingFilesError: there are no files, or no photographs.
    """
    files = _find_files(Path(root))
    numbers = _numbers_of(Path(image_list)) if image_list else None
    video = Path(images) if images and Path(images).suffix.lower() in VIDEO_SUFFIXES else None
    if video:
        folder = frames_folder(first_file([video], "video", "Give the video that the tool was run on"), cache_dir)
    else:
        folder = _images_folder(Path(root), files, images)
    photos = Photos(folder, numbers)
    arguments = {
        "split": split, "root": str(Path(root).absolute()), "images": str(photos.folder.absolute()),
        "digest": photos.digest, "video": video is not None, "skeleton": skeleton, "min_score": min_score,
    }  # fmt: skip
    sources = [*files, *([Path(image_list)] if image_list else [])]
    return PeopleTable(
        build_or_open(
            cache_dir,
            f"detections-{split}",
            sources,
            arguments,
            VERSION,
            lambda: _read(files, photos, split, skeleton, min_score, cache_dir, video),
        )
    )


def _find_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    files = next(filter(None, (find_files(root, pattern) for pattern in _PATTERNS)), [])
    if not files:
        raise MissingFilesError([f"detections: looked for {', '.join(_PATTERNS)} in {root}. {_REMEDY}"])
    return files


def _images_folder(root: Path, files: Sequence[Path], images: str | None) -> Path:
    folder = root.parent if root.is_file() else root
    places = [Path(images)] if images else [place / _IMAGES for place in (folder, files[0].parent, folder.parent)]
    for place in places:
        if place.is_dir():
            return place
    tried = ", ".join(str(place) for place in dict.fromkeys(places))
    remedy = "Give the folder of the photographs that the tool was run on as images="
    raise MissingFilesError([f"images of {root}: looked for {tried}. {remedy}"])


def _numbers_of(path: Path) -> dict[int, str]:
    """Number of an image -> its file name."""
    content = read_json(first_file([path], "list of images", "Give the json that the tool was given"))
    images = content.get("images") if isinstance(content, dict) else None
    images = images if isinstance(images, list) else []
    listed: list[Any] = [(image.get("id"), image.get("file_name")) for image in images if isinstance(image, dict)]
    if not listed or not all(type(number) is int and isinstance(name, str) for number, name in listed):
        msg = f"{path} has no list of images with numbers as id, and file_name; give the json that the tool was given"
        raise AnnotationError(msg)
    return dict(listed)


def _read(
    files: Sequence[Path],
    photos: Photos,
    split: str,
    skeleton: str,
    min_score: float,
    cache_dir: str,
    video: Path | None,
) -> tuple[Arrays, dict[str, Any]]:
    layout, found = _found(files, skeleton)
    _check_unit(files, layout, found)
    if video is not None:
        found = [_as_frame(person, video, layout.first_frame) for person in found]
    images = [photos.find(person.image, person.frame) for person in found]
    headers = _headers(photos, [name for name, _ in images if name is not None])
    joint_set, places = _places(files, found)
    folder = upright_folder(photos.folder, headers, cache_dir)
    people = PeopleBuilder("detections", split, joint_set, folder)
    known = _video_columns(found)
    focals = [header.focal for header in headers.values()]
    numbers, kept = Counter[str](), set[str]()
    for row, (person, (name, why)) in enumerate(zip(found, images, strict=True)):
        if name is None or name not in headers:
            people.drop(why or "image unreadable", example=str(name or _shown(person)))
            continue
        numbers[name] += 1
        joints, box = _in_pixels(person, places[person.names], layout.unit, headers[name].size)
        sure = joints[:, 2] >= min_score
        if not np.isfinite(joints).all():
            people.drop("joints_2d is not finite")
            continue
        if sure.sum() < _MIN_JOINTS:
            people.drop(f"fewer than {_MIN_JOINTS} joints with a score of {min_score:g}")
            continue
        kept.add(name)
        people.add(
            f"{_printable(name)}/{numbers[name] - 1}",
            image=name,
            image_size=headers[name].size,
            box=hull_box(joints[sure, :2], _HULL_MARGIN) if box is None else box,
            joints_2d=joints,
            **{column: values[row] for column, values in known.items()},
            **(_camera(headers[name]) if None not in focals else {}),
        )
    for note in (macos_note(files[0].parent, f"*{files[0].suffix}"), *_joint_notes(layout.tool, found, joint_set)):
        people.note(note)
    for note in _image_notes(photos, kept, headers):
        people.note(note)
    return people.finish()


def _places(files: Sequence[Path], found: Sequence[Found]) -> tuple[JointSet, dict[tuple[str, ...], NDArray[np.int64]]]:
    """The joint set that the people's joints fit best, and where its joints are in each order that there is."""
    orders = list(dict.fromkeys(person.names for person in found))
    joint_set = best_set(orders, NAMED_SETS)
    places = {names: np.array(order_of(names, joint_set).places) for names in orders}
    if not any((place >= 0).any() for place in places.values()):
        shown = ", ".join(map(_printable, sorted({name for names in orders for name in names})))
        msg = f"{files[0]}: none of its joints is a person's: {shown:.200}; name them such as left_shoulder, right_knee"
        raise AnnotationError(msg)
    return joint_set, places


def _as_frame(person: Found, video: Path, first: int) -> Found:
    """A person of a video's frame, whose number is the last one in the name that the tool gave it."""
    match = _LAST_NUMBER.search(str(person.image)) if person.frame is None else None
    frame = int(match[1]) - first if match else -1
    return replace(person, image=video.stem, frame=frame) if frame >= 0 else person


def _found(files: Sequence[Path], skeleton: str) -> tuple[Layout, list[Found]]:
    """The people of all files, and the layout of the files."""
    layout, first, found = None, files[0], list[Found]()
    for path in show_progress(files, "reading detections"):
        content = read_json(path) if path.suffix.lower() != ".txt" else read_lines(path, _REMEDY)
        this = _layout_of(path, content)
        if this is None:
            continue
        if layout is not None and this is not layout:
            msg = f"{path} is of {this.tool}, {first} of {layout.tool}: give a folder with one tool's files alone"
            raise AnnotationError(msg)
        layout, first = this, first if layout else path
        found += this.read(path, content, skeleton)
    if layout is None or not found:
        msg = f"{first}: nobody is in the file" + f", nor in {len(files) - 1} others" * (len(files) > 1)
        raise AnnotationError(msg)
    return layout, found


def _layout_of(path: Path, content: Any) -> Layout | None:
    """The layout of a file; None where it is an empty list, which says of any that nobody was found."""
    if path.suffix.lower() == ".txt":
        return YOLO
    if content == []:
        return None
    layout = next((layout for layout in LAYOUTS if layout.matches(content)), None)
    if layout is None:
        known = "; ".join(layout.tool for layout in (*LAYOUTS, YOLO))
        is_coco = isinstance(content, dict) and "annotations" in content
        what = "is a COCO-style annotation file: read it as coco" if is_coco else f"is of no known layout ({known})"
        msg = f"{path} {what}. {_REMEDY}"
        raise AnnotationError(msg)
    return layout


def _check_unit(files: Sequence[Path], layout: Layout, found: Sequence[Found]) -> None:
    """Refuse coordinates that cannot be of the layout's unit."""
    points = [person.joints[person.joints[:, 2] > 0, :2] for person in found]
    values = np.abs(np.concatenate(points)) if points else np.zeros((0, 2))
    values = values[np.isfinite(values)]
    if not values.size:
        return
    if layout.unit != SHARES and values.max() < _LEAST_PIXELS:
        unit = "percent" if layout.unit else "pixels"
        remedy = "write pixels (OpenPose: --keypoint_scale 0)" if layout.unit == PIXELS else "export percent"
        msg = f"{files[0]}: all joints lie within {values.max():.3g}, as shares of the image, not {unit}; {remedy}"
        raise AnnotationError(msg)
    if layout.unit and np.median(values) > _MOST_WHOLES * layout.unit:
        unit = "shares of the image (0 to 1)" if layout.unit == SHARES else "percent of the image"
        msg = f"{files[0]}: coordinates such as {np.median(values):.4g} are not {unit}, which {layout.tool} writes"
        raise AnnotationError(msg)


def _headers(photos: Photos, names: Sequence[str]) -> dict[str, PhotoHeader]:
    """Header of each image that can be read."""
    headers = {}
    for name in show_progress(list(dict.fromkeys(names)), "looking at images"):
        with suppress(ImageError):
            headers[name] = read_header(photos.folder / name)
    return headers


def _in_pixels(
    person: Found, places: NDArray[np.int64], unit: float, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """(K, 3) joints at their places in the file, pixels and confidence, and the box (4,), if there is one."""
    scale = np.array(size, np.float64) / unit if unit else np.ones(2)
    joints = np.where(places[:, None] >= 0, person.joints[places], 0.0)
    confidence = np.clip(joints[:, 2:], 0.0, 1.0)
    # What is not known is all zeros; NaN, which a table counts, stays NaN.
    with np.errstate(over="ignore"):
        points = np.where(confidence == 0, 0.0, joints[:, :2] * scale)
        box = None if person.box is None else np.array(person.box, np.float64) * np.tile(scale, 2)
    return np.concatenate([points, confidence], axis=1), box


def _camera(header: PhotoHeader) -> dict[str, Any]:
    """Columns of a camera of known focal length, with the principal point in the middle."""
    return {"focal": [header.focal] * 2, "princpt": [side / 2 for side in header.size]}


def _video_columns(found: Sequence[Found]) -> dict[str, list[Any]]:
    """Columns of videos, where everybody is in one: name, frame, and the tracker's number where everybody has one."""
    if not all(person.frame is not None for person in found):
        return {}
    columns: dict[str, list[Any]] = {
        "sequence": [str(person.image) for person in found], "frame": [person.frame for person in found],
    }  # fmt: skip
    tracks = [(person.image, person.frame, person.track) for person in found]
    if all(person.track is not None for person in found) and len(set(tracks)) == len(tracks):
        columns["person"] = [person.track for person in found]
    return columns


def _joint_notes(tool: str, found: Sequence[Found], joint_set: JointSet) -> Iterator[str]:
    # Label Studio has other joints for each person, all the others the same.
    orders = [order_of(names, joint_set) for names in dict.fromkeys(person.names for person in found)]
    unread = list(dict.fromkeys(name for order in orders for name in order.unread))
    told = [_printable(name) for name in unread if not name.startswith(UNREAD)]
    told += ["face and hands"] * (len(told) < len(unread))
    lacking = [name for name in joint_set.names if all(name in order.missing for order in orders)]
    texts = [", ".join(names) or "none" for names in (told, lacking)]
    yield (
        f"read as {tool}, joints by name, as {joint_set.name}; not read: {texts[0]:.300}; not in the file: {texts[1]}"
    )
    scores = np.concatenate([person.joints[:, 2] for person in found])
    odd = scores[(scores < 0) | (scores > 1)]
    if odd.size:
        yield (
            f"scores lie outside of 0 to 1 ({odd.min():.3g} to {odd.max():.3g}): those above 1 are used as a "
            "confidence of 1, those below 0 as not found"
        )


def _image_notes(photos: Photos, kept: Set[str], headers: Mapping[str, PhotoHeader]) -> Iterator[str]:
    empty = [name for name in photos.names if name not in kept]
    if empty:
        shown = ", ".join(map(_printable, empty[:_NAMED])) + ", ..." * (len(empty) > _NAMED)
        yield f"{len(empty)} of {len(photos.names)} images have nobody in the files: {shown}"
    told = sum(header.focal is not None for header in headers.values())
    if 0 < told < len(headers):
        yield f"{told} of {len(headers)} images tell their focal length in EXIF; it is used only where all do"
    turned = sum(header.orientation != 1 for header in headers.values())
    if turned:
        yield (
            f"{turned} images are turned upright by their EXIF orientation, as the tool is taken to have seen them; "
            "joints beside the people mean that it did not"
        )


def _shown(person: Found) -> str:
    return f"frame {person.frame}" if person.frame is not None else _printable(f"{person.image!r:.60}")


def _printable(text: str) -> str:
    """Text that can be printed and encoded: what is not UTF-8 in it is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
