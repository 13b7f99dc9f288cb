"""The annotator: where it starts, where gradients go, and what a checkpoint holds."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from body_models.contracts import Prediction
from body_models.rotations import geodesic_distance, sixd_to_matrix, upright
from lightning_modules.annotator import AnnotatorModule, Starts
from lightning_modules.weights.checkpoints import CheckpointError


def trainer(**settings) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **settings
    )


@pytest.mark.parametrize("prior", ["none", "vposer"])
def test_starts_upright_facing_the_camera_with_mean_shape(make_batch, prior_file: Path, prior: str) -> None:
    module = AnnotatorModule("slim", 48, prior=prior, starts=Starts(prior_weights=prior_file), prior_width=64).eval()
    prediction = module(make_batch())
    assert geodesic_distance(prediction.global_orient, upright()).max() < 0.05
    assert prediction.betas.abs().max() < 0.05
    assert (prediction.joints_2d[:, 0] - 24).abs().max() < 2
    if prior == "none":
        # At the size that the crop's margin gives a standing person.
        height = prediction.joints_2d[..., 1].amax(1) - prediction.joints_2d[..., 1].amin(1)
        assert 30 < height.min() < height.max() < 46
        assert geodesic_distance(prediction.body_pose, torch.eye(3)).max() < 0.05
    else:
        assert prediction.latent is not None  # decoded by an untrained prior here, so the pose means nothing
        assert prediction.latent.abs().max() < 0.05


def test_2d_loss_reaches_the_latent_through_the_frozen_decoder(make_batch, prior_file: Path) -> None:
    module = AnnotatorModule(
        "slim",
        48,
        prior="vposer",
        starts=Starts(prior_weights=prior_file),
        prior_width=64,
        losses={"latent_l2": 0, "joints_3d": 0},
    )
    batch = make_batch()
    batch["joints_3d_conf"].zero_()
    batch["has_pose"].zero_()
    batch["has_betas"].zero_()
    prediction = module(batch)
    prediction.latent.retain_grad()
    module.loss(prediction, batch)[0].backward()
    assert (prediction.latent.grad.abs() > 0).all(dim=0).float().mean() > 0.9
    assert all(parameter.grad is None for parameter in module.prior.parameters())
    assert all(parameter.grad is not None for parameter in module.backbone.parameters())
    torch.testing.assert_close(prediction.body_pose[:, 21:], torch.eye(3).expand(4, 2, 3, 3))


def test_prior_stays_frozen_and_in_eval_mode(make_batch, prior_file: Path) -> None:
    module = AnnotatorModule("slim", 48, prior="vposer", starts=Starts(prior_weights=prior_file), prior_width=64)
    before = {key: value.clone() for key, value in module.prior.state_dict().items()}
    loader = DataLoader([make_batch()], batch_size=None)
    trainer(max_steps=2).fit(module.train(), loader)
    assert not module.prior.training
    torch.testing.assert_close(module.prior.state_dict(), before)


def test_training_with_an_untrained_prior_is_refused(make_batch) -> None:
    module = AnnotatorModule("slim", 48, prior="vposer")
    with pytest.raises(ValueError, match="prior_weights"):
        trainer(max_steps=1).fit(module, DataLoader([make_batch()], batch_size=None))


@pytest.mark.parametrize("prior", ["none", "vposer"])
def test_a_checkpoint_is_self_contained(make_batch, prior_file: Path, tmp_path: Path, prior: str) -> None:
    weights = prior_file if prior == "vposer" else None
    module = AnnotatorModule(
        "slim",
        48,
        prior=prior,
        starts=Starts(prior_weights=weights),
        prior_width=64,
        optimizer={"lr_milestones": (0.5,)},
    )
    batch = make_batch()
    fit = trainer(max_steps=2)
    fit.fit(module, DataLoader([batch], batch_size=None))
    fit.save_checkpoint(tmp_path / "a.ckpt")
    prior_file.unlink()
    loaded = AnnotatorModule.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert "starts" not in loaded.hparams
    module.eval()
    loaded.eval()
    torch.testing.assert_close(loaded(batch).joints_3d, module(batch).joints_3d)
    trainer(max_steps=1).fit(loaded, DataLoader([batch], batch_size=None))
    # Body model buffers are licensed and large: never in a checkpoint.
    keys = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    assert not any(".body." in key or ".normalize." in key for key in keys)


def test_predict_and_validate_with_a_plain_trainer(make_batch) -> None:
    module = AnnotatorModule("slim", 48)
    loader = DataLoader([make_batch(), make_batch(seed=1)], batch_size=None)
    outputs = trainer().predict(module, loader)
    assert outputs[0]["id"] == make_batch()["id"]
    assert isinstance(outputs[0]["prediction"], Prediction)
    assert trainer().validate(module, loader, verbose=False)[0]["val/all/loss"] > 0


def test_body_and_camera_stay_fp32_under_autocast(make_batch) -> None:
    module = AnnotatorModule("slim", 48).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = module(make_batch())
    for name in ("joints_3d", "joints_2d", "transl", "global_orient", "betas"):
        assert getattr(prediction, name).dtype == torch.float32, name
    body = module.body.joints(prediction.global_orient, prediction.body_pose, prediction.betas, prediction.transl)
    torch.testing.assert_close(prediction.joints_3d, body)


def test_all_zero_6d_gives_no_nan() -> None:
    zeros = torch.zeros(2, 6, requires_grad=True)
    matrix = sixd_to_matrix(zeros)
    matrix.sum().backward()
    assert matrix.isfinite().all()
    assert zeros.grad.isfinite().all()


def test_learning_rate_falls_at_fractions_of_the_training(make_batch) -> None:
    module = AnnotatorModule("slim", 48, optimizer={"lr": 1.0e-3, "lr_milestones": (0.5, 0.75)})
    rates = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, fit: pl.Trainer, *args) -> None:
            rates.append(fit.optimizers[0].param_groups[0]["lr"])

    trainer(max_steps=4, callbacks=[Watch()]).fit(module, DataLoader([make_batch()] * 4, batch_size=None))
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])


def test_clear_errors(make_batch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pose prior named 'vpose'"):
        AnnotatorModule("slim", 48, prior="vpose")
    with pytest.raises(ValueError, match=r"48x48 px .* input_size=64"):
        AnnotatorModule("slim", 64)(make_batch())
    torch.save({"weight": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="fills 0"):
        AnnotatorModule("slim", 48, starts=Starts(backbone_weights=tmp_path / "a.pt"))
