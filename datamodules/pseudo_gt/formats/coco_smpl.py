"""COCO's layout with a body and a camera in each annotation, as the group's readers of 3DPW and HybrIK's have it.

``{"images": [...], "annotations": [...], "categories": [...]}``:

* images: id (the number in the file name where all names are numbers, as COCO's; else a running one), file_name,
  width, height;
* annotations: id (the data set's own key where it is a number; else a running one, and the key in ``key``), image_id,
  category_id 1, iscrowd 0, bbox (as annotated), area, keypoints (3 K: x, y in pixels and 2 or 0), num_keypoints,
  ``smpl_param`` {pose 72 axis-angle camera frame, shape 10, trans 3 metres, gender}, ``cam_param`` {focal 2,
  princpt 2} in pixels of the full image;
* categories: one, person, with the names of the table's own joints and the bones as pairs counted from 1.

As mks0601's 3DPW.py (I2L-MeshNet, Hand4Whole) reads ``ann["smpl_param"]``; it takes ``cam_param`` from the image,
which cannot be: two people of one image have two cameras here, because the annotator's camera has its principal point
at the box's centre. So it stands in the annotation, and on the way in both places are read. Joints come back to
0.1 px. MPII's published files count pixels from 1: there everything in pixels is shifted by 1 on the way out and back
on the way in.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.contracts import GENDERS
from body_models.joint_sets import JOINT_SETS
from datamodules.ids import PersonId
from datamodules.pseudo_gt.formats.exchange import (
    BODY_COLUMNS,
    CAMERA_COLUMNS,
    SMPL_SIZES,
    LabelBlocks,
    Published,
    keys_of,
    make_ids,
    numbers_at,
    numeric_keys,
    pose_of,
    split_pose,
)
from datamodules.pseudo_gt.formats.neuralannot import PIXEL_OFFSET
from datamodules.pseudo_gt.json_stream import iter_json, writing
from datamodules.pseudo_gt.native import JOINTS, Columns, LabelError, require_people

_VISIBLE = 2
_LENGTHS = {
    "smpl_param": SMPL_SIZES,
    "cam_param": {"focal": 2, "princpt": 2},
}
_DECIMALS = 7


def write_coco_smpl(labels: LabelBlocks, path: Path) -> int:
    """Write the json; returns the number of people."""
    needed = ("id", "image", "image_size", "person_box", *BODY_COLUMNS, *CAMERA_COLUMNS)
    images, numeric = _images(labels)
    count = 0
    with writing(path) as file:
        file.write('{"images": [')
        for i, (name, (number, size)) in enumerate(images.items()):
            record = {"id": number, "file_name": name, "width": int(size[0]), "height": int(size[1])}
            file.write(("," if i else "") + "\n" + json.dumps(record))
        file.write('\n],\n"categories": [' + json.dumps(_category(labels)) + '],\n"annotations": [')
        for block in labels.blocks("coco_smpl", needed, (JOINTS, "gender")):
            for person in _people(block, images, numeric, count):
                file.write(("," if count else "") + "\n" + json.dumps(person, separators=(",", ":")))
                count += 1
        file.write("\n]}\n")
    return count


def _images(labels: LabelBlocks) -> tuple[dict[str, tuple[int, NDArray[Any]]], bool]:
    """Number and size of each image by name, and whether all keys of people are numbers."""
    sizes: dict[str, NDArray[Any]] = {}
    numeric = True
    for block in labels.blocks("coco_smpl", ("id", "image", "image_size")):
        numeric = numeric and numeric_keys(keys_of(block["id"])) is not None
        for name, size in zip(block["image"], block["image_size"], strict=True):
            sizes.setdefault(name, size)
    stems = [Path(name).stem for name in sizes]
    official = len(set(stems)) == len(stems) and numeric_keys(stems) is not None
    numbers = map(int, stems) if official else range(len(stems))
    return {name: (number, size) for (name, size), number in zip(sizes.items(), numbers, strict=True)}, numeric


def _category(labels: LabelBlocks) -> dict[str, Any]:
    names = labels.joint_names
    bones = next((joint_set.bones for joint_set in JOINT_SETS.values() if joint_set.names == names), ())
    skeleton = [[names.index(a) + 1, names.index(b) + 1] for a, b in bones]
    return {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(names), "skeleton": skeleton}


def _people(
    block: Columns, images: dict[str, tuple[int, NDArray[Any]]], numeric: bool, first: int
) -> list[dict[str, Any]]:
    rows, keys = len(block["id"]), keys_of(block["id"])
    offset = np.array([PIXEL_OFFSET.get(PersonId.parse(name).dataset, 0.0) for name in block["id"]])[:, None]
    joints = block[JOINTS].astype(np.float64) if JOINTS in block else np.zeros((rows, 0, 3))
    visible = joints[..., 2] > 0
    joints[..., :2] = (joints[..., :2] + offset[:, None]) * visible[..., None]
    joints[..., 2] = _VISIBLE * visible
    box = block["person_box"].astype(np.float64)
    box[:, :2] += offset
    values = {
        "pose": pose_of(block),
        "shape": block["betas"],
        "trans": block["transl"],
        "focal": block["focal"],
        "princpt": block["princpt"] + offset,
        "bbox": box,
        "keypoints": joints.reshape(rows, -1),
    }
    numbers = {name: np.round(value.astype(np.float64), _DECIMALS).tolist() for name, value in values.items()}
    people = []
    for i, key in enumerate(keys):
        body = {name: numbers[name][i] for name in _LENGTHS["smpl_param"]}
        person = {
            "id": int(key) if numeric else first + i,
            "image_id": images[block["image"][i]][0],
            "category_id": 1,
            "iscrowd": 0,
            "bbox": numbers["bbox"][i],
            "area": float(np.prod(box[i, 2:])),
            "keypoints": numbers["keypoints"][i],
            "num_keypoints": int(visible[i].sum()),
            "smpl_param": {**body, "gender": str(block["gender"][i])},
            "cam_param": {name: numbers[name][i] for name in _LENGTHS["cam_param"]},
        }
        people.append(person if numeric else {**person, "key": key})
    return people


def read_coco_smpl(path: str | Path, dataset: str, split: str) -> Published:
    """Read the json: id, image, image_size, person_box, body, transl, focal, princpt, gender, joints_2d.

    Its lists may come in any order. Annotations without smpl_param, or with null there, are left out.

    Raises:
        LabelError: the file is not in this layout; the person and the field are named.
    """
    images: dict[str, dict[str, Any]] = {}
    people: list[dict[str, Any]] = []
    fields: dict[str, list[NDArray[Any]]] = {name: [] for name in _LENGTHS["smpl_param"]}
    boxes, joints, names = [], [], None
    left_out = Counter[str]()
    for key, entry in iter_json(path, lists=("images", "annotations")):
        if key == "images":
            image = str(_key(path, "an image", entry, "id"))
            if images.setdefault(image, entry) is not entry:
                msg = f"{path}: image {image:.40} is there twice, so its people cannot be told apart"
                raise LabelError(msg)
        elif key == "categories":
            names = _joint_names(entry)
        elif key == "annotations":
            number = _key(path, "an annotation", entry, "id")
            if entry.get("smpl_param") is None:
                left_out["it has no smpl_param"] += 1
                continue
            person = f"{path}: person {number}"
            for name, length in _LENGTHS["smpl_param"].items():
                values = numbers_at(person, entry, f"smpl_param.{name}", (length,))
                fields[name].append(values.astype(np.float32))
            boxes.append(numbers_at(person, entry, "bbox", (4,)))
            joints.append(numbers_at(person, {"keypoints": entry.get("keypoints") or []}, "keypoints", None))
            image = str(_key(path, f"person {number}", entry, "image_id"))
            # The camera of an image, which may come after its people, is looked up at the end.
            record = {"id": number, "key": entry.get("key"), "cam_param": entry.get("cam_param"), "image": image}
            people.append(record | _gender(entry))
    if not people and not left_out:
        msg = f'{path} has nobody under "annotations"'
        raise LabelError(msg)
    require_people(path, len(people), left_out)
    missing = [person["id"] for person in people if person["image"] not in images]
    if missing:
        msg = f'{path}: person {missing[0]} is of an image that is not under "images" ({len(missing)} such)'
        raise LabelError(msg)
    arrays = {name: np.array(values) for name, values in fields.items()} | _cameras(path, people, images)
    offset = np.float32(PIXEL_OFFSET.get(dataset, 0.0))
    records = [images[person["image"]] for person in people]
    columns: Columns = {
        "id": make_ids(dataset, split, [person["id"] if person["key"] is None else person["key"] for person in people]),
        "image": np.array([str(record.get("file_name", "")) for record in records], dtype=object),
        "image_size": np.array([_image_size(path, record) for record in records], dtype=np.int32),
        "person_box": np.array(boxes, dtype=np.float32) - [offset, offset, 0, 0],
        **split_pose(arrays["pose"]),
        "betas": arrays["shape"],
        "transl": arrays["trans"],
        "focal": arrays["focal"],
        "princpt": arrays["princpt"] - offset,
        "gender": np.array([person["gender"] for person in people], dtype=object),
    }
    joint_set = next((name for name, found in JOINT_SETS.items() if list(found.names) == names), None)
    if joint_set is not None and {len(row) for row in joints} == {3 * len(JOINT_SETS[joint_set].names)}:
        table = np.array(joints, dtype=np.float32).reshape(len(people), -1, 3)
        seen = table[..., 2] > 0
        table[..., :2] = (table[..., :2] - offset) * seen[..., None]
        table[..., 2] = seen
        columns[JOINTS] = table
    return Published(columns, joint_set if JOINTS in columns else None, left_out)


def _joint_names(categories: Any) -> Any:
    """The keypoints of the category person, or else of the first; None where there are no categories."""
    found = [one for one in categories if isinstance(one, dict)] if isinstance(categories, list) else []
    person = next((one for one in found if one.get("name") == "person"), found[0] if found else {})
    return person.get("keypoints")


def _cameras(path: str | Path, people: list[dict[str, Any]], images: dict[str, dict[str, Any]]) -> Columns:
    """focal and princpt (N, 2) of each person's own camera, or else of the image's."""
    cameras: dict[str, list[NDArray[Any]]] = {name: [] for name in _LENGTHS["cam_param"]}
    for person in people:
        source = person if person["cam_param"] is not None else images[person["image"]]
        for name, length in _LENGTHS["cam_param"].items():
            cameras[name].append(numbers_at(f"{path}: person {person['id']}", source, f"cam_param.{name}", (length,)))
    return {name: np.array(values, dtype=np.float32) for name, values in cameras.items()}


def _gender(annotation: dict[str, Any]) -> dict[str, str]:
    gender = str(annotation["smpl_param"].get("gender", "neutral"))
    return {"gender": gender if gender in GENDERS else "neutral"}


def _key(path: str | Path, what: str, record: Any, name: str) -> int | str:
    if not isinstance(record, dict) or type(record.get(name)) not in (int, str):
        msg = f"{path}: {what} has no {name} that is a number or text, so this is not COCO's layout"
        raise LabelError(msg)
    return record[name]


def _image_size(path: str | Path, image: dict[str, Any]) -> list[int]:
    sides = [image.get(name, 0) for name in ("width", "height")]
    if not all(type(side) in (int, float) and 0 <= side < 2**31 for side in sides):
        msg = f"{path}: image {image['id']!s:.40} has width and height {sides!r:.80}, which are no numbers of pixels"
        raise LabelError(msg)
    return [int(side) for side in sides]
