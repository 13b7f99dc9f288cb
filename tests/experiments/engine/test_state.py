"""A run tells others whether it lives, and what became of it, also when it is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from experiments.engine import state as run_state
from experiments.engine.state import RunBusyError, RunState, mark_failed, read_state


def begin(folder: Path, *stages: str) -> RunState:
    state = RunState(folder)
    state.stages = list(stages)
    return state


def test_waiting_running_finished(tmp_path: Path) -> None:
    assert read_state(tmp_path) == {"state": "waiting"}
    with begin(tmp_path, "annotate", "dump") as state:
        state.enter_stage("annotate")
        state.watch(lambda: 7, 20)
        seen = read_state(tmp_path)
        assert (seen["state"], seen["stage"], seen["step"], seen["steps"]) == ("running", "annotate", 7, 20)
        assert seen["pid"] == os.getpid() and time.time() - seen["started"] < 60
        state.leave_stage("annotate")
        assert (read_state(tmp_path)["stage"], read_state(tmp_path)["done"]) == (None, ["annotate"])
        state.leave_stage("dump")
    seen = read_state(tmp_path)
    assert seen["state"] == "finished" and seen["stage"] is None


def test_heartbeat_shows_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "BEAT_SECONDS", 0.01)
    steps = iter(range(10_000))
    with begin(tmp_path) as state:
        state.watch(lambda: next(steps), 10_000)
        first = read_state(tmp_path)["step"]
        deadline = time.monotonic() + 10
        while read_state(tmp_path)["step"] <= first + 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_part_of_a_run_does_not_finish_it(tmp_path: Path) -> None:
    with begin(tmp_path, "annotate", "dump") as state, pytest.raises(KeyboardInterrupt):
        state.enter_stage("annotate")
        with begin(tmp_path / "other", "annotate"):
            raise KeyboardInterrupt
    assert read_state(tmp_path / "other")["state"] == "interrupted"
    with begin(tmp_path, "report"):  # another command, which makes nothing of what is missing
        pass
    assert read_state(tmp_path)["state"] == "interrupted"
    with begin(tmp_path, "annotate", "dump", "report") as state:
        for stage in ("annotate", "dump", "report"):
            state.leave_stage(stage)
    assert read_state(tmp_path)["state"] == "finished"


def test_failure_keeps_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two lines"), begin(tmp_path, "annotate"):
        raise ValueError("two lines:\nand more")
    mark_failed(tmp_path, 1)
    assert read_state(tmp_path) == {**read_state(tmp_path), "state": "failed", "error": "two lines:"}
    mark_failed(tmp_path / "early", 3)
    mark_failed(tmp_path / "killed", -9)
    assert read_state(tmp_path / "early")["error"] == "ended with exit code 3"
    assert read_state(tmp_path / "killed")["error"] == "killed by signal 9"


def test_a_run_that_another_process_makes_is_not_marked_failed(tmp_path: Path) -> None:
    with begin(tmp_path, "annotate") as state:
        mark_failed(tmp_path, 1)  # of the process that was refused
        assert read_state(tmp_path)["state"] == "running"
        state.leave_stage("annotate")
    assert read_state(tmp_path)["state"] == "finished"


def test_two_processes_do_not_make_the_same_run(tmp_path: Path) -> None:
    with begin(tmp_path), pytest.raises(RunBusyError, match=f"process {os.getpid()} on"):
        begin(tmp_path).__enter__()
    with begin(tmp_path):
        pass


def live(folder: Path, ready) -> None:
    with begin(folder, "annotate"):
        ready.set()
        time.sleep(60)


def test_killed_run_is_interrupted_and_can_go_on(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=live, args=(tmp_path, ready))
    process.start()
    assert ready.wait(20) and read_state(tmp_path)["state"] == "running"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert read_state(tmp_path)["state"] == "interrupted"
    with begin(tmp_path, "annotate") as state:
        state.leave_stage("annotate")
    assert read_state(tmp_path)["state"] == "finished"


def test_run_on_another_machine_is_judged_by_its_age(tmp_path: Path) -> None:
    with begin(tmp_path):
        content = json.loads((tmp_path / "state.json").read_text())
    for age, state in ((10, "running"), (1000, "interrupted")):
        told = {**content, "state": "running", "host": "elsewhere", "pid": 2**22 + 1, "time": time.time() - age}
        (tmp_path / "state.json").write_text(json.dumps(told))
        assert read_state(tmp_path)["state"] == state
