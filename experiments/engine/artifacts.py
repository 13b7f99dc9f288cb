"""What a stage leaves on disk, and when it may be used again.

Every stage writes into one folder, and beside its results a ``stage.json``: the settings that the results depend on
(its *key*, which names the keys of the stages before it by their hash), whether it finished, its outputs and its
time. A finished stage whose key is the same is used again; an unfinished one is resumed; one that knew fewer of the
stages before it is made anew; one made with other settings is an error that names the settings, so that no result is
overwritten by accident.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.writing import write_json

RECORD = "stage.json"


class StageMismatchError(RuntimeError):
    """A run folder holds results of other settings."""


def key_hash(key: Mapping[str, Any]) -> str:
    """Short hash of a plain mapping; the same for any order of its keys."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:10]


@dataclass
class StageRecord:
    """One stage on disk.

    Attributes:
        folder: where the stage's results lie.
        key: what they depend on.
        complete: whether the stage finished.
        outputs: plain values for the stages after it, paths relative to ``folder``.
        seconds: time that making it took.
    """

    folder: Path
    key: dict[str, Any]
    complete: bool = False
    outputs: dict[str, Any] | None = None
    seconds: float = 0.0

    @property
    def hash(self) -> str:
        """Hash of the key, by which later stages name this one."""
        return key_hash(self.key)

    def save(self) -> None:
        """Write stage.json."""
        content = {
            "key": self.key,
            "hash": self.hash,
            "complete": self.complete,
            "outputs": self.outputs,
            "seconds": round(self.seconds, 2),
        }
        write_json(self.folder / RECORD, content)


def open_stage(folder: Path, key: dict[str, Any], overwrite: bool) -> StageRecord:
    """Look at a stage's folder before the stage runs.

    Args:
        folder: the stage's folder; need not exist.
        key: the settings that this run would make it with.
        overwrite: remove results of other settings instead of refusing.

    Returns:
        The record on disk if it has the same key, else a new one.

    Raises:
        StageMismatchError: the folder holds results of other settings, which are named.
    """
    record = foresee_stage(folder, key, overwrite)
    if (folder / RECORD).exists() and find_stage(folder, key) is None:
        shutil.rmtree(folder)
    return record


def foresee_stage(folder: Path, key: dict[str, Any], overwrite: bool) -> StageRecord:
    """What :func:`open_stage` would return or raise, without a change on disk; arguments as there."""
    if (record := find_stage(folder, key)) is not None or not (folder / RECORD).exists():
        return record or StageRecord(folder, _as_read(key))
    found = json.loads((folder / RECORD).read_text())
    # A stage that failed before its first result, for example for want of another stage, does not hold the folder.
    begun = found["complete"] or any(path.is_file() and path != folder / RECORD for path in folder.rglob("*"))
    if overwrite or not begun or _has_more_before(found["key"], _as_read(key)):
        return StageRecord(folder, _as_read(key))
    msg = (
        f"{folder} holds results of other settings ({', '.join(_differences(found['key'], _as_read(key)))}). "
        "Choose another name=..., remove the folder, or pass overwrite=true"
    )
    raise StageMismatchError(msg)


def find_stage(folder: Path, key: dict[str, Any]) -> StageRecord | None:
    """The record in a folder, finished or not; None where there is none with this key."""
    path = folder / RECORD
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    if found["key"] != _as_read(key):
        return None
    return StageRecord(folder, found["key"], found["complete"], found["outputs"], found["seconds"])


def _has_more_before(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether only stages before this one have come: an evaluation of labels alone, and now there is a regressor."""
    before, now = ((key.get("after") or {}).items() for key in (old, new))
    return {**old, "after": None} == {**new, "after": None} and before < now


def _as_read(key: dict[str, Any]) -> dict[str, Any]:
    """A key as JSON gives it back, where tuples and ints as keys are others."""
    return json.loads(json.dumps(key))


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found: list[str] = []
        for name in sorted(old.keys() | new.keys()):
            found += _differences(old.get(name), new.get(name), f"{prefix}.{name}" if prefix else name)
        return found
    return [] if old == new else [f"{prefix}: {old} there, {new} now"]
