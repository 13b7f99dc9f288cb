"""Which refinements are accepted, and what is kept of them."""

import numpy as np
import pytest
import torch

from body_models.contracts import Prediction
from body_models.rotations import axis_angle_to_matrix
from lightning_modules.fitting.refinement import Refiner, choose_people, error_2d
from lightning_modules.priors.pose_mixture import PoseMixture


def says(batch, offset, pose, latent=None):
    """A prediction whose joints are ``offset`` (B,) pixels off and turned by ``pose`` (B,) radians."""
    people = len(batch["id"])
    turns = torch.tensor(pose)[:, None, None] * torch.tensor([1.0, 0, 0]).expand(people, 23, 3)
    shift = torch.stack((torch.tensor(offset), torch.zeros(people)), dim=-1)
    return Prediction(
        global_orient=batch["global_orient"],
        body_pose=axis_angle_to_matrix(turns),
        betas=torch.tensor(offset)[:, None].expand(people, 10),
        transl=batch["transl"],
        focal=batch["focal"],
        princpt=batch["princpt"],
        joints_3d=batch["joints_3d"],
        joints_2d=batch["joints_2d"] + shift[:, None],
        latent=latent,
    )


@pytest.fixture
def mixture():
    return PoseMixture(np.zeros((1, 63)), np.eye(63)[None], [1.0])


@pytest.mark.parametrize(("tolerance", "second"), [(0.0, False), (1.0, True)])
def test_accepted_is_what_is_closer_and_not_less_plausible(make_batch, mixture, tolerance, second):
    """Persons: better in both; closer by a pose 0.63 nats less plausible; farther; nobody annotated."""
    batch = make_batch(4)
    batch["joints_2d_conf"][3] = 0
    before = says(batch, [4.0, 4.0, 4.0, 4.0], [0.2, 0.1, 0.2, 0.2])
    after = says(batch, [2.0, 2.0, 5.0, 2.0], [0.1, 0.1732, 0.1, 0.1])
    nats = mixture.neg_log_density(torch.tensor([[0.1732, 0, 0] * 21, [0.1, 0, 0] * 21]))
    assert nats[0] - nats[1] == pytest.approx(21 / 2 * (0.1732**2 - 0.1**2), rel=1e-3)
    started_from = []

    def optimiser(batch, start):
        started_from.append(start)
        return after

    found, accepted = Refiner(optimiser, mixture, tolerance)(batch, before)
    assert started_from == [before]
    assert accepted.tolist() == [True, second, False, False]
    assert found.betas[:, 0].tolist() == [2.0, 2.0 if second else 4.0, 4.0, 4.0]
    torch.testing.assert_close(found.joints_2d[0], after.joints_2d[0])
    torch.testing.assert_close(found.body_pose[2], before.body_pose[2])


def test_codes_of_a_prior_stay_with_their_bodies(make_batch):
    batch, first = make_batch(2), torch.tensor([True, False])
    bare, coded = says(batch, [1.0, 1.0], [0.1, 0.1]), says(batch, [2.0, 2.0], [0.1, 0.1], torch.ones(2, 32))
    assert choose_people(first, coded, bare).latent is None
    latent = choose_people(first, bare, coded).latent
    assert latent[0].isnan().all() and (latent[1] == 1).all()


def test_error_2d_looks_at_annotated_joints_alone(make_batch):
    batch = make_batch(2)
    batch["joints_2d_conf"][:, 5:] = 0
    batch["joints_2d_conf"][1] = 0
    said = says(batch, [4.8, 4.8], [0.1, 0.1])
    batch["joints_2d"][:, 5:] = torch.nan
    errors = error_2d(batch, said)
    assert errors[0] == pytest.approx(0.1) and errors[1].isnan()
