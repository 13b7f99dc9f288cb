"""EFT: lower 2D errors by weights of one's own, and a network that stays what it was."""

import copy

import pytest
import torch

from lightning_modules.annotator import AnnotatorModule
from lightning_modules.fitting.eft import EFT, objective
from lightning_modules.fitting.refinement import error_2d
from lightning_modules.heads import ANNOTATING
from lightning_modules.mesh_regressor import MeshRegressorModule


@pytest.fixture(scope="module", params=["none", "vposer"])
def network(request):
    torch.manual_seed(0)
    return AnnotatorModule("slim", 48, prior=request.param, prior_width=32).eval().network


def part_of(batch, rows):
    return {
        name: value[rows] if torch.is_tensor(value) else [value[row] for row in rows] for name, value in batch.items()
    }


@pytest.mark.parametrize("parts", ["head", "all"])
def test_lower_2d_errors_by_weights_of_ones_own(network, make_batch, parts):
    batch = make_batch(3)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        before = network(batch)
        found = EFT(network, steps=6, lr=1e-3, parts=parts)(batch)
    assert (objective(batch, found) < objective(batch, before)).all()
    assert error_2d(batch, found).mean() < 0.9 * error_2d(batch, before).mean()
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert (found.latent is None) is (before.latent is None)
    # Restarted for each person: alone, and a second time, the same comes out.
    alone = EFT(network, steps=6, lr=1e-3, parts=parts)(part_of(batch, [1]))
    torch.testing.assert_close(alone.joints_3d, found.joints_3d[1:2], atol=1e-4, rtol=0)


# So slow that the last step is the best one, which is kept: heads with maps overshoot where plain ones do not.
@pytest.mark.parametrize(("head", "lr"), [("regression", 1e-4), ("joints", 1e-5)])
@pytest.mark.parametrize(("prior", "camera"), [("none", "virtual"), ("vposer", "virtual"), ("none", "known")])
def test_own_heads_all_at_once_are_those_of_one_after_the_other(make_batch, head, lr, prior, camera):
    """The batched heads against plain training of a copy of the head by hand."""
    torch.manual_seed(0)
    network = AnnotatorModule("slim", 48, head=head, prior=prior, prior_width=32, camera=camera).eval().network
    batch = make_batch(2)
    # Boxes at different places: what the batched heads are told about their cameras differs.
    batch["princpt"] = torch.tensor([[30.0, 20.0], [300.0, -200.0]])
    batch["focal"] = torch.tensor([[900.0, 900.0], [1200.0, 1200.0]])
    found = EFT(network, steps=2, lr=lr)(batch)
    for row in range(2):
        one, mine = part_of(batch, [row]), copy.deepcopy(network)
        optimizer = torch.optim.Adam(mine.head.parameters(), lr=lr)
        for _ in range(2):
            loss = objective(one, mine(one)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        expected = mine(one)
        assert objective(one, expected) < objective(one, network(one))
        torch.testing.assert_close(found.joints_3d[row : row + 1], expected.joints_3d, atol=1e-4, rtol=0)


@pytest.mark.parametrize("camera", ["virtual", "full_image"])
@pytest.mark.parametrize("head", [name for name in ANNOTATING if name != "regression"])
def test_every_head_can_be_tuned(make_batch, head, camera):
    torch.manual_seed(0)
    network, batch = AnnotatorModule("slim", 48, head=head, camera=camera).eval().network, make_batch(2)
    with torch.no_grad():
        before = error_2d(batch, network(batch))
    lr = 1e-4 if head == "hmr2" else 1e-3  # attention overshoots where perceptrons do not
    assert (error_2d(batch, EFT(network, steps=3, lr=lr)(batch)) < before).all()


def test_more_people_than_fit_into_a_chunk_come_back_in_order(make_batch):
    network, batch = AnnotatorModule("slim", 48).eval().network, make_batch(18)
    found = EFT(network, steps=0)(batch)
    with torch.no_grad():
        torch.testing.assert_close(found.joints_3d, network(batch).joints_3d, atol=1e-4, rtol=0)


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="no part of a network named 'tail'; there are: head, all"):
        EFT(AnnotatorModule("slim", 48).network, parts="tail")


def test_a_network_of_vertices_is_refused():
    with pytest.raises(ValueError, match="predict rotations and shape"):
        EFT(MeshRegressorModule("slim", 48, family="i2l").network)
