"""VPoser checkpoints in both published layouts, decoded as an independent computation in NumPy decodes them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.annotator import AnnotatorModule, Starts
from lightning_modules.priors.vposer import load_vposer
from lightning_modules.weights.checkpoints import CheckpointError
from tests.support.prior_files import LATENT, v1_tensors, v2_tensors


def rotations(numbers: np.ndarray) -> np.ndarray:
    """(N, 126) -> (N, 21, 3, 3): Gram-Schmidt of the two columns of 3x2 matrices."""
    columns = numbers.reshape(-1, 21, 3, 2)
    x = columns[..., 0] / np.linalg.norm(columns[..., 0], axis=-1, keepdims=True)
    y = columns[..., 1] - (x * columns[..., 1]).sum(-1, keepdims=True) * x
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


class NumPy:
    """The published networks in float64."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.arrays = {name: value.numpy().astype(np.float64) for name, value in tensors.items()}

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.arrays[f"{name}.weight"].T + self.arrays[f"{name}.bias"]

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        mean, var, weight, bias = (
            self.arrays[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(var + 1e-5) * weight + bias

    @staticmethod
    def leaky(x: np.ndarray, slope: float) -> np.ndarray:
        return np.where(x > 0, x, slope * x)

    def decode(self, z: np.ndarray, first: str, second: str, out: str, slope: float) -> np.ndarray:
        x = self.leaky(self.linear(first, z), slope)
        return rotations(self.linear(out, self.leaky(self.linear(second, x), slope)))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_v1_is_what_was_published(tmp_path: Path, prefix: str) -> None:
    tensors = v1_tensors()
    torch.save({prefix + name: value for name, value in tensors.items()}, tmp_path / "TR00_E096.pt")
    prior, layout, width = load_vposer(tmp_path / "TR00_E096.pt", min_coverage=1)
    assert (layout, width) == ("v1", 512) and not prior.training
    assert not any(parameter.requires_grad for parameter in prior.parameters())

    own = NumPy(tensors)
    latent = np.random.default_rng(0).normal(size=(5, LATENT))
    expected = own.decode(latent, "bodyprior_dec_fc1", "bodyprior_dec_fc2", "bodyprior_dec_out", 0.2)
    body_pose = prior.decode_body_pose(torch.tensor(latent))
    np.testing.assert_allclose(body_pose[:, :21], expected, atol=1e-4)
    torch.testing.assert_close(body_pose[:, 21:], torch.eye(3).expand(5, 2, 3, 3))

    pose = np.random.default_rng(1).normal(size=(5, 21, 3))
    x = own.leaky(own.linear("bodyprior_enc_fc1", own.norm("bodyprior_enc_bn1", pose.reshape(5, 63))), 0.2)
    x = own.leaky(own.linear("bodyprior_enc_fc2", own.norm("bodyprior_enc_bn2", x)), 0.2)
    code = prior.encode(torch.tensor(pose, dtype=torch.float32))
    np.testing.assert_allclose(code.mean, own.linear("bodyprior_enc_mu", x), atol=1e-4)
    np.testing.assert_allclose(
        code.stddev, np.log1p(np.exp(own.linear("bodyprior_enc_logvar", x))), rtol=1e-4, atol=1e-5
    )


def test_v2_is_what_was_published(tmp_path: Path) -> None:
    tensors = v2_tensors()
    torch.save({"state_dict": {f"vp_model.{name}": value for name, value in tensors.items()}}, tmp_path / "v2.ckpt")
    prior, layout, width = load_vposer(tmp_path / "v2.ckpt", min_coverage=1)
    assert (layout, width) == ("v2", 512)
    latent = np.random.default_rng(0).normal(size=(5, LATENT))
    expected = NumPy(tensors).decode(latent, "decoder_net.0", "decoder_net.3", "decoder_net.5", 0.01)
    np.testing.assert_allclose(prior.decode(torch.tensor(latent)), expected, atol=1e-4)


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_an_annotator_takes_either_and_its_checkpoint_needs_no_file(make_batch, tmp_path: Path, layout: str) -> None:
    """The layout and the width come from the file, and from there into the annotator's checkpoint."""
    tensors = v1_tensors() if layout == "v1" else v2_tensors()
    torch.save(tensors, tmp_path / "prior.pt")
    module = AnnotatorModule(
        "slim", 48, prior="vposer", starts=Starts(prior_weights=tmp_path / "prior.pt"), prior_width=64
    )
    batch = make_batch()
    prediction = module(batch)
    prediction.latent.retain_grad()
    module.loss_weights = dict.fromkeys(module.loss_weights, 0.0) | {"joints_2d": 1.0}
    module.loss(prediction, batch)[0].backward()
    assert (prediction.latent.grad.abs() > 0).all(dim=0).float().mean() > 0.9
    assert all(parameter.grad is None for parameter in module.prior.parameters())

    assert (module.hparams["prior_layout"], module.hparams["prior_width"]) == (layout, 512)
    again = AnnotatorModule(**{name: value for name, value in module.hparams.items() if name != "family"})
    again.load_state_dict(module.state_dict())
    torch.testing.assert_close(again.eval()(batch).body_pose, module.eval()(batch).body_pose)


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"is no VPoser: it has no bodyprior_dec_fc1.weight \(v1\)"):
        load_vposer(tmp_path / "a.pt")
    tensors = v1_tensors()
    torch.save({name: value for name, value in tensors.items() if "_dec_" in name}, tmp_path / "half.pt")
    with pytest.raises(CheckpointError, match="below 90%"):
        load_vposer(tmp_path / "half.pt")
