"""L2, mixture and adversarial prior as loss terms: against NumPy and SciPy, their gradients, and who gets them."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck
from torch.nn import functional as F
from torch.utils.data import DataLoader

from body_models.rotations import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_sixd, sixd_to_matrix
from lightning_modules.annotator import PRIORS, AnnotatorModule, Starts
from lightning_modules.priors.critics import NUM_CRITICS, AdversarialPrior
from lightning_modules.priors.density import PoseDensity
from lightning_modules.priors.l2 import PoseL2, mean_pose
from lightning_modules.priors.pose_mixture import PoseMixture

POSES = np.random.default_rng(0).normal(0, 0.3, (400, 21, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def mixture_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mixture") / "mixture.npz"
    PoseMixture.fit(POSES, components=2).save(path)
    return path


def annotator(prior: str, mixture_file: Path, **settings) -> AnnotatorModule:
    torch.manual_seed(0)
    given = {
        "gmm": Starts(prior_weights=mixture_file),
        "l2": Starts(prior_poses=POSES),
        "adversarial": Starts(prior_poses=POSES),
    }
    return AnnotatorModule("slim", 48, prior=prior, starts=given.get(prior), **settings)


def trainer(**settings) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **settings
    )


def _orthonormal(sixd: torch.Tensor) -> torch.Tensor:
    # The project's own is in single precision, which a numerical derivative cannot be taken of.
    first, second = sixd.unflatten(-1, (2, 3)).unbind(-2)
    x = F.normalize(first, dim=-1)
    y = F.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-6, 9e-4, 1.1e-3, 0.1, 2.0, 3.1, 3.1415])
def test_gradients_through_axis_angle_are_right_also_near_0_and_pi(angle: float) -> None:
    axes = F.normalize(torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1)
    sixd = matrix_to_sixd(axis_angle_to_matrix(angle * axes)).requires_grad_()
    assert gradcheck(lambda x: matrix_to_axis_angle(_orthonormal(x)), (sixd,), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, 0.8, 0], [-0.36, 0.48, 0.8]])
@pytest.mark.parametrize("angle", [0.0, torch.pi, torch.pi - 1e-7, torch.pi + 1e-7])
def test_gradients_stay_finite_at_0_and_pi(axis: list[float], angle: float) -> None:
    sixd = matrix_to_sixd(axis_angle_to_matrix(angle * torch.tensor(axis))).requires_grad_()
    matrix_to_axis_angle(sixd_to_matrix(sixd)).square().sum().backward()
    assert sixd.grad.isfinite().all() and sixd.grad.abs().max() < 100


def test_l2_is_the_mean_square_angle_from_the_mean_pose(make_batch, mixture_file: Path) -> None:
    batch = make_batch()
    module = annotator("l2", mixture_file)
    prediction = module(batch)
    prediction.body_pose = batch["body_pose"]
    found = module.loss_terms()["pose_l2"](prediction, batch)
    center = Rotation.from_rotvec(POSES.reshape(-1, 3)).as_matrix().reshape(-1, 21, 3, 3).mean(0)
    u, _, vt = np.linalg.svd(center)
    inverse = np.tile(np.eye(3), (23, 1, 1))
    inverse[:21] = (u @ vt).transpose(0, 2, 1)
    turned = inverse @ batch["body_pose"].double().numpy()
    angles = Rotation.from_matrix(turned.reshape(-1, 3, 3)).magnitude().reshape(4, 23)
    np.testing.assert_allclose(found.total, (angles**2).mean(1), rtol=1e-4)
    assert (found.valid == 1).all()
    # At rest, where there are no poses to take the mean of: SMPLify-X's sum of squares, divided by 23.
    pose = matrix_to_axis_angle(batch["body_pose"]).flatten(1)
    torch.testing.assert_close(PoseL2()(prediction, batch).total, pose.square().sum(1) / 23)
    np.testing.assert_allclose(axis_angle_to_matrix(mean_pose(POSES)), u @ vt, atol=1e-5)


@pytest.mark.parametrize("size", [63, 69])
def test_gmm_is_the_mixtures_density_for_each_value(make_batch, size: int) -> None:
    """With a normal distribution around rest for the hands, where the mixture is not over them."""
    rng = np.random.default_rng(1)
    mixture = PoseMixture(rng.normal(0, 0.2, (3, size)), np.tile(0.05 * np.eye(size), (3, 1, 1)), np.full(3, 1 / 3))
    batch = make_batch()
    module = AnnotatorModule("slim", 48)
    prediction = module(batch)
    prediction.body_pose = batch["body_pose"]
    pose = Rotation.from_matrix(batch["body_pose"].double().reshape(-1, 3, 3).numpy()).as_rotvec().reshape(4, 69)
    means = mixture.means.double().numpy()
    squares = ((pose[:, None, :size] - means) ** 2).sum(-1) / 0.05
    log_density = np.log(np.exp(-squares / 2).sum(1) / 3) - size / 2 * np.log(2 * np.pi * 0.05)
    hands = (pose[:, size:] ** 2).sum(1) / (2 * 0.2**2)
    np.testing.assert_allclose(PoseDensity(mixture)(prediction, batch).total, (hands - log_density) / size, rtol=1e-4)


def test_critics_have_hmrs_architecture_and_losses(make_batch) -> None:
    """25 opinions, least squares: all of it again in NumPy, float64."""
    torch.manual_seed(0)
    prior = AdversarialPrior(POSES)
    arrays = {name: value.detach().double().numpy() for name, value in prior.critics.state_dict().items()}
    shapes = {name: value.shape for name, value in arrays.items()}
    assert shapes["joints.0.weight"] == (32, 9) and shapes["pose.0.weight"] == (1024, 23 * 32)
    assert shapes["shape.2.weight"] == (5, 10)

    def layers(name: str, x: np.ndarray, count: int, last_is_linear: bool) -> np.ndarray:
        for i in range(count):
            x = x @ arrays[f"{name}.{2 * i}.weight"].T + arrays[f"{name}.{2 * i}.bias"]
            x = x if last_is_linear and i == count - 1 else np.maximum(x, 0)
        return x

    def opinions(pose: torch.Tensor, betas: torch.Tensor) -> np.ndarray:
        joints = layers("joints", pose.double().numpy().reshape(-1, 23, 9), 2, False)
        each = np.einsum("bjc,jc->bj", joints, arrays["each_weight"]) + arrays["each_bias"]
        whole = layers("pose", joints.reshape(len(joints), -1), 3, True)
        return np.concatenate([each, whole, layers("shape", betas.double().numpy(), 3, True)], axis=1)

    batch = make_batch()
    prediction = AnnotatorModule("slim", 48)(batch)
    prediction.body_pose, prediction.betas = batch["body_pose"], batch["betas"]
    fake = opinions(batch["body_pose"], batch["betas"])
    assert fake.shape == (4, NUM_CRITICS)
    np.testing.assert_allclose(prior(prediction, batch).total.detach(), ((fake - 1) ** 2).sum(1), rtol=1e-4)
    torch.manual_seed(3)
    found = prior.critic(prediction, batch).total.detach()
    torch.manual_seed(3)
    real = opinions(*prior.draw(4))
    np.testing.assert_allclose(found, ((real - 1) ** 2).sum(1) + (fake**2).sum(1), rtol=1e-4)


def test_real_bodies_are_recorded_ones_with_hands_at_rest() -> None:
    pose, betas = AdversarialPrior(POSES).draw(6)
    recorded = axis_angle_to_matrix(torch.from_numpy(POSES)).flatten(1)
    distances = (pose[:, :21].flatten(1).unsqueeze(1) - recorded).abs().amax(dim=2)
    assert distances.amin(dim=1).max() < 1e-6
    torch.testing.assert_close(pose[:, 21:], torch.eye(3).expand(6, 2, 3, 3))
    assert betas.shape == (6, 10)


def test_network_and_critics_each_get_the_gradient_of_their_own_term(make_batch, mixture_file: Path) -> None:
    batch = make_batch()
    module = annotator("adversarial", mixture_file)
    terms = module.loss_terms()
    critics = list(module.penalty.parameters())
    network = [each for each in module.parameters() if not any(each is one for one in critics)]
    terms["pose_adversarial"](module(batch), batch).total.sum().backward()
    assert all(each.grad is None for each in critics)
    assert all(each.grad is not None for each in module.backbone.parameters())
    module.zero_grad()
    terms["critic"](module(batch), batch).total.sum().backward()
    assert all(each.grad is not None for each in critics)
    assert all(each.grad is None or not each.grad.any() for each in network)


def test_critics_have_a_learning_rate_of_their_own_and_learn(make_batch, mixture_file: Path) -> None:
    module = annotator("adversarial", mixture_file, optimizer={"lr": 1e-3, "lr_milestones": (1.0,)}, critic_lr=2e-4)
    before = [each.detach().clone() for each in module.penalty.parameters()]
    fit = trainer(max_steps=3)
    fit.fit(module, DataLoader([make_batch()] * 3, batch_size=None))
    assert [group["lr"] for group in fit.optimizers[0].param_groups] == pytest.approx([1e-4, 2e-5])
    assert fit.global_step == 3
    assert all((each != old).any() for each, old in zip(module.penalty.parameters(), before, strict=True))


@pytest.mark.parametrize("prior", ["l2", "gmm", "adversarial"])
def test_each_trains_and_its_checkpoint_predicts_without_the_prior(
    make_batch, mixture_file: Path, tmp_path: Path, prior: str
) -> None:
    module, batch = annotator(prior, mixture_file), make_batch()
    logged = module.loss(module(batch), batch)[1]
    others = {name for terms in PRIORS.values() for name in terms} - set(PRIORS[prior])
    assert set(PRIORS[prior]) <= set(logged) and not others & set(logged)
    fit = trainer(max_steps=2)
    fit.fit(module, DataLoader([batch] * 2, batch_size=None))
    fit.save_checkpoint(tmp_path / "a.ckpt")
    loaded = AnnotatorModule.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True).eval()
    torch.testing.assert_close(loaded(batch).body_pose, module.eval()(batch).body_pose)
    keys = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    assert any(key.startswith("penalty.") for key in keys) is (prior == "adversarial")


@pytest.mark.parametrize(("prior", "needed"), [("gmm", "prior_weights"), ("adversarial", "prior_poses")])
def test_training_without_what_a_prior_needs_is_refused(make_batch, prior: str, needed: str) -> None:
    with pytest.raises(ValueError, match=rf"prior='{prior}' needs Starts\({needed}="):
        trainer(max_steps=1).fit(AnnotatorModule("slim", 48, prior=prior), DataLoader([make_batch()], batch_size=None))


@pytest.mark.parametrize("prior", ["l2", "gmm", "adversarial"])
def test_each_alone_makes_random_poses_plausible(make_batch, mixture_file: Path, prior: str) -> None:
    """Poses that follow a prior's gradient alone; the critics learn along, as in the training."""
    module, batch = annotator(prior, mixture_file), make_batch()
    prediction = module(batch)
    torch.manual_seed(1)
    sixd = (matrix_to_sixd(torch.eye(3)).repeat(4, 23, 1) + 0.5 * torch.randn(4, 23, 6)).requires_grad_()
    terms = [module.loss_terms()[name] for name in PRIORS[prior]]
    optimizer = torch.optim.Adam(
        [{"params": [sixd], "lr": 0.02}, {"params": list(module.penalty.parameters()) or [torch.zeros(1)]}]
    )
    angles = []
    for _ in range(150):
        prediction.body_pose, prediction.betas = sixd_to_matrix(sixd), torch.zeros(4, 10)
        angles.append(matrix_to_axis_angle(prediction.body_pose.detach()).norm(dim=-1).mean().item())
        optimizer.zero_grad()
        sum(term(prediction, batch).total.mean() for term in terms).backward()
        optimizer.step()
    # The recorded poses lie half a radian around rest.
    assert angles[0] > 0.7 > 0.6 > angles[-1]
