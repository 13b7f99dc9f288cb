"""Runs a reader on damaged files in a process of its own, where it can neither hang, nor eat all memory, nor hide."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import torch

from body_models.safe_pickle import ModelFileError
from datamodules.files import AnnotationError, ImageError, MissingFilesError
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.native import LabelError
from lightning_modules.weights.checkpoints import CheckpointError
from tests.support.mutations import mutate

OWN_ERRORS = (AnnotationError, ImageError, MissingFilesError, ModelFileError, LabelError, CheckpointError)
SECONDS = 10
PATIENCE = 180
MEMORY = 2 << 30


class TooSlowError(BaseException):
    """Not an Exception, so that no reader can take it for a fault of its file."""


@dataclass(frozen=True)
class Reader:
    """A reader and honest files for it.

    Attributes:
        name: of the layout.
        files: that are damaged, one at a time.
        read: reads them; takes a folder for caches, which is a new one each time.
    """

    name: str
    files: Sequence[Path]
    read: Callable[[str], Any]


def fuzz(reader: Reader, numbers: Sequence[int], folder: Path) -> list[str]:
    """Faults of a reader: a text for each mutation after which it did anything but read or refuse.

    Args:
        reader: what to try.
        numbers: of the mutations; each is a function of its number and the reader's name alone.
        folder: empty, for caches and notes.
    """
    context = multiprocessing.get_context("fork")
    notes, canary = folder / "notes.jsonl", folder / "canary"
    process = context.Process(target=_child, args=(reader, numbers, folder, notes, canary))
    process.start()
    process.join(PATIENCE + len(numbers))
    hung = process.is_alive()
    if hung:
        process.kill()
        process.join()
    lines = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()] if notes.exists() else []
    faults = [line["fault"] for line in lines if "fault" in line]
    if process.exitcode != 0:
        begun = [line["begun"] for line in lines if "begun" in line]
        what = "hung" if hung else f"ended with code {process.exitcode}"
        faults.append(f"{begun[-1] if begun else reader.name}: the process {what}")
    return faults


def _child(reader: Reader, numbers: Sequence[int], folder: Path, notes: Path, canary: Path) -> None:
    signal.signal(signal.SIGALRM, _too_slow)
    # A forked process waits for ever for the threads that torch had in its parent.
    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    honest = {path: path.read_bytes() for path in reader.files}
    with notes.open("a", encoding="utf-8") as file:
        for number in numbers:
            rng = np.random.default_rng([number, *reader.name.encode()])
            path = reader.files[int(rng.integers(len(reader.files)))]
            what, data = mutate(path, honest[path], rng, canary)
            name = f"{reader.name}, mutation {number}, {path.name}: {what}"
            print(json.dumps({"begun": name}), file=file, flush=True)
            path.write_bytes(data)
            fault = _try(reader, path, folder / "cache")
            if canary.exists():
                canary.rmdir()
                fault = "code in the file was run"
            if fault:
                print(json.dumps({"fault": f"{name}\n{fault}"}), file=file, flush=True)
            path.write_bytes(honest[path])
            shutil.rmtree(folder / "cache", ignore_errors=True)


def _try(reader: Reader, path: Path, cache: Path) -> str | None:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        found = reader.read(str(cache))
        return check_table(found) if isinstance(found, PeopleTable) else None
    except OWN_ERRORS as error:
        named = path.name in str(error) or str(path.parent) in str(error)
        return None if named else f"{type(error).__name__} does not name the file: {error}"
    except TooSlowError:
        return f"not done after {SECONDS} s\n{traceback.format_exc(limit=-4)}"
    except Exception:  # noqa: BLE001 - whatever else comes out is the fault that is looked for
        return traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def check_table(table: PeopleTable) -> str | None:
    """What a table says that no reader may let through."""
    for name in table.columns:
        values = table.column(name)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return f"column {name} is not finite"
        if values.dtype == object:
            return f"column {name} holds objects"
    return None if len(set(table.ids())) == len(table) else "ids are not unique"


def _too_slow(number: int, frame: FrameType | None) -> NoReturn:
    raise TooSlowError
