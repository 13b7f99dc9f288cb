"""The downstream regressor learns 8 people by heart."""

import torch

from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.metrics import pa_mpjpe


def test_overfits_eight_people(make_batch) -> None:
    torch.manual_seed(0)
    batch = make_batch(8)
    module = MeshRegressorModule("slim", 48)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-4)
    error = torch.tensor(torch.inf)
    for _ in range(300):
        prediction = module(batch)
        error = pa_mpjpe(prediction.joints_3d[:, :24], batch["joints_3d"][:, :24]).mean()
        if error < 25:
            break
        loss, _ = module.loss(prediction, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert error < 30


def test_3d_targets_come_from_the_labels_where_there_are_labels(make_batch) -> None:
    batch = make_batch()
    true_joints = batch["joints_3d"] - batch["joints_3d"][:, :1]
    batch["joints_3d"] = torch.full_like(batch["joints_3d"], torch.nan)
    batch["joints_3d_conf"] = torch.zeros_like(batch["joints_3d_conf"])
    batch["root_index"][:] = 45
    batch["has_pose"][1] = 0
    batch["body_pose"][1] = torch.nan
    batch["gender"][2] = 1
    targets = MeshRegressorModule("slim", 48).targets(batch)
    assert targets["joints_3d_conf"].sum(1).gt(0).tolist() == [True, False, False, True]
    assert targets["root_index"].tolist() == [0, 45, 45, 0]
    labelled = targets["joints_3d"][[0, 3]]
    torch.testing.assert_close(labelled - labelled[:, :1], true_joints[[0, 3]], atol=1e-4, rtol=0)
    module = MeshRegressorModule("slim", 48)
    module.loss(module(batch), batch)[0].backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
