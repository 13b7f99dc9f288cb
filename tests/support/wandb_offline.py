"""Reads the files that Weights & Biases writes offline: records of its protocol in the framing of LevelDB's logs.

The format is private to wandb; this is for tests of what will be sent later, nothing in the project depends on it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What a file holds.

    Attributes:
        run: name, project, group, job type and tags, as wandb's own record.
        config: nested values.
        history: logged values, a dict for each step.
        summary: by key; of a metric with several summaries ``key/min`` and so on.
        metrics: definitions, name or pattern -> record.
        artifacts: (name, type, whether it was used instead of made, paths in it, digest of each path).
        files: paths of media and other files.
    """

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def read_offline(path: Path) -> OfflineRun:
    """Content of a ``run-*.wandb`` file; one that a killed process left is read up to where it ends."""
    found = OfflineRun()
    for data in _records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= _items(record.run.config.update)
        elif kind == "config":
            found.config |= _items(record.config.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "files":
            found.files += [file.path for file in record.files.files]
    return found


def _items(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _records(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    assert content[:4] == b":W&B", f"{path} is no file of wandb"
    position, parts = _FILE_HEADER, b""
    while position + _HEADER.size <= len(content):
        left = _BLOCK - position % _BLOCK
        _, length, kind = _HEADER.unpack_from(content, position) if left >= _HEADER.size else (0, 0, 0)
        if kind == 0:  # the end of a block is filled with zeros
            position += left
            continue
        start = position + _HEADER.size
        position = start + length
        if position > len(content):
            return
        data = content[start:position]
        parts = data if kind in (_FULL, _FIRST) else parts + data
        if kind in (_FULL, _LAST):
            yield parts
