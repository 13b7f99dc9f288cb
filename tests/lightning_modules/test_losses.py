"""Loss terms against NumPy in float64, and unknown values that must not matter."""

import numpy as np
import pytest
import torch

from lightning_modules.annotator import AnnotatorModule
from lightning_modules.losses import (
    LOSS_SHAPES,
    LOSS_TERMS,
    SHAPE_SCALES,
    TermSums,
    check_weights,
    combine,
    make_penalty,
    masked_l1,
    shaped_terms,
)


def test_masked_l1_agrees_with_numpy() -> None:
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(5, 7, 3)), rng.normal(size=(5, 7, 3))
    conf = rng.uniform(size=(5, 7)) * (rng.uniform(size=(5, 7)) > 0.4)
    sums = masked_l1(torch.from_numpy(pred), torch.from_numpy(target), torch.from_numpy(conf))
    np.testing.assert_allclose(sums.total, (np.abs(pred - target).mean(-1) * conf).sum(1))
    np.testing.assert_allclose(sums.valid, conf.sum(1))


def test_terms_agree_with_numpy(make_batch) -> None:
    batch = make_batch()
    module = AnnotatorModule("slim", 48).eval()
    prediction = module(batch)
    batch["root_index"] = torch.tensor([0, 1, 45, 45])
    batch["joints_3d_conf"][2, 45] = 0  # the root of person 2 is unknown: no 3D loss for this person
    batch["joints_2d_conf"][:, 5:] = 0
    batch["gender"] = torch.tensor([0, 1, 0, 2])
    values = {name: term(prediction, batch) for name, term in LOSS_TERMS.items()}

    def numpy(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().numpy().astype(np.float64)

    error_2d = np.abs(numpy(prediction.joints_2d) - numpy(batch["joints_2d"]))[:, :5] / 48
    np.testing.assert_allclose(numpy(values["joints_2d"].total), error_2d.mean(-1).sum(-1), rtol=1e-4)
    assert values["joints_2d"].valid.tolist() == [5] * 4
    for person, root in enumerate([0, 1, None, 45]):
        if root is None:
            assert values["joints_3d"].total[person] == values["joints_3d"].valid[person] == 0
            continue
        pred, target = numpy(prediction.joints_3d)[person], numpy(batch["joints_3d"])[person]
        error = np.abs((pred - pred[root]) - (target - target[root])).mean(-1).sum()
        assert values["joints_3d"].total[person].item() == pytest.approx(error, rel=1e-4)
    assert values["smpl_betas"].valid.tolist() == [1, 0, 1, 0]
    assert values["latent_l2"].valid.sum() == 0
    assert values["smpl_pose"].valid.tolist() == [24] * 4


@pytest.mark.parametrize("prior", ["none", "vposer"])
def test_what_stays_small_agrees_with_numpy(make_batch, prior: str) -> None:
    """Mean squares of shape and code, of every person alike, whatever is known about them."""
    torch.manual_seed(0)
    batch = make_batch()
    batch["has_betas"][:2] = 0
    module = AnnotatorModule("slim", 48, prior=prior, prior_width=32).eval()
    with torch.no_grad():
        module.network.head.out.bias.normal_()
    prediction = module(batch)
    found = {name: LOSS_TERMS[name](prediction, batch) for name in ("betas_l2", "latent_l2")}

    def check(name: str, values: torch.Tensor) -> None:
        assert values.shape[1] == {"betas_l2": 10, "latent_l2": 32}[name] and values.abs().min() > 0
        expected = (values.detach().numpy().astype(np.float64) ** 2).sum(axis=1) / values.shape[1]
        np.testing.assert_allclose(found[name].total.detach(), expected, rtol=1e-5)
        assert found[name].valid.tolist() == [1] * 4

    check("betas_l2", prediction.betas)
    if prior == "vposer":
        check("latent_l2", prediction.latent)
        # Over the batch, each person weighs the same.
        mean = np.mean(prediction.latent.detach().numpy().astype(np.float64) ** 2)
        _, logged = combine({"latent_l2": found["latent_l2"]}, {"latent_l2": 1.0})
        assert logged["latent_l2"].item() == pytest.approx(mean, rel=1e-5)
    else:
        assert prediction.latent is None and found["latent_l2"].total.tolist() == [0] * 4


def test_nan_that_stands_for_unknown_reaches_neither_loss_nor_gradient(make_batch) -> None:
    batch = make_batch()
    for name in ("joints_3d", "global_orient", "body_pose", "betas"):
        batch[name] = batch[name] * torch.nan
    for name in ("joints_3d_conf", "has_pose", "has_betas"):
        batch[name] = batch[name] * 0
    batch["joints_2d"][0] = torch.nan
    batch["joints_2d_conf"][0] = 0
    module = AnnotatorModule("slim", 48)
    loss, logged = module.loss(module(batch), batch)
    loss.backward()
    assert loss.isfinite()
    assert logged["joints_3d"] == 0
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in module.parameters())


def test_combine_weighs_every_valid_element_alike() -> None:
    terms = {
        "a": TermSums(torch.tensor([2.0, 0.0]), torch.tensor([4.0, 0.0])),
        "b": TermSums(torch.zeros(2), torch.zeros(2)),
    }
    loss, logged = combine(terms, {"a": 3.0, "b": 1.0})
    assert loss == 1.5
    assert {name: float(value) for name, value in logged.items()} == {"a": 0.5, "b": 0.0, "loss": 1.5}


def test_unknown_term_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="the nearest is joints_2d"):
        check_weights({"joint_2d": 1.0})


@pytest.mark.parametrize("shape", LOSS_SHAPES)
def test_shapes_agree_with_numpy_and_with_each_other_at_their_scale(make_batch, shape: str) -> None:
    batch = make_batch()
    prediction = AnnotatorModule("slim", 48).eval()(batch)
    formulas = {
        "l1": lambda x, scale: np.abs(x),
        "l2": lambda x, scale: x**2 / scale,
        "robust": lambda x, scale: 2 * scale * x**2 / (x**2 + scale**2),
    }
    differences = {
        "joints_2d": (prediction.joints_2d - batch["joints_2d"]) / 48,
        "joints_3d": prediction.joints_3d - prediction.joints_3d[:, :1]
        - (batch["joints_3d"] - batch["joints_3d"][:, :1]),
        "smpl_betas": prediction.betas - batch["betas"],
        "smpl_pose": torch.cat(
            ((prediction.global_orient - batch["global_orient"])[:, None], prediction.body_pose - batch["body_pose"]), 1
        ).flatten(2),
    }  # fmt: skip
    for name, difference in differences.items():
        expected = formulas[shape](difference.detach().double().numpy(), SHAPE_SCALES[name]).mean(-1)
        found = shaped_terms(shape)[name](prediction, batch)
        np.testing.assert_allclose(found.total.detach(), expected.reshape(4, -1).sum(1), rtol=1e-4)
        at_scale = make_penalty(shape, SHAPE_SCALES[name])(torch.tensor(SHAPE_SCALES[name]))
        assert at_scale.item() == pytest.approx(SHAPE_SCALES[name])


@pytest.mark.parametrize("shape", LOSS_SHAPES)
def test_a_joint_within_the_tolerance_gets_no_gradient(make_batch, shape: str) -> None:
    batch = make_batch()
    prediction = AnnotatorModule("slim", 48).eval()(batch)
    offsets = torch.zeros_like(prediction.joints_2d)
    offsets[:, 0::3, 0] = 0.04 * 48
    offsets[:, 1::3, 1] = 0.06 * 48
    batch["joints_2d"] = prediction.joints_2d.detach() + offsets
    batch["joints_2d"][0, 2] = torch.nan
    batch["joints_2d_conf"][0, 2] = 0
    prediction.joints_2d.retain_grad()
    term = shaped_terms(shape, tolerance_2d=0.05)["joints_2d"](prediction, batch)
    term.total.sum().backward()
    moved = prediction.joints_2d.grad.abs().sum(-1) > 0
    assert moved[:, 1::3].all()
    assert not moved[:, 0::3].any()
    assert not moved[:, 2::3].any()
    # Those within still count, so that the others pull no harder than without a tolerance.
    assert torch.equal(term.valid, batch["joints_2d_conf"].sum(1))


def test_robust_and_squared_gradients_stay_finite_at_unknown_values(make_batch) -> None:
    batch = make_batch()
    batch["joints_3d"][:] = torch.nan
    batch["joints_3d_conf"][:] = 0
    for shape in LOSS_SHAPES:
        module = AnnotatorModule("slim", 48, loss=shape, tolerance_2d=0.02)
        module.loss(module(batch), batch)[0].backward()
        assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


def test_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="no loss of the shape 'l3'"):
        shaped_terms("l3")
