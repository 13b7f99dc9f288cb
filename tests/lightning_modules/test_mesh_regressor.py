"""What the downstream regressors are trained with."""

import torch

from lightning_modules.mesh_regressor import MeshRegressorModule


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
