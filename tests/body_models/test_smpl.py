"""The body layer against smplx itself: same vertices, same joints, and a fast path that agrees with the slow one."""

import numpy as np
import pytest
import smplx
import torch
from smplx.utils import Struct

from body_models.contracts import GENDERS
from body_models.model_files import read_model_files
from body_models.rotations import axis_angle_to_matrix
from body_models.smpl import BodyModel
from body_models.spec import SMPL


def random_body(batch: int = 4, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    rotations = axis_angle_to_matrix(torch.randn(batch, 24, 3, generator=generator) * 0.4)
    betas = torch.randn(batch, 10, generator=generator)
    transl = torch.randn(batch, 3, generator=generator)
    return rotations[:, 0], rotations[:, 1:], betas, transl


@pytest.mark.parametrize("gender", GENDERS)
def test_agrees_with_smplx(gender: str) -> None:
    files = read_model_files("free", gender)
    reference = smplx.SMPLLayer("unused", data_struct=Struct(**files.arrays), gender=gender, num_betas=10)
    body = BodyModel("free", gender)
    global_orient, body_pose, betas, transl = random_body()
    ours = body(global_orient, body_pose, betas, transl)
    theirs = reference(
        global_orient=global_orient[:, None], body_pose=body_pose, betas=betas, transl=transl, pose2rot=False
    )
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=2e-6, rtol=0)
    # smplx gives the 24 joints followed by its 21 vertices: the order of SMPL.body_joints.
    torch.testing.assert_close(ours.joints[:, :45], theirs.joints[:, :45], atol=2e-6, rtol=0)
    regressed = torch.einsum("jv,bvc->bjc", torch.tensor(files.J_regressor_h36m).float(), theirs.vertices)
    torch.testing.assert_close(ours.joints[:, 45:62], regressed, atol=2e-6, rtol=0)


def test_joints_only_path_gives_the_same_joints_and_gradients() -> None:
    body = BodyModel()
    inputs = [value.requires_grad_() for value in random_body()]
    weights = torch.randn(4, len(SMPL.body_joints), 3)
    slow, fast = body(*inputs).joints, body.joints(*inputs)
    torch.testing.assert_close(slow, fast, atol=2e-6, rtol=0)
    slow_grads = torch.autograd.grad((slow * weights).sum(), inputs)
    fast_grads = torch.autograd.grad((fast * weights).sum(), inputs)
    for slow_grad, fast_grad in zip(slow_grads, fast_grads, strict=True):
        torch.testing.assert_close(slow_grad, fast_grad, atol=1e-4, rtol=1e-4)


def test_the_kinematic_tree_stays_on_the_cpu() -> None:
    # smplx indexes a list by it: each of its 23 numbers would be fetched from the device in every pass.
    body = BodyModel().to("meta")
    assert body.parents.device.type == "cpu" and body.joint_regressor.is_meta


def test_turns_about_the_root_joint() -> None:
    body = BodyModel()
    global_orient, body_pose, betas, _ = random_body()
    pelvis = body.joints(global_orient, body_pose, betas)[:, 0]
    torch.testing.assert_close(pelvis, body.rest_pelvis(betas), atol=1e-6, rtol=0)


def test_stays_fp32_under_autocast_and_has_nothing_to_save() -> None:
    body = BodyModel()
    inputs = random_body()
    plain = body(*inputs).vertices
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = body(*inputs).vertices
    assert cast.dtype == torch.float32
    torch.testing.assert_close(cast, plain)
    assert not list(body.parameters())
    assert not body.state_dict()


def test_every_body_joint_lies_on_the_side_that_it_names() -> None:
    body = BodyModel()
    eye = torch.eye(3)[None]
    joints = body.joints(eye, eye.expand(1, 23, 3, 3), torch.zeros(1, 10))[0].numpy()
    for name, (x, _, _) in zip(SMPL.body_joints, joints, strict=True):
        if "left" in name:
            assert x > 0, name
        elif "right" in name:
            assert x < 0, name
    assert np.ptp(joints[:, 1]) > 1.2  # a standing person


def test_joints_of_a_mesh_without_rotations() -> None:
    """All joints on the surface are the same; SMPL's own come through a regressor that was made for the rest pose."""
    body = BodyModel()
    posed = body(*random_body())
    joints = body.joints_from_vertices(posed.vertices)
    torch.testing.assert_close(joints[:, 24:], posed.joints[:, 24:], atol=1e-5, rtol=0)
    assert (joints - posed.joints)[:, :24].norm(dim=-1).mean() < 0.02
    rest = body(torch.eye(3).expand(1, 3, 3), torch.eye(3).expand(1, 23, 3, 3), torch.ones(1, 10))
    torch.testing.assert_close(body.joints_from_vertices(rest.vertices), rest.joints, atol=1e-5, rtol=0)
