"""PARE: the published layers, attention that decides what a joint sees, and maps that are held to the joints early."""

from types import SimpleNamespace

import pytest
import torch

from lightning_modules.heads.part_attention import PARTS_STAGE, PartAttentionHead, _gaussians
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.targets import joints_on_crop


def test_layers_are_the_published_ones_at_resnet50() -> None:
    """pare_head.py with NUM_DECONV_LAYERS 3, NUM_DECONV_FILTERS 256, NUM_FEATURES_SMPL 64, 24 joints."""
    module = MeshRegressorModule("resnet50", 256, family="pare")
    branch = 16 * 256 * (2048 + 256 + 256) + 3 * 2 * 256
    maps = 256 * 24 + 24  # the published 25th is the background of its segmentation
    shape_features = 256 * 64 + 64
    pose, betas, camera = 24 * 256 * 6, (24 * 64 + 1) * 10, (24 * 64 + 1) * 3
    count = sum(parameter.numel() for parameter in module.network.head.parameters())
    assert count == 2 * branch + maps + shape_features + pose + betas + camera
    out = module.network.head(torch.zeros(1, 2048, 7, 7), None)  # 224 px
    assert out["attention"].shape == (1, 24, 56, 56)
    assert module.network.head(torch.zeros(1, 2048, 8, 8), None)["attention"].shape == (1, 24, 64, 64)


def head(make_batch) -> tuple[PartAttentionHead, torch.Tensor]:
    module = MeshRegressorModule("slim", 48, family="pare")
    torch.nn.init.normal_(module.network.head.pose, std=0.1)
    return module.network.head, module.network.encode(make_batch())[0].detach()


def test_a_joint_sees_only_what_its_map_shows(make_batch) -> None:
    torch.manual_seed(0)
    pare, features = head(make_batch)
    seen = {}
    pare.feature_branch.register_forward_hook(lambda _, __, out: seen.update(volume=out.detach().requires_grad_()))
    pare.feature_branch.register_forward_hook(lambda _, __, ___: seen["volume"])
    pare.part_maps.weight.data.zero_()
    looking = torch.full((24, 12, 12), -100.0)
    looking[:, 3, 7] = 100.0
    looking[4, 3, 7], looking[4, 8, 2] = -100.0, 100.0  # body rotation 3
    pare.part_maps.register_forward_hook(lambda _, __, out: out + looking)
    out = pare(features, None)
    for columns, cell in ((slice(0, 18), (3, 7)), (slice(18, 24), (8, 2)), (slice(24, None), (3, 7))):
        (gradient,) = torch.autograd.grad(out["body"][:, columns].sum(), seen["volume"], retain_graph=True)
        place = gradient.abs().sum(dim=(0, 1))
        assert place[cell] > 0 and place.sum() == place[cell]


def test_parts_are_nothing_for_maps_on_the_joints_and_ignore_joints_outside(make_batch) -> None:
    batch = make_batch()
    module = MeshRegressorModule("slim", 48, family="pare")
    prediction = module(batch)
    targets = module.targets(batch, prediction)
    places = joints_on_crop(targets, module.body)[0][:, :24] / 48
    prediction.extra = {"attention": 3 + _gaussians(places, 12).unflatten(2, (12, 12))}
    total, valid = module.loss_terms()["parts"](prediction, targets)
    assert total.abs().max() < 1e-3
    inside = ((places >= 0) & (places <= 1)).all(dim=-1)
    assert torch.equal(valid, inside.sum(dim=1).float())
    batch["joints_2d"][:, 4] = torch.tensor([60.0, 10.0])
    batch["joints_2d"][:, 5] += 12
    total, moved = module.loss_terms()["parts"](prediction, module.targets(batch, prediction))
    assert total.min() > 1 and (moved < valid + 1).all() and not torch.equal(moved, valid)


@pytest.mark.parametrize(("step", "weight"), [(0, 0.1), (49, 0.1), (50, 0.0), (99, 0.0)])
def test_maps_are_held_to_the_joints_early(make_batch, step: int, weight: float) -> None:
    assert PARTS_STAGE == 0.5
    module = MeshRegressorModule("slim", 48, family="pare")
    module._trainer = SimpleNamespace(global_step=step, estimated_stepping_batches=100)  # type: ignore[assignment]
    module.on_train_batch_start(make_batch(1), 0)
    assert module.loss_weights["parts"] == weight
