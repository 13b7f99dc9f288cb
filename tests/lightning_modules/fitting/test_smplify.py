"""SMPLify finds bodies that are known, stays plausible, and treats everybody on their own."""

import numpy as np
import pytest
import torch

from body_models.camera import crop_focal, project
from body_models.contracts import Prediction
from body_models.joint_limits import degrees_outside, sample_inside, swing_twist_to_matrix, violations
from body_models.joint_sets import COCO17
from body_models.rotations import axis_angle_to_matrix, geodesic_distance, matrix_to_axis_angle, upright
from body_models.smpl import BodyModel
from lightning_modules.fitting import smplify
from lightning_modules.fitting.refinement import error_2d
from lightning_modules.fitting.smplify import SMPLify
from lightning_modules.priors.pose_mixture import PoseMixture
from lightning_modules.priors.pose_prior import PosePrior

SIZE, PEOPLE = 48, 6
# Arms of the mean pose hang down; the T-pose is nobody's.
HANG = {15: (0, 0, -1.2), 16: (0, 0, 1.2)}


def mean_pose():
    pose = torch.zeros(23, 3)
    for joint, turn in HANG.items():
        pose[joint] = torch.tensor(turn)
    return pose


@pytest.fixture
def mixture():
    """One Gaussian around the mean pose."""
    return PoseMixture(mean_pose()[:21].flatten()[None], 0.06 * np.eye(63)[None], [1.0])


@pytest.fixture
def people(make_batch):
    """A batch of people who face all ways, with COCO's joints, and their bodies as a prediction."""
    generator = torch.Generator().manual_seed(0)
    pose = mean_pose() + 0.2 * torch.randn(PEOPLE, 23, 3, generator=generator)
    pose[:, 21:] = 0
    inside = violations(axis_angle_to_matrix(pose))
    pose = pose.where(~inside.unsqueeze(-1), mean_pose())
    body_pose = axis_angle_to_matrix(pose)
    yaw = torch.zeros(PEOPLE, 3)
    yaw[:, 1] = torch.linspace(0, 2 * torch.pi, PEOPLE + 1)[:-1] + 0.2
    root = upright() @ axis_angle_to_matrix(yaw)
    betas = 0.5 * torch.randn(PEOPLE, 10, generator=generator)
    transl = torch.tensor([0.0, 0.2, 46.0]) + torch.tensor([0.05, 0.05, 4]) * torch.randn(
        PEOPLE, 3, generator=generator
    )
    joints = BodyModel().joints(root, body_pose, betas, transl)
    focal, princpt = torch.full((PEOPLE, 2), crop_focal(SIZE)), torch.full((PEOPLE, 2), SIZE / 2)
    conf = torch.zeros(joints.shape[:2])
    conf[:, torch.from_numpy(COCO17.body_index)] = 1
    truth = Prediction(root, body_pose, betas, transl, focal, princpt, joints, project(joints, focal, princpt))
    batch = make_batch(PEOPLE, SIZE)
    return {**batch, "joints_2d": truth.joints_2d, "joints_2d_conf": conf}, truth


def perturbed(truth):
    """The same people, each joint turned by some 10 degrees and the body moved and turned."""
    generator = torch.Generator().manual_seed(1)
    pose = matrix_to_axis_angle(truth.body_pose)
    body_pose = axis_angle_to_matrix(pose + 0.15 * torch.randn(pose.shape, generator=generator))
    turn = axis_angle_to_matrix(0.15 * torch.randn(len(pose), 3, generator=generator))
    transl = truth.transl + torch.tensor([0.05, 0.05, 1.0]) * torch.randn(len(pose), 3, generator=generator)
    root, betas = turn @ truth.global_orient, torch.zeros_like(truth.betas)
    joints = BodyModel().joints(root, body_pose, betas, transl)
    points = project(joints, truth.focal, truth.princpt)
    return Prediction(root, body_pose, betas, transl, truth.focal, truth.princpt, joints, points)


def test_bodies_are_found_again_from_a_perturbed_start(people, mixture):
    batch, truth = people
    start = perturbed(truth)
    found = SMPLify(mixture, iterations=120)(batch, start)
    assert error_2d(batch, start).min() > 0.02
    assert error_2d(batch, found).max() < 0.01
    assert violations(found.body_pose).sum() <= violations(start.body_pose).sum()
    score = [mixture.neg_log_density(matrix_to_axis_angle(one.body_pose).flatten(1)) for one in (start, found)]
    assert (score[1] < score[0]).all()


def test_bodies_are_found_from_nothing_whichever_way_they_face(people, mixture):
    batch, truth = people
    found = SMPLify(mixture, iterations=60)(batch)
    assert error_2d(batch, found).mean() < 0.02
    assert torch.rad2deg(geodesic_distance(found.global_orient, truth.global_orient)).max() < 60
    assert (found.transl[:, 2] / truth.transl[:, 2] - 1).abs().max() < 0.3
    assert violations(found.body_pose).sum() <= PEOPLE
    torch.testing.assert_close(found.joints_2d, project(found.joints_3d, found.focal, found.princpt))
    joints = BodyModel().joints(found.global_orient, found.body_pose, found.betas, found.transl)
    torch.testing.assert_close(found.joints_3d, joints)


def test_known_cameras_of_the_image_are_looked_through(people, mixture):
    """The same bodies nearby, in front of a camera whose principal point is not the crop's centre."""
    batch, truth = people
    focal, princpt = torch.full((PEOPLE, 2), 90.0), torch.tensor([[10.0, 30.0]]).repeat(PEOPLE, 1)
    transl = torch.tensor([0.7, 0.1, 4.5]).repeat(PEOPLE, 1)
    joints = BodyModel().joints(truth.global_orient, truth.body_pose, truth.betas, transl)
    seen = {"joints_2d": project(joints, focal, princpt), "focal": focal, "princpt": princpt}
    found = SMPLify(mixture, camera="known", iterations=60)({**batch, **seen, "has_camera": torch.ones(PEOPLE)})
    torch.testing.assert_close(found.focal, focal)
    torch.testing.assert_close(found.princpt, princpt)
    assert error_2d({**batch, **seen}, found).mean() < 0.025
    assert (found.transl - transl).abs().max() < 1.0


def test_nobody_depends_on_the_others(people, mixture):
    batch, _ = people
    fit = SMPLify(mixture, iterations=20)
    together = fit(batch)
    for rows in ([2], [4, 0]):
        part = {name: value[rows] if torch.is_tensor(value) else value for name, value in batch.items()}
        alone = fit(part)
        torch.testing.assert_close(alone.joints_3d, together.joints_3d[rows], atol=1e-3, rtol=0)
    again = fit(batch)
    assert torch.equal(again.joints_3d, together.joints_3d)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("begun", [False, True], ids=["from nothing", "from a start"])
def test_a_gpu_finds_the_bodies_that_the_cpu_finds(people, mixture, begun):
    def moved(values):
        return {name: value.cuda() if torch.is_tensor(value) else value for name, value in values.items()}

    batch, truth = people
    start = perturbed(truth) if begun else None
    expected = SMPLify(mixture, iterations=20)(batch, start)
    start = Prediction(**moved(vars(start))) if begun else None
    found = SMPLify(mixture, iterations=20).cuda()(moved(batch), start)
    assert found.joints_3d.is_cuda and found.body_pose.is_cuda
    # Joints that are off by a millionth move the result by less than a hundredth of these tolerances.
    torch.testing.assert_close(found.joints_2d.cpu(), expected.joints_2d, atol=0.02, rtol=0)
    torch.testing.assert_close(found.joints_3d.cpu(), expected.joints_3d, atol=0.01, rtol=0)
    assert geodesic_distance(found.body_pose.cpu(), expected.body_pose).max() < 2e-3
    torch.testing.assert_close(found.betas.cpu(), expected.betas, atol=0.01, rtol=0)


def test_works_where_lightning_predicts_and_leaves_the_start_alone(people, mixture):
    batch, truth = people
    fit = SMPLify(mixture, iterations=3)
    expected = fit(batch, perturbed(truth))
    with torch.inference_mode():
        start = perturbed(truth)
        before = start.body_pose.clone()
        found = fit({name: value.clone() if torch.is_tensor(value) else value for name, value in batch.items()}, start)
        assert torch.equal(start.body_pose, before)
    assert torch.equal(found.joints_3d, expected.joints_3d)


def test_people_without_joints_get_the_mean_body_in_the_middle_of_the_crop(people, mixture):
    batch, _ = people
    conf = batch["joints_2d_conf"].clone()
    conf[0] = 0
    joints = batch["joints_2d"].clone()
    joints[0] = torch.nan
    # Of another only the head is annotated: no side of the torso.
    conf[1, 30:] = 0
    conf[1, :24] = 0
    found = SMPLify(mixture, iterations=30)({**batch, "joints_2d": joints, "joints_2d_conf": conf})
    assert all(value.isfinite().all() for value in (found.joints_2d, found.betas, found.body_pose))
    torch.testing.assert_close(found.joints_2d[0, 0], torch.full((2,), SIZE / 2), atol=1.0, rtol=0)
    torch.testing.assert_close(matrix_to_axis_angle(found.body_pose[0]), mean_pose(), atol=0.1, rtol=0)


def test_a_code_of_the_prior_is_fitted_instead_of_the_pose(people):
    batch, _ = people
    torch.manual_seed(0)
    prior = PosePrior(32)
    with torch.no_grad():
        prior.decoder_net[-2].weight.mul_(300)
    fit = SMPLify(prior, iterations=30)
    weights = {name: value.clone() for name, value in prior.state_dict().items()}
    found = fit(batch)
    assert found.latent is not None and found.latent.abs().max() > 0
    torch.testing.assert_close(found.body_pose, prior.decode_body_pose(found.latent))
    assert not prior.training and all(torch.equal(value, weights[name]) for name, value in prior.state_dict().items())
    further = fit(batch, found)
    assert error_2d(batch, further).mean() <= error_2d(batch, found).mean()


def test_limits_hold_joints_that_the_image_pulls_beyond_them(people, mixture, monkeypatch):
    """A body with joints anywhere inside their ranges is pulled to joints of another, with the limits and without."""
    batch, truth = people
    wild = swing_twist_to_matrix(sample_inside((PEOPLE,), torch.Generator().manual_seed(5)))
    start = Prediction(**{**vars(truth), "body_pose": wild})
    outside = []
    for weight in (smplify.LIMIT_WEIGHT, 0.0):
        monkeypatch.setattr(smplify, "LIMIT_WEIGHT", weight)
        found = SMPLify(mixture, iterations=60)(batch, start)
        outside.append(degrees_outside(found.body_pose).sum().item())
    assert outside[0] < 0.5 * outside[1]
