"""One way to run on several processes: every run with more than one device is a torchrun run from its first line.

Lightning can also start processes itself, but only at the first ``fit``: the stages before it would then run in one
process and again in its children. Here all ranks start together, join one process group, and what only one may do
(making the world, merging shards, writing reports) is done by rank zero while the others wait at a barrier.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")

# Rank zero may render a world or index a data set for this long while the others wait.
_PATIENCE = timedelta(hours=12)


def launched_outside() -> bool:
    """Whether torchrun (or a scheduler that sets its variables) started this process."""
    return "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ


def relaunch(module: str, argv: Sequence[str], devices: int) -> int:
    """Run ``python -m module argv`` again as one torchrun job of ``devices`` processes; returns its exit code."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    return subprocess.call([*command, "-m", module, *argv])


def join(accelerator: str) -> None:
    """Join the process group that torchrun describes; does nothing in a single process."""
    if not launched_outside() or int(os.environ["WORLD_SIZE"]) == 1 or dist.is_initialized():
        return
    use_cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if use_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # gloo beside nccl carries the objects and barriers of the host.
    dist.init_process_group("cpu:gloo,cuda:nccl" if use_cuda else "gloo", timeout=_PATIENCE)


def leave() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Global rank of this process, 0 where there is only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes in the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_world() -> int:
    """Number of processes of the run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size())) if dist.is_initialized() else 1


def gather(value: T) -> list[T]:
    """The (picklable) values of all ranks, in their order, on every rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def on_rank_zero(work: Callable[[], T]) -> T:
    """Do work in rank zero only and hand its (picklable) result to every rank; an error is raised in all of them."""
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except Exception as error:  # noqa: BLE001 - re-raised below, in every rank, so that none waits for ever
            outcome[1] = error
    if world_size() > 1:
        received = list(outcome)
        if rank() == 0 and outcome[1] is not None:
            received = [None, RuntimeError(f"rank zero failed: {outcome[1]}")]
        dist.broadcast_object_list(received, src=0)
        if rank() != 0:
            outcome = received
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
