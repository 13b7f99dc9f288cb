"""The same people as each tool writes them: two in the first image, one in the second, nobody in the third."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datamodules.sources.detections.skeletons import SKELETONS
from datamodules.writing import write_json, write_text

SIZE = (320, 240)
IMAGES = ("000000000007.jpg", "000000000012.jpg", "000000000040.jpg")
WHERE = (0, 0, 1)
"""The image of each person."""
_EXTENT = (40.0, 160.0)


def joint_of(name: str, person: int) -> np.ndarray:
    """(3,) where a joint of this name is, in pixels, and its score."""
    place = np.random.default_rng([person, *name.encode()])
    return np.array([*place.uniform(*_EXTENT, 2), place.uniform(0.5, 0.95)]).round(3)


def joints_of(names: tuple[str, ...], person: int) -> np.ndarray:
    """(K, 3) the same for several; the last joint of the file was not found."""
    joints = np.array([joint_of(name, person) for name in names])
    joints[-1] = 0
    return joints


def box_of(person: int) -> list[float]:
    """x, y, w, h in pixels."""
    return [20.0 + person, 30.0, 160.0, 150.0]


def write_images(root: Path) -> None:
    """The photographs."""
    for number, name in enumerate(IMAGES):
        (root / "images").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / "images" / name), np.full((SIZE[1], SIZE[0], 3), 60 + 40 * number, np.uint8))


def write_coco_results(root: Path, names: tuple[str, ...] = SKELETONS["coco_17"]) -> None:
    """COCO results: the image by its number."""
    write_json(
        root / "results.json",
        [
            {"image_id": int(IMAGES[image][:-4]), "category_id": 1, "score": 0.9, "bbox": box_of(person),
             "keypoints": joints_of(names, person).ravel().tolist()}
            for person, image in enumerate(WHERE)
        ],
    )  # fmt: skip


def write_alphapose(root: Path, names: tuple[str, ...] = SKELETONS["halpe_26"]) -> None:
    """AlphaPose: the image by its name, a score above 1, the box under another key."""
    write_json(
        root / "alphapose-results.json",
        [
            {"image_id": IMAGES[image], "category_id": 1, "score": 2.9, "box": box_of(person), "idx": [[0.0]],
             "keypoints": joints_of(names, person).ravel().tolist()}
            for person, image in enumerate(WHERE)
        ],
    )  # fmt: skip


def write_openpose(root: Path, names: tuple[str, ...] = SKELETONS["openpose_25"]) -> None:
    """OpenPose: a file an image, also where nobody is."""
    for number, name in enumerate(IMAGES):
        people = [
            {"person_id": [-1], "pose_keypoints_2d": joints_of(names, person).ravel().tolist(),
             "face_keypoints_2d": [], "hand_left_keypoints_2d": []}
            for person, image in enumerate(WHERE) if image == number
        ]  # fmt: skip
        write_json(root / "json" / f"{name[:-4]}_keypoints.json", {"version": 1.3, "people": people})


def mmpose_person(person: int, names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """A person of MMPose's, without a box."""
    joints = joints_of(names, person)
    return {"keypoints": joints[:, :2].tolist(), "keypoint_scores": joints[:, 2].tolist(), **more}


def write_mmpose(root: Path, names: tuple[str, ...] = SKELETONS["wholebody_133"]) -> None:
    """MMPose's inferencer: a list of people an image, empty where nobody is; boxes by their corners, nested."""
    for number, name in enumerate(IMAGES):
        people = []
        for person, image in enumerate(WHERE):
            x, y, w, h = box_of(person)
            box = {"bbox": [[x, y, x + w, y + h]], "bbox_score": 0.9}
            people += [mmpose_person(person, names, **box)] * (image == number)
        write_json(root / "predictions" / f"{name[:-4]}.json", people)


def write_rtmlib(root: Path, names: tuple[str, ...] = SKELETONS["halpe_26"]) -> None:
    """RTMLib's two arrays; where nobody is, a person over the whole image, of low scores."""
    for number, name in enumerate(IMAGES):
        people = [joints_of(names, person) for person, image in enumerate(WHERE) if image == number]
        people = people or [np.column_stack([joints_of(names, 9)[:, :2], np.full(len(names), 0.2)])]
        content = {"keypoints": [p[:, :2].tolist() for p in people], "scores": [p[:, 2].tolist() for p in people]}
        write_json(root / "rtmlib" / f"{name[:-4]}.json", content)


def write_mediapipe(root: Path) -> None:
    """MediaPipe: shares of the image; one person is a list, several are lists."""
    names = SKELETONS["mediapipe_33"]
    for number, name in enumerate(IMAGES):
        people = [
            [
                {"x": x / SIZE[0], "y": y / SIZE[1], "z": -0.1, "visibility": score, "presence": 0.9}
                for x, y, score in joints_of(names, person).tolist()
            ]
            for person, image in enumerate(WHERE) if image == number
        ]  # fmt: skip
        write_json(root / "landmarks" / f"{name[:-4]}.json", people[0] if len(people) == 1 else people)


def write_vitpose(root: Path, skeleton: str = "vitpose_25") -> None:
    """easy_ViTPose: y before x, ids as text, the names of the joints."""
    names = SKELETONS[skeleton]
    for number, name in enumerate(IMAGES[:2]):
        people = {
            str(person): joints_of(names, person)[:, [1, 0, 2]].tolist()
            for person, image in enumerate(WHERE) if image == number
        }  # fmt: skip
        content = {"keypoints": [people], "skeleton": {str(i): joint for i, joint in enumerate(names)}}
        write_json(root / f"{name[:-4]}_result.json", content)


def yolo_line(person: int, names: tuple[str, ...] = SKELETONS["coco_17"], tail: str = "") -> str:
    """A line of YOLO's."""
    x, y, w, h = box_of(person)
    head = [(x + w / 2) / SIZE[0], (y + h / 2) / SIZE[1], w / SIZE[0], h / SIZE[1]]
    joints = joints_of(names, person) / [*SIZE, 1]
    return " ".join(["0", *(f"{value:.8g}" for value in [*head, *joints.ravel()])]) + tail


def write_yolo(root: Path, tail: str = "") -> None:
    """YOLO-pose: no file where nobody is."""
    for number, name in enumerate(IMAGES[:2]):
        lines = [yolo_line(person, tail=tail) for person, image in enumerate(WHERE) if image == number]
        write_text(root / "labels" / f"{name[:-4]}.txt", "".join(f"{line}\n" for line in lines))


def _mark(kind: str, number: object, value: dict[str, Any], parent: str | None) -> dict[str, Any]:
    mark = {"type": kind, "id": str(number), "value": value, "original_width": SIZE[0], "original_height": SIZE[1]}
    return mark if parent is None else {**mark, "parentID": parent}


def write_label_studio(root: Path, parents: bool = True) -> None:
    """Label Studio: percent, points of a person under its rectangle, an upload's prefix, a cancelled annotation."""
    tasks = []
    for number, name in enumerate(IMAGES):
        result: list[dict[str, Any]] = []
        for person, image in enumerate(WHERE):
            if image != number:
                continue
            x, y, w, h = (100 * value / SIZE[i % 2] for i, value in enumerate(box_of(person)))
            box = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": ["person"]}
            result += [_mark("rectanglelabels", f"box{person}", box, None)] if parents else []
            for joint in SKELETONS["coco_17"][person:]:
                x, y, _ = joint_of(joint, person)
                value = {"x": 100 * x / SIZE[0], "y": 100 * y / SIZE[1], "width": 0.5, "keypointlabels": [joint]}
                parent = f"box{person}" if parents else None
                result.append(_mark("keypointlabels", f"{person}{joint}", value, parent))
        annotations = [{"id": 1, "result": result}, {"id": 2, "was_cancelled": True, "result": []}]
        image = f"/data/upload/1/1f0c9a3b-{name}"
        tasks.append({"id": number, "data": {"image": image}, "annotations": annotations, "predictions": []})
    write_json(root / "project-1.json", tasks)


TOOLS: dict[str, tuple[Callable[[Path], None], str]] = {
    "coco_results": (write_coco_results, "*.json"),
    "alphapose": (write_alphapose, "*.json"),
    "openpose": (write_openpose, "json/*.json"),
    "mmpose": (write_mmpose, "predictions/*.json"),
    "rtmlib": (write_rtmlib, "rtmlib/*.json"),
    "mediapipe": (write_mediapipe, "landmarks/*.json"),
    "vitpose": (write_vitpose, "*.json"),
    "yolo": (write_yolo, "labels/*.txt"),
    "label_studio": (write_label_studio, "*.json"),
}
"""Name of a tool -> what writes its files, and the pattern of their names."""
