"""The pose mixture against SciPy's densities and scikit-learn's scores."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from body_models.rotations import matrix_to_axis_angle
from body_models.safe_pickle import ModelFileError
from lightning_modules.priors.pose_mixture import PoseMixture


def random_mixture(components=3, size=63, seed=0):
    rng = np.random.default_rng(seed)
    factor = rng.normal(0, 0.2, (components, size, size)) / np.sqrt(size)
    weights = rng.uniform(0.1, 1, components)
    return {
        "means": rng.normal(0, 0.2, (components, size)),
        "covars": factor @ factor.transpose(0, 2, 1) + 0.01 * np.eye(size),
        "weights": weights / weights.sum(),
    }


@pytest.mark.parametrize("size", [63, 69])
def test_density_is_scipys(size):
    parts = random_mixture(size=size)
    poses = np.random.default_rng(1).normal(0, 0.3, (20, 69)).astype(np.float32)
    logs = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(poses[:, :size])
        for mean, covariance, weight in zip(parts["means"], parts["covars"], parts["weights"], strict=True)
    ]
    found = PoseMixture(**parts).neg_log_density(torch.tensor(poses))
    np.testing.assert_allclose(found, -logsumexp(logs, axis=0), rtol=1e-4)


def test_fitted_density_is_sklearns():
    poses = np.random.default_rng(2).normal(0, 0.3, (600, 21, 3))
    mixture = PoseMixture.fit(poses, components=2, seed=4)
    flat = poses.reshape(600, 63)
    same = GaussianMixture(2, reg_covar=1e-3, max_iter=50, tol=1e-2, random_state=4).fit(flat)
    np.testing.assert_allclose(mixture.neg_log_density(torch.tensor(flat)), -same.score_samples(flat), rtol=1e-3)


def test_fit_tells_poses_from_noise_and_knows_full_turns():
    rng = np.random.default_rng(3)
    poses = rng.normal(0, 0.1, (500, 21, 3))
    poses[:250, 3] += [1.5, 0, 0]
    turned = poses.copy()
    # The same rotations, told as turns the long way round.
    length = np.linalg.norm(turned[::2], axis=-1, keepdims=True)
    turned[::2] *= (length - 2 * np.pi) / length
    one, two = (PoseMixture.fit(values, components=2) for values in (poses, turned))
    flat = torch.tensor(poses.reshape(500, 63))
    torch.testing.assert_close(one.neg_log_density(flat), two.neg_log_density(flat), rtol=1e-3, atol=0.1)
    assert one.neg_log_density(flat).max() < one.neg_log_density(torch.full((1, 63), 0.8)).min()


def test_gradient_pulls_to_the_poses_and_bf16_does_not_touch_it():
    parts = random_mixture()
    mixture, pose = PoseMixture(**parts), torch.tensor(parts["means"][:1] + 0.1).float().requires_grad_()
    before = mixture.neg_log_density(pose)
    (gradient,) = torch.autograd.grad(before.sum(), pose)
    assert mixture.neg_log_density(pose - 1e-4 * gradient) < before
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mixture.neg_log_density(pose), before)


def test_files_are_read_back(tmp_path):
    parts = random_mixture(size=69)
    poses = torch.randn(4, 69) * 0.2
    expected = PoseMixture(**parts).neg_log_density(poses)
    # As SMPLify's file was written.
    (tmp_path / "gmm_08.pkl").write_bytes(pickle.dumps(parts, protocol=2))
    PoseMixture(**parts).save(tmp_path / "mixture.npz")
    for name in ("gmm_08.pkl", "mixture.npz"):
        torch.testing.assert_close(
            PoseMixture.load(tmp_path / name).neg_log_density(poses), expected, rtol=1e-4, atol=0
        )


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "mixture.npz"),
        ({"means": np.zeros((2, 63))}, "covars"),
        ({**random_mixture(), "weights": np.ones(2)}, "shapes"),
        ({**random_mixture(), "covars": -np.ones((3, 63, 63))}, "positive definite"),
    ],
)
def test_faults_are_named(tmp_path, content, named):
    path = tmp_path / "mixture.npz"
    path.write_bytes(b"nothing") if content is None else np.savez(path, **content)
    with pytest.raises(ModelFileError, match=named) as error:
        PoseMixture.load(path)
    assert str(path) in str(error.value)


def test_too_few_values_are_refused():
    with pytest.raises(ValueError, match="over 69 values, the poses have 63"):
        PoseMixture(**random_mixture(size=69)).neg_log_density(torch.zeros(1, 63))


def test_samples_have_the_mixtures_moments():
    """Of narrow components, whose rotations do not wrap around."""
    rng = np.random.default_rng(5)
    means, weights = rng.normal(0, 0.3, (2, 63)), np.array([0.3, 0.7])
    factor = rng.normal(0, 0.05, (63, 63)) / np.sqrt(63)
    covariance = factor @ factor.T + 1e-4 * np.eye(63)
    mixture = PoseMixture(means, np.stack([covariance, covariance]), weights)
    body_pose = mixture.sample(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(body_pose[:, 21:], torch.eye(3).expand(4000, 2, 3, 3))
    values = matrix_to_axis_angle(body_pose[:, :21]).flatten(1).double().numpy()
    np.testing.assert_allclose(values.mean(0), weights @ means, atol=0.03)
    between = means[1] - means[0]
    expected = covariance + weights[0] * weights[1] * np.outer(between, between)
    np.testing.assert_allclose(np.cov(values.T), expected, atol=0.015)
