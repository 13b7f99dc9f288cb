"""The same results from two processes as from one, started by the run itself, and by torchrun as two nodes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from callbacks.person_errors import Evaluation
from datamodules.pseudo_gt.native import read_labels
from experiments.run import main
from tests.support.repository import ROOT

_TIMEOUT = 300
_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Root of a finished run, and the arguments that made it."""
    root = tmp_path_factory.mktemp("processes")
    arguments = [
        "size=tiny", "recipe=three", *(f"paths.{name}={root / name}" for name in ("runs", "cache", "data")),
        "trainer.accelerator=cpu", "wandb.mode=disabled",
    ]  # fmt: skip
    assert main([*arguments, "name=one"]) == 0
    return root / "runs", arguments


@pytest.mark.slow
def test_two_processes_dump_and_evaluate_alike(one_process: tuple[Path, list[str]]) -> None:
    runs, arguments = one_process
    shutil.copytree(runs / "one", runs / "two")
    for stage in ("labels", "evaluate"):
        shutil.rmtree(runs / "two" / "three" / stage)
    command = [sys.executable, "-m", "experiments.run", *arguments, "name=two", "trainer.devices=2"]
    subprocess.run(command, check=True, timeout=_TIMEOUT, env=_ENVIRONMENT, cwd=ROOT)

    for table in ("coco-train", "mpii-train"):
        one, two = (read_labels(runs / name / "three" / "labels" / table).columns for name in ("one", "two"))
        assert list(one["id"]) == list(two["id"])
        for name, values in one.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(two[name], values, atol=1e-6, rtol=1e-5, err_msg=name)
    one, two = (Evaluation.load(runs / name / "three" / "evaluate" / "test_threedpw.npz") for name in ("one", "two"))
    assert list(one.ids) == list(two.ids)
    for name, values in one.values.items():
        np.testing.assert_allclose(two.values[name], values, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_two_nodes_of_torchrun_run_the_loop(one_process: tuple[Path, list[str]]) -> None:
    runs, arguments = one_process
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    nodes = [
        subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1",
                f"--node-rank={node}", "--master-addr=127.0.0.1", f"--master-port={port}", "-m", "experiments.run",
                *arguments, "name=nodes",
                "annotate.batch_size=8", "downstream.batch_size=8", "pose2d.batch_size=8", "prior.batch_size=16",
            ],
            env=_ENVIRONMENT,
            cwd=ROOT,
        )
        for node in range(2)
    ]  # fmt: skip
    try:
        assert [node.wait(_TIMEOUT) for node in nodes] == [0, 0]
    finally:
        for node in nodes:
            node.kill()
    summary = json.loads((runs / "nodes" / "three" / "summary.json").read_text())
    assert summary["samples_seen"]["annotate"] == 128
    assert len(read_labels(runs / "nodes" / "three" / "labels" / "coco-train")) == 120
    assert (runs / "nodes" / "report.html").exists()
