"""The 2D pose network, and that its backbone is what the annotator can start from."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_modules.annotator import AnnotatorModule
from lightning_modules.pose2d import POSE2D_JOINTS, PoseNet2DModule, soft_argmax


def test_soft_argmax_finds_the_centre_of_a_cell() -> None:
    maps = torch.full((1, 1, 12, 12), -50.0)
    maps[0, 0, 3, 7] = 50
    torch.testing.assert_close(soft_argmax(maps), torch.tensor([[[7.5 / 12, 3.5 / 12]]]))


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
    annotator = AnnotatorModule("slim", 48, backbone_weights=tmp_path / "pose2d.ckpt")
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
