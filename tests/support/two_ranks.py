"""Run by torchrun in test_two_processes: dump, evaluate and average on every rank; leaves results in argv[1]."""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader

from body_models.spec import SMPL
from callbacks.batchnorm import average_batchnorm
from callbacks.evaluator import MeshEvaluator
from callbacks.label_rows import label_rows, with_body_quality
from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.pseudo_gt.shards import DumpTable, PartWriter
from datamodules.samplers import UnpaddedSampler
from tests.support.people import Oracle, People, loader, people_table, trainer


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    people = People(11)
    two = {"devices": world, "strategy": "ddp"}

    table = people_table(folder / "cache", people)
    writer = PseudoGTWriter([DumpTable(folder / "labels", table, {})], mirror=False, flush_rows=3)
    mine = loader(people, rank=rank, world=world)
    trainer(writer, **two).predict(Oracle(0.1), mine, return_predictions=False)
    resume(folder / "resumed", people, table, rank, two)

    evaluator = MeshEvaluator("threedpw", ["lsp14"], folder=folder)
    logged = trainer(evaluator, **two).test(Oracle(0.1), mine, verbose=False)[0]
    torch.save(logged, folder / f"logged-{rank}.pt")

    module = Oracle()
    module.layer.running_mean.fill_(rank)
    module.layer.running_var.fill_(3 + 2 * rank)
    average_batchnorm(module)
    torch.save(module.layer.state_dict(), folder / f"norm-{rank}.pt")
    dist.destroy_process_group()


def resume(folder, people, table, rank, two):
    """Go on from what three processes left; one of the two that go on finds nobody left to predict."""
    dump = DumpTable(folder, table, {}, key="of three processes")
    if rank == 0:
        dump.open()
        for number, mine in enumerate(([0, 3, 6, 9], [4, 10], [2, 5, 8])):
            batch = next(iter(DataLoader(people, batch_size=len(mine), sampler=mine)))
            rows = with_body_quality(SMPL, label_rows(batch, Oracle(0.1)(batch)), None)
            PartWriter(folder, number).write(np.array(mine), rows)
    dist.barrier()
    rest = DataLoader(people, batch_size=4, sampler=UnpaddedSampler(people, 2, rank, dump.finished()))
    assert len(rest) == rank
    network = Oracle(0.1)
    network.allow_zero_length_dataloader_with_multiple_devices = True
    trainer(PseudoGTWriter([dump], mirror=False), **two).predict(network, rest, return_predictions=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
