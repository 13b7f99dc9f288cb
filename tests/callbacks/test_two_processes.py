"""Two processes leave what one leaves."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from callbacks.evaluator import MeshEvaluator
from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.pseudo_gt.native import read_labels
from datamodules.pseudo_gt.shards import DumpTable
from tests.support.people import Oracle, People, loader, people_table, trainer
from tests.support.repository import ROOT


def test_two_processes_equal_one(tmp_path):
    script = ROOT / "tests" / "support" / "two_ranks.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, tmp_path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]

    people = People(11)
    table = people_table(tmp_path / "cache", people)
    writer = PseudoGTWriter([DumpTable(tmp_path / "one", table, {})], mirror=False)
    trainer(writer).predict(Oracle(0.1), loader(people), return_predictions=False)
    one = read_labels(tmp_path / "one").columns
    for name in ("labels", "resumed"):
        two = read_labels(tmp_path / name).columns
        assert one["id"].tolist() == two["id"].tolist()
        for column in ("global_orient", "body_pose", "betas", "transl", "focal", "princpt", "error_2d"):
            np.testing.assert_allclose(one[column], two[column], atol=1e-6)

    evaluator = MeshEvaluator("threedpw", ["lsp14"])
    expected = trainer(evaluator).test(Oracle(0.1), loader(people), verbose=False)[0]
    for rank in range(2):
        assert torch.load(tmp_path / f"logged-{rank}.pt") == pytest.approx(expected, abs=1e-6)
        norm = torch.load(tmp_path / f"norm-{rank}.pt")
        assert norm["running_mean"].tolist() == [0.5] * 3 and norm["running_var"].tolist() == [4.0] * 3
