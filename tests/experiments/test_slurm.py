"""The job scripts, run by bash with a stand-in for srun and python: what they would start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import experiments

SLURM = Path(experiments.__file__).parent / "slurm"


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    """An environment in which srun starts its task on the second of two machines, and python prints its arguments."""
    programs = {
        "srun": 'SLURM_NODEID=1 exec "$@"',
        "scontrol": "printf 'node7\\nnode8\\n'",
        "python": 'echo "$@"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "PYTHON"))}
    return {**environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def start(script: str, arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SLURM / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_array_job_runs_its_index(fake: dict[str, str]) -> None:
    done = start("grid.sbatch", ["runs/grid one", "trainer.num_workers=8"], {**fake, "SLURM_ARRAY_TASK_ID": "3"})
    assert done.stdout == "-m experiments.run --grid runs/grid one trainer.num_workers=8 --index 3\n"
    done = start("grid.sbatch", ["runs/grid", "stages=report"], fake)
    assert done.stdout == "-m experiments.run --grid runs/grid stages=report\n"
    done = start("grid.sbatch", [], fake)
    assert done.returncode == 2 and done.stderr.startswith("error: ")


def test_job_on_several_machines_starts_a_torchrun_on_each(fake: dict[str, str]) -> None:
    job = {"SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "41"}
    done = start("nodes.sbatch", ["experiment=base", "name=a b"], {**fake, **job, "SLURM_ARRAY_TASK_ID": "5"})
    assert done.stdout == (
        "-m torch.distributed.run --node-rank 1 --nnodes 2 --nproc-per-node 8 --master-addr node7 --master-port 20041 "
        "-m experiments.run experiment=base name=a b trainer.num_nodes=2 trainer.devices=8 --index 5\n"
    )
