"""The pose prior: VPoser v2's layout, and a short training that learns something."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from body_models.rotations import geodesic_distance
from lightning_modules.priors.pose_prior import PosePrior, PosePriorModule
from lightning_modules.priors.vposer import load_vposer

# Names and shapes in the published v2 checkpoint (under "vp_model.").
V2_KEYS = {
    "encoder_net.1.running_mean": (63,),
    "encoder_net.2.weight": (512, 63),
    "encoder_net.4.weight": (512,),
    "encoder_net.6.weight": (512, 512),
    "encoder_net.7.bias": (512,),
    "encoder_net.8.mu.weight": (32, 512),
    "encoder_net.8.logvar.weight": (32, 512),
    "decoder_net.0.weight": (512, 32),
    "decoder_net.3.weight": (512, 512),
    "decoder_net.5.weight": (126, 512),
}


def test_has_the_names_and_shapes_of_vposer_v2() -> None:
    state = PosePrior().state_dict()
    assert {key: tuple(state[key].shape) for key in V2_KEYS} == V2_KEYS
    layers = {key.rsplit(".", 1)[0] for key in state}
    assert layers == {key.rsplit(".", 1)[0] for key in V2_KEYS}


def test_decodes_in_the_column_layout_of_vposer() -> None:
    """The last layer's six numbers are a 3x2 matrix in row order whose columns are orthonormalised."""
    torch.manual_seed(0)
    prior = PosePrior(32).eval()
    latent = torch.randn(5, 32)
    raw = prior.decoder_net[:-1](latent).view(-1, 3, 2)
    x = F.normalize(raw[..., 0], dim=1)
    y = F.normalize(raw[..., 1] - (x * raw[..., 1]).sum(1, keepdim=True) * x, dim=1)
    expected = torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1).view(5, 21, 3, 3)
    torch.testing.assert_close(prior.decode(latent), expected)
    body_pose = prior.decode_body_pose(latent)
    assert body_pose.shape == (5, 23, 3, 3)
    torch.testing.assert_close(body_pose[:, 21:], torch.eye(3).expand(5, 2, 3, 3))


def test_begins_at_the_rest_pose() -> None:
    """So that no joint is caught half a turn off, with its neighbour turning back."""
    rotations = PosePrior(64).eval().decode(torch.randn(50, 32))
    angles = torch.rad2deg(geodesic_distance(rotations, torch.eye(3).expand_as(rotations)))
    assert angles.max() < 10


def test_learns_to_reconstruct_and_keeps_its_codes_near_the_prior(tmp_path: Path) -> None:
    torch.manual_seed(0)
    # Poses on a 4-dimensional subspace, like the synergies of real ones.
    poses = (torch.randn(2048, 4) @ (0.3 * torch.randn(4, 63))).view(-1, 21, 3)
    module = PosePriorModule(width=128)
    trainer = pl.Trainer(
        max_steps=150, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    train, val = (
        DataLoader(poses[:1920], batch_size=128, shuffle=True, drop_last=True),
        DataLoader(poses[1920:], batch_size=128),
    )
    before = trainer.validate(module, val, verbose=False)[0]
    trainer.fit(module, train)
    after = trainer.validate(module, val, verbose=False)[0]
    assert after["val/all/mpjpe"] < 0.4 * before["val/all/mpjpe"]
    codes = module.prior.encode(poses[1920:]).mean
    assert 0.1 < codes.std() < 2
    # The stage's own checkpoint is what the annotator loads.
    trainer.save_checkpoint(tmp_path / "prior.ckpt")
    fresh, layout, width = load_vposer(tmp_path / "prior.ckpt", min_coverage=1)
    assert (layout, width) == ("v2", 128)
    torch.testing.assert_close(fresh.state_dict(), module.prior.state_dict())
