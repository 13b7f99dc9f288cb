"""Label Studio: the project's export as JSON, people marked by named points.

A list of tasks ``{"data": {"image"}, "annotations": [{"result": [...]}]}``. A point is a result of type
``keypointlabels`` with ``value: {x, y, width, keypointlabels: [name]}``, in **percent** of the image's size. Points
with the same ``parentID`` are one person, and the rectangle of that id is its box. Points without one belong to the
person before, until a name comes a second time. Of several annotations of a task the last that was not cancelled is
read; predictions are not. The image is the name behind the last slash or ``=``, without the eight digits and the dash
that an upload puts before it. Source: HumanSignal/label-studio-converter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from datamodules.records import are_numbers, require_keys
from datamodules.sources.detections.found import PERCENT, Found, Layout, is_list_of, require

_POINT, _BOX = "keypointlabels", "rectanglelabels"
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_BOX_KEYS = ("x", "y", "width", "height")


def _read(path: Path, content: Any, skeleton: str) -> Iterator[Found]:
    for number, task in enumerate(content):
        require_keys(path, f"task {number}", task, ("data", "annotations"))
        name = f"task {task.get('id', number)!r:.20}"
        annotations = task["annotations"]
        require(path, isinstance(annotations, list), f"{name} has annotations {annotations!r:.60}, not a list")
        done = [entry for entry in annotations if isinstance(entry, dict) and not entry.get("was_cancelled")]
        if not done:
            continue
        results = done[-1].get("result") or []
        require(path, isinstance(results, list), f"{name} has result {results!r:.60}, not a list")
        yield from _people(path, name, _image(path, name, task), results)


def _image(path: Path, name: str, task: dict[str, Any]) -> str:
    data = task["data"]
    given = next((value for value in data.values() if isinstance(value, str)), None) if isinstance(data, dict) else None
    given = data.get("image", given) if isinstance(data, dict) else None
    require(path, isinstance(given, str), f"{name} has no image in its data")
    # An address, or a place such as /data/local-files/?d=folder/name.jpg.
    return _UPLOADED.sub("", PurePosixPath(re.split(r"[=/\\]", unquote(str(given)))[-1]).name)


def _people(path: Path, name: str, image: str, results: list[Any]) -> Iterator[Found]:
    boxes, people, group = dict[str, list[float]](), dict[str, dict[str, list[float]]](), 0
    for result in results:
        kind = result.get("type") if isinstance(result, dict) else None
        if kind == _BOX:
            boxes[str(result.get("id"))] = _numbers(path, name, result, _BOX_KEYS)
        if kind != _POINT:
            continue
        joint = _joint(path, name, result)
        parent = result.get("parentID")
        # Points without a parent are one person until a name comes again.
        if parent is None and joint in people.get(f"#{group}", {}):
            group += 1
        key = f"#{group}" if parent is None else str(parent)
        person = people.setdefault(key, {})
        require(path, joint not in person, f"{name}: a person has two points {joint!r:.40}")
        person[joint] = [*_numbers(path, name, result, ("x", "y")), 1.0]
    for key, points in people.items():
        # In one order, whichever way they were marked.
        names = tuple(sorted(points))
        yield Found(image, np.array([points[joint] for joint in names], np.float64), names, boxes.get(key))


def _joint(path: Path, name: str, result: dict[str, Any]) -> str:
    value = result.get("value")
    labels = value.get(_POINT) if isinstance(value, dict) else None
    good = isinstance(labels, list) and len(labels) == 1 and isinstance(labels[0], str)
    require(path, good, f"{name} has a point with {_POINT} {labels!r:.60}, which is not one name")
    return str(labels[0]) if labels else ""


def _numbers(path: Path, name: str, result: dict[str, Any], keys: tuple[str, ...]) -> list[float]:
    value = result.get("value")
    numbers: list[Any] = [value.get(key) for key in keys] if isinstance(value, dict) else []
    require(path, are_numbers(numbers, len(keys)), f"{name} has a mark without numbers {', '.join(keys)}")
    return numbers


LABEL_STUDIO = Layout("Label Studio", PERCENT, lambda content: is_list_of(content, "data", "annotations"), _read)
