"""What every family of regressors must do: fit the contracts, learn all its weights, learn 8 people by heart."""

from __future__ import annotations

import pytest
import torch

from experiments.settings.schema import OPTIONS
from lightning_modules.regressors import FAMILIES
from lightning_modules.scoring.metrics import pa_mpjpe

SIZES = [("slim", 48), ("resnet50", 256)]


def test_settings_offer_every_family() -> None:
    assert set(OPTIONS["downstream.family"].limits["choices"]) == set(FAMILIES)


@pytest.mark.parametrize(("backbone", "size"), SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_output_shapes_and_no_parameter_is_unused(make_batch, family: str, backbone: str, size: int) -> None:
    batch = make_batch(2, size)
    module = FAMILIES[family](backbone, size)
    prediction = module(batch)
    if prediction.vertices is None:
        _, body_pose, betas = prediction.parameters()
        assert body_pose.shape == (2, 23, 3, 3) and betas.shape == (2, 10)
    else:
        assert prediction.vertices.shape == (2, 6890, 3)
    assert prediction.joints_3d.shape == batch["joints_3d"].shape
    assert prediction.joints_2d.shape == batch["joints_2d"].shape
    # Training begins with a person who stands in the crop.
    assert (prediction.joints_2d[:, :24] - size / 2).abs().max() < size / 2
    module.loss(prediction, batch)[0].backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_people_give_no_nan_and_use_all_parameters(make_batch, family: str) -> None:
    batch = make_batch(2)
    for name in ("has_pose", "has_betas", "has_camera", "joints_2d_conf", "joints_3d_conf"):
        batch[name] = torch.zeros_like(batch[name])
    for name in ("joints_2d", "joints_3d", "global_orient", "body_pose", "betas", "transl"):
        batch[name] = torch.full_like(batch[name], torch.nan)
    module = FAMILIES[family]("slim", 48)
    loss, _ = module.loss(module(batch), batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_bodies_and_losses_stay_in_fp32_under_bf16(make_batch, family: str) -> None:
    batch = make_batch(2)
    module = FAMILIES[family]("slim", 48)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = module(batch)
        loss, _ = module.loss(prediction, batch)
    assert {value.dtype for value in vars(prediction).values() if torch.is_tensor(value)} == {torch.float32}
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert all(value.dtype == torch.float32 for value in (prediction.extra or {}).values())


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_overfits_eight_people(eight_people, family: str) -> None:
    torch.manual_seed(0)
    batch = eight_people()
    module = FAMILIES[family]("slim", 48)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-4)
    error = torch.tensor(torch.inf)
    for _ in range(400):
        prediction = module(batch)
        error = pa_mpjpe(prediction.joints_3d[:, :24], batch["joints_3d"][:, :24]).mean()
        if error < 25:
            break
        loss, _ = module.loss(prediction, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert error < 30
