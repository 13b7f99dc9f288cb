"""What every family of regressors must do: fit the contracts, learn all its weights, learn 8 people by heart."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from body_models.contracts import Batch, Prediction
from body_models.smpl import BodyModel
from experiments.settings.schema import OPTIONS
from lightning_modules.evidence import Evidence
from lightning_modules.families import FAMILIES, Family
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.scoring.metrics import pa_mpjpe
from lightning_modules.targets import label_bodies

SIZES = [("slim", 48), ("resnet50", 256)]


def test_settings_offer_every_family() -> None:
    assert set(OPTIONS["downstream.family"].limits["choices"]) == set(FAMILIES)


@pytest.mark.parametrize(("backbone", "size"), SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_output_shapes_and_no_parameter_is_unused(make_batch, family: str, backbone: str, size: int) -> None:
    batch = make_batch(2, size)
    module = MeshRegressorModule(backbone, size, family=family)
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
    module = MeshRegressorModule("slim", 48, family=family)
    loss, _ = module.loss(module(batch), batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_bodies_and_losses_stay_in_fp32_under_bf16(make_batch, family: str) -> None:
    batch = make_batch(2)
    module = MeshRegressorModule("slim", 48, family=family)
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
    module = MeshRegressorModule("slim", 48, family=family)
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


def test_a_family_is_a_row_with_targets_of_its_own(make_batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy of the kind that SPIN is: what the network said enters the targets, better where that is worse."""
    seen = []

    def halfway(batch: Batch, prediction: Prediction, body: BodyModel) -> Batch:
        seen.append(prediction)
        targets = label_bodies(batch, prediction, body)
        return {**targets, "betas": (targets["betas"] + prediction.parameters()[2].detach()) / 2}

    row = Family("pose2pose", "nowhere", camera="full_image", losses={"smpl_betas": 2.0}, targets=halfway)
    monkeypatch.setitem(FAMILIES, "toy", row)
    batch = make_batch()
    module = MeshRegressorModule("slim", 48, family="toy", losses={"positions": 0.0})
    prediction = module(batch)
    loss, logged = module.loss(prediction, batch)
    assert seen == [prediction]
    distance = (prediction.parameters()[2] - batch["betas"]).abs().mean() / 2
    torch.testing.assert_close(logged["smpl_betas"], distance.detach())
    torch.testing.assert_close(loss.detach(), 2 * distance.detach())
    with pytest.raises(ValueError, match="no family named 'toys'; the nearest is toy;"):
        MeshRegressorModule("slim", 48, family="toys")


def _before(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights under the names that they had in version 0.1."""
    return {
        name.removeprefix("network.").removeprefix("encoder.").removeprefix("decoder.").replace("head.depth.", "head.")
        if not any(part in name for part in ("pose_net", "pose2feat", "mesh_"))
        else name.removeprefix("network.head."): value
        for name, value in state.items()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpoints_of_version_0_1_are_read(make_batch, tmp_path: Path, family: str) -> None:
    """Their weights lay in the module itself, and they say settings of the optimiser by name."""
    torch.manual_seed(0)
    module, batch = MeshRegressorModule("slim", 48, family=family).eval(), make_batch()
    hparams = {**{k: v for k, v in module.hparams.items() if k != "optimizer"}, "lr": 1e-4, "lr_gamma": 0.1}
    state = _before(module.state_dict())
    assert any(name.startswith("backbone.conv1") for name in state)
    content = {"state_dict": state, "hyper_parameters": hparams, "pytorch-lightning_version": "2.5.0"}
    torch.save(content, tmp_path / "before.ckpt")
    loaded = MeshRegressorModule.load_from_checkpoint(tmp_path / "before.ckpt", weights_only=True).eval()
    torch.testing.assert_close(loaded(batch).joints_3d, module(batch).joints_3d)


def test_evidence_hides_what_is_unknown_and_survives_a_map(make_batch) -> None:
    batch = make_batch()
    batch["joints_2d_conf"][:, 3] = 0
    batch["joints_2d"][:, 3] = math.nan
    network = MeshRegressorModule("slim", 48, family="cliff").network
    _, evidence = network.encode(batch)
    assert not evidence.joints_2d[:, 3].any() and torch.equal(evidence.joints_2d[:, 4], batch["joints_2d"][:, 4])
    again = Evidence.from_tensors(evidence.tensors(), 48)
    assert torch.equal(again.camera.box_info, evidence.camera.box_info)
    row = Evidence.from_tensors({name: value[1] for name, value in evidence.tensors().items()}, 48).of_one()
    torch.testing.assert_close(row.camera.box_info, evidence.camera.box_info[1:2])


def test_what_a_head_says_beside_its_body_is_handed_on(make_batch) -> None:
    network = MeshRegressorModule("slim", 48, family="pare").network
    features, evidence = network.encode(make_batch())
    out = network.head(features, evidence)
    assert set(out) - {"global_orient", "body", "betas", "camera"} == {"attention"}
    prediction = network.decode(out, evidence)
    assert prediction.extra is not None and torch.equal(prediction.extra["attention"], out["attention"])
    assert network.decode({k: v for k, v in out.items() if k != "attention"}, evidence).extra is None
    assert replace(prediction, extra=None).latent is None
