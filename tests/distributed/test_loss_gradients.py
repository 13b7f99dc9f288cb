"""Two processes with batch B each have the gradients and logged losses of one process with batch 2B."""

import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from body_models.contracts import Batch
from lightning_modules.annotator import AnnotatorModule, Starts

_SECONDS = 120


class _Loss(nn.Module):
    def __init__(self, module: AnnotatorModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return self.module.loss(self.module(batch), batch)


def _network(prior: str) -> _Loss:
    torch.manual_seed(0)
    # Running statistics, so that no sample's features depend on the others; one pose, so that all draw the same.
    return _Loss(
        AnnotatorModule("slim", 48, prior=prior, starts=Starts(prior_poses=np.zeros((1, 21, 3), np.float32)))
    ).eval()


def _batch() -> Batch:
    """Four people; only the third has 3D joints, only the last SMPL parameters; 2D confidences differ."""
    generator = torch.Generator().manual_seed(1)

    def rand(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    batch: dict[str, Any] = {
        "id": list("abcd"),
        "source": ["x"] * 4,
        "image": (rand(4, 3, 48, 48) * 255).to(torch.uint8),
        "box": torch.tensor([0.0, 0.0, 48.0, 48.0]).repeat(4, 1),
        "image_size": torch.full((4, 2), 48.0),
        "joints_2d": rand(4, 71, 2) * 48,
        "joints_2d_conf": (rand(4, 71) > rand(4, 1)).float(),
        "joints_3d": rand(4, 71, 3),
        "joints_3d_conf": torch.tensor([0.0, 0, 1, 0])[:, None].repeat(1, 71),
        "root_index": torch.zeros(4, dtype=torch.long),
        "global_orient": torch.eye(3).repeat(4, 1, 1),
        "body_pose": torch.eye(3).repeat(4, 23, 1, 1),
        "betas": rand(4, 10),
        "has_pose": torch.tensor([0.0, 0, 0, 1]),
        "has_betas": torch.tensor([0.0, 0, 0, 1]),
        "gender": torch.zeros(4, dtype=torch.long),
    }
    return batch  # type: ignore[return-value]


def _part(batch: Batch, rows: slice) -> Batch:
    return {key: value[rows] for key, value in batch.items()}  # type: ignore[return-value,index]


def _process(rank: int, port: int, folder: str, prior: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), OMP_NUM_THREADS="1")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2, timeout=timedelta(seconds=_SECONDS))
    network = DistributedDataParallel(_network(prior), broadcast_buffers=False)
    # Twice: in the second step DDP complains of parameters that the first did not use.
    for _ in range(2):
        network.zero_grad()
        loss, logged = network(_part(_batch(), slice(2 * rank, 2 * rank + 2)))
        loss.backward()
    gradients = {name: parameter.grad for name, parameter in network.module.named_parameters()}
    torch.save({"gradients": gradients, "logged": logged}, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["none", "adversarial"])
def test_gradients_equal_those_of_the_doubled_batch(tmp_path: Path, prior: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = mp.start_processes(_process, (port, str(tmp_path), prior), nprocs=2, join=False, start_method="spawn")
    assert processes is not None
    assert processes.join(timeout=_SECONDS) or processes.join(timeout=_SECONDS)

    network = _network(prior)
    loss, logged = network(_batch())
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        # The shapes that the critics learn from are drawn by each process.
        same = logged.keys() - ({"critic", "loss"} if prior == "adversarial" else set())
        torch.testing.assert_close(
            {name: found["logged"][name] for name in same}, {name: logged[name] for name in same}, atol=1e-6, rtol=1e-5
        )
        for name, parameter in network.named_parameters():
            if name.startswith("module.penalty.critics.shape."):
                assert found["gradients"][name].isfinite().all()
                continue
            scale = float(parameter.grad.abs().max())
            torch.testing.assert_close(found["gradients"][name], parameter.grad, atol=1e-5 * scale + 1e-8, rtol=1e-3)
