"""The torchmetrics classes: everyone once, over batches, copies and processes."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_modules.scoring import metric_classes, metrics

NAMES = [f"threedpw/test/seq/{i}/0" for i in range(6)]


def people() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(6, 14, 3, generator=generator)
    pred = target + 0.1 * torch.randn(6, 14, 3, generator=generator)
    pred[4, 2, 1] = torch.nan
    return pred, target


METRICS = {
    "mpjpe": (metric_classes.MPJPE(root=0), lambda p, t: metrics.mpjpe(p, t, 0)),
    "pa_mpjpe": (metric_classes.PAMPJPE(), metrics.pa_mpjpe),
    "mpvpe": (metric_classes.MPVPE(), metrics.mpvpe),
    "pa_mpvpe": (metric_classes.PAMPVPE(), metrics.pa_mpvpe),
    "pck": (metric_classes.PCK(150, strict=True), lambda p, t: metrics.pck(p, t, 150, strict=True)),
    "auc": (metric_classes.AUC(root=0), lambda p, t: metrics.auc(metrics.align_root(p, 0), metrics.align_root(t, 0))),
}


@pytest.mark.parametrize("name", METRICS)
def test_repeated_people_count_once_and_nan_is_counted(name: str) -> None:
    pred, target = people()
    metric, formula = METRICS[name]
    metric.reset()
    metric.update(NAMES[:4], pred[:4], target[:4])
    metric.update([NAMES[4], NAMES[5], NAMES[0]], pred[[4, 5, 1]], target[[4, 5, 1]])  # the last is a repeated name
    assert float(metric.compute()) == pytest.approx(np.nanmean(formula(pred, target).numpy()))
    assert (metric.n_seen, metric.n_excluded, metric.n_repeated) == (6, 1, 1)


def test_mpjae_and_nobody() -> None:
    metric = metric_classes.MPJAE()
    turned = torch.diag(torch.tensor([-1.0, -1.0, 1.0])).expand(2, 9, 3, 3)
    metric.update(["a", "b"], torch.eye(3).expand(2, 9, 3, 3), turned)
    assert float(metric.compute()) == pytest.approx(180)
    metric.reset()
    metric.update([], torch.empty(0, 9, 3, 3), torch.empty(0, 9, 3, 3))
    assert metric.compute().isnan() and metric.n_seen == 0
    with pytest.raises(ValueError, match="1 ids for 2"):
        metric.update(["a"], turned, turned)


def _rank(rank: int, world: int, file: str) -> None:
    dist.init_process_group("gloo", f"file://{file}", rank=rank, world_size=world)
    pred, target = people()
    metric = metric_classes.PAMPJPE()
    # As a padding sampler deals five people to two: the second process gets the first person again.
    mine = [0, 2, 4] if rank == 0 else [1, 3, 0]
    metric.update([NAMES[i] for i in mine], pred[mine], target[mine])
    value = metric.compute()
    torch.save((value, metric.n_seen, metric.n_excluded, metric.n_repeated), f"{file}-{rank}")
    dist.destroy_process_group()


def test_two_processes_see_each_person_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = str(tmp_path / "rendezvous")
    # Not forked: a copy of a process whose OpenMP threads have run waits for them for ever.
    mp.start_processes(_rank, (2, file), nprocs=2, start_method="spawn")
    pred, target = people()
    expected = np.nanmean(metrics.pa_mpjpe(pred[:5], target[:5]).numpy())
    for rank in range(2):
        value, seen, excluded, repeated = torch.load(f"{file}-{rank}")
        assert float(value) == pytest.approx(expected)
        assert (seen, excluded, repeated) == (5, 1, 1)
