"""Loss terms against NumPy in float64, and unknown values that must not matter."""

import numpy as np
import pytest
import torch

from lightning_modules.annotator import AnnotatorModule
from lightning_modules.losses import LOSS_TERMS, TermSums, check_weights, combine, masked_l1


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
    with pytest.raises(ValueError, match="did you mean 'joints_2d'"):
        check_weights({"joint_2d": 1.0})
