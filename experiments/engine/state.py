"""Whether a run is being made, and how far it is: ``state.json`` in its folder, written by the run, read by anyone.

The file is renewed every few seconds while the run lives. One that stayed behind a process that was killed is told by
its process being gone (on the same machine) or by its age (on another). Only the standard library is imported here, so
that listing many runs is quick.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from datamodules.writing import write_json

STATE_FILE = "state.json"
LOG_FILE = "log.txt"
FINISHED, RUNNING, FAILED, INTERRUPTED, WAITING = "finished", "running", "failed", "interrupted", "waiting"
BEAT_SECONDS = 5.0
# Network file systems show changes late, and a busy machine may miss some beats.
STALE_SECONDS = 180.0
_NOWHERE = {"stage": None, "step": None, "steps": None}


class RunBusyError(RuntimeError):
    """Another process is making this run."""


class RunState:
    """Tells on disk that a run is being made, while the ``with`` block lasts, and what became of it.

    Args:
        folder: of the run.

    Attributes:
        stages: those that the run goes through; to be set before it is entered. A run that was begun with more of them
            before is not finished before they are.

    Raises:
        RunBusyError: on entering, if another process is making the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stages: list[str] = []
        self._content: dict[str, Any] = {}
        self._progress: Callable[[], int] | None = None
        self._changed, self._ended = threading.Lock(), threading.Event()
        self._held = FileLock(folder / ".lock", timeout=0)
        self._thread = threading.Thread(target=self._beat, name="run state", daemon=True)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._held.acquire()
        except Timeout as error:
            found = read_state(self.folder)
            msg = f"{self.folder} is being made by process {found.get('pid')} on {found.get('host')}; wait, or end it"
            raise RunBusyError(msg) from error
        before = read_state(self.folder).get("stages", [])
        self._content = {
            "state": RUNNING,
            "stages": [*self.stages, *(stage for stage in before if stage not in self.stages)],
            "done": [],
            **_NOWHERE,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": time.time(),
            "error": None,
        }
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is None:
            done = set(self._content["stages"]) <= set(self._content["done"])
            self._content |= {"state": FINISHED if done else INTERRUPTED, **_NOWHERE}
            self._progress = None
        elif isinstance(error, Exception):
            lines = str(error).strip().splitlines() or [type(error).__name__]
            self._content |= {"state": FAILED, "error": lines[0]}
        else:
            self._content["state"] = INTERRUPTED
        self._write()
        self._held.release()

    def enter_stage(self, name: str) -> None:
        """Say that a stage begins."""
        self._progress = None
        self._content |= {**_NOWHERE, "stage": name}
        self._write()

    def leave_stage(self, name: str) -> None:
        """Say that the results of a stage are there."""
        self._progress = None
        self._content |= {**_NOWHERE, "done": [*self._content["done"], name]}
        self._write()

    def watch(self, progress: Callable[[], int], steps: int) -> None:
        """Say how many steps the stage has, and where to look for the one that it is at."""
        self._content["steps"], self._progress = steps, progress
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._changed:
            if self._progress is not None:
                self._content["step"] = self._progress()
            write_json(self.folder / STATE_FILE, {**self._content, "time": time.time()})


def read_state(folder: Path) -> dict[str, Any]:
    """Content of a run's state.json with its true ``state``; ``{"state": "waiting"}`` where there is none.

    ============== ==================================================================================
    key            content
    ============== ==================================================================================
    state          finished, running, interrupted, failed or waiting (not begun)
    stages         names of the stages that the run goes through
    done           those of them (and others) whose results are there
    stage          the one that it is at, null outside of them
    step, steps    of the training that it is at, null outside of one
    pid, host      of the process
    started, time  seconds since 1970: begin of the process, and of the last sign of life
    error          first line of what made the run fail
    ============== ==================================================================================
    """
    try:
        content = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"state": WAITING}
    if content["state"] == RUNNING and not _is_alive(content):
        content["state"] = INTERRUPTED
    return content


def mark_failed(folder: Path, code: int) -> None:
    """Note down that the process of a run ended with an exit code; a reason that it gave itself stays.

    A run that is still being made is made by another process, which this one was refused for.
    """
    content = read_state(folder)
    if content["state"] in (INTERRUPTED, WAITING):
        reason = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        write_json(
            folder / STATE_FILE, {"stages": [], "done": [], **_NOWHERE, **content} | {"state": FAILED, "error": reason}
        )


def _is_alive(content: dict[str, Any]) -> bool:
    if time.time() - content["time"] > STALE_SECONDS:
        return False
    if content["host"] != socket.gethostname():
        return True
    try:
        os.kill(content["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
