"""The 2D pose network, and that its backbone is what the annotator can start from."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_modules.annotator import AnnotatorModule, Starts
from lightning_modules.starts.pose2d import LOSSES, POSE2D_JOINTS, PoseNet2DModule, heatmap_loss, soft_argmax


def test_soft_argmax_finds_the_centre_of_a_cell() -> None:
    maps = torch.full((1, 1, 12, 12), -50.0)
    maps[0, 0, 3, 7] = 50
    torch.testing.assert_close(soft_argmax(maps), torch.tensor([[[7.5 / 12, 3.5 / 12]]]))


def test_heatmap_loss_is_the_cross_entropy_with_a_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    maps, target = torch.randn(2, 3, 10, 12, generator=generator), torch.rand(2, 3, 2, generator=generator)
    conf = torch.tensor([[1.0, 0.0, 0.5], [1.0, 1.0, 0.0]])
    target[0, 1] = torch.nan  # not known
    found = heatmap_loss(maps, target, conf)
    for person in range(2):
        total = 0.0
        for joint in range(3):
            if conf[person, joint] == 0:
                continue
            logits = maps[person, joint].double().numpy()
            x, y = target[person, joint].double().numpy() * (12, 10)
            rows, columns = np.mgrid[:10, :12] + 0.5
            gaussian = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2)  # of one cell
            log_softmax = logits - np.log(np.exp(logits).sum())
            total -= conf[person, joint].item() * (gaussian / gaussian.sum() * log_softmax).sum()
        assert found.total[person].item() == pytest.approx(total, rel=1e-5)
    assert found.valid.tolist() == [1.5, 2.0]


def test_the_best_map_is_read_at_the_joint() -> None:
    """So that maps may be supervised alone, and joints still be read from them."""
    target = torch.tensor([[[0.4321, 0.6]]])
    maps = torch.zeros(1, 1, 12, 12, requires_grad=True)
    optimizer = torch.optim.Adam([maps], lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        heatmap_loss(maps, target, torch.ones(1, 1)).total.sum().backward()
        optimizer.step()
    torch.testing.assert_close(soft_argmax(maps.detach()), target, rtol=0, atol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_by_heart(make_batch, loss: str) -> None:
    torch.manual_seed(0)
    batch = make_batch(4)
    module = PoseNet2DModule("slim", 48, loss=loss, lr=3e-3)
    fit = pl.Trainer(
        max_steps=40, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    fit.fit(module, DataLoader([batch] * 40, batch_size=None))
    error = (module.train()(batch) - batch["joints_2d"][:, module.joint_index]).norm(dim=-1).mean() / 48
    assert error < 0.08


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(ValueError, match=r"no loss named 'mse'.*integral"):
        PoseNet2DModule("slim", 48, loss="mse")


def test_predictions_are_also_given_on_the_image(make_batch) -> None:
    batch = make_batch(2)
    batch["affine"] = torch.tensor([[[0.5, 0.1, 3.0], [-0.1, 0.5, 7.0]]]).repeat(2, 1, 1)
    found = PoseNet2DModule("slim", 48).eval().predict_step(batch, 0)
    back = found["image_joints_2d"] @ batch["affine"][0, :, :2].T + batch["affine"][0, :, 2]
    torch.testing.assert_close(back, found["joints_2d"], rtol=1e-4, atol=1e-3)
    assert found["score"].shape == (2, len(POSE2D_JOINTS)) and 0 < found["score"].min()


def test_learns_by_heart_and_hands_its_backbone_on(make_batch, tmp_path: Path) -> None:
    torch.manual_seed(0)
    batch = make_batch(8)
    module = PoseNet2DModule("slim", 48, lr=3e-3)
    fit = pl.Trainer(
        max_steps=60, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    loader = DataLoader([batch] * 60, batch_size=None)
    fit.fit(module, loader)
    pred = module.train()(batch)
    error = (pred - batch["joints_2d"][:, module.joint_index]).norm(dim=-1).mean() / 48
    assert pred.shape == (8, len(POSE2D_JOINTS), 2)
    assert error < 0.05
    logged = fit.validate(module, loader, verbose=False)[0]
    assert set(logged) == {"val/all/joints_2d", "val/all/pck"}

    fit.save_checkpoint(tmp_path / "pose2d.ckpt")
    annotator = AnnotatorModule("slim", 48, starts=Starts(backbone_weights=tmp_path / "pose2d.ckpt"))
    torch.testing.assert_close(annotator.backbone.state_dict(), module.backbone.state_dict())
    PoseNet2DModule.load_from_checkpoint(tmp_path / "pose2d.ckpt", weights_only=True)


def test_joints_outside_the_crop_do_not_pull(make_batch) -> None:
    batch = make_batch()
    module = PoseNet2DModule("slim", 48).eval()
    batch["joints_2d"] = batch["joints_2d"] + 100
    error = module._error(batch, module(batch))
    assert error.valid.sum() == 0


def test_output_has_a_quarter_of_the_input_for_any_backbone() -> None:
    module = PoseNet2DModule("resnet18", 64)
    features = module.deconv_layers(module.backbone(torch.zeros(2, 3, 64, 64)))
    assert features.shape[-2:] == (16, 16)
    # Three layers of 256 channels, under the names of Simple Baselines.
    assert module.state_dict()["deconv_layers.6.weight"].shape == (256, 256, 4, 4)
