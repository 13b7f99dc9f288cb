"""The joints of a label on its crop, however the crop was turned, scaled or mirrored."""

import pytest
import torch

from body_models.camera import project
from body_models.joint_sets import BODY_JOINTS, mirror_permutation
from body_models.smpl import BodyModel
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.regressors.label_joints import joints_on_crop


@pytest.mark.parametrize("seed", [None, 0, 100])
def test_lie_where_the_image_shows_them(eight_people, seed) -> None:
    plain, batch = eight_people(), eight_people(seed=seed)
    for one in (plain, batch):
        one["gender"] = torch.zeros_like(one["gender"])
    body = BodyModel()
    joints = body.joints(plain["global_orient"], plain["body_pose"], plain["betas"], plain["transl"])
    on_image = project(joints, plain["focal"], plain["princpt"])
    linear, offset = batch["affine"][:, :, :2], batch["affine"][:, :, 2]
    expected = torch.einsum("bij,bkj->bki", linear, on_image) + offset.unsqueeze(1)
    flipped = torch.linalg.det(linear) < 0
    assert seed is None or 0 < flipped.sum() < 8
    mirrored = expected[:, torch.from_numpy(mirror_permutation(BODY_JOINTS))]
    expected = torch.where(flipped[:, None, None], mirrored, expected)
    batch["joints_2d_conf"] = torch.zeros_like(batch["joints_2d_conf"])
    found, confidence = joints_on_crop(MeshRegressorModule("slim", 48).targets(batch), body)
    assert (confidence == 1).all()
    distance = (found - expected).norm(dim=-1)
    assert distance[~flipped].max() < 1e-2
    assert distance.max() < 0.5  # the body's left and right differ a little


def test_annotated_joints_come_first_and_unlabelled_people_have_no_others(make_batch) -> None:
    batch = make_batch()
    batch["joints_2d_conf"][:, 5:] = 0
    batch["has_camera"][1] = 0
    batch["gender"][2] = 1
    batch["joints_2d"][:, 0] += 3
    found, confidence = joints_on_crop(MeshRegressorModule("slim", 48).targets(batch), BodyModel())
    torch.testing.assert_close(found[:, :5], batch["joints_2d"][:, :5])
    assert confidence[:, 5:].amin(dim=1).tolist() == [1, 0, 0, 1]
    assert confidence[:, :5].min() == 1
