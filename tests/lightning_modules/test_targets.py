"""What regressors are trained with; the joints of a label on its crop, however it was turned, scaled or mirrored."""

from typing import Any

import pytest
import torch

from body_models.camera import project
from body_models.joint_sets import BODY_JOINTS, mirror_permutation
from body_models.smpl import BodyModel
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.targets import joints_on_crop, label_bodies

BODY = BodyModel()
NOTHING_SAID: Any = None  # these makers look at labels alone


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
    found, confidence = joints_on_crop(label_bodies(batch, NOTHING_SAID, body), body)
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
    found, confidence = joints_on_crop(label_bodies(batch, NOTHING_SAID, BODY), BODY)
    torch.testing.assert_close(found[:, :5], batch["joints_2d"][:, :5])
    assert confidence[:, 5:].amin(dim=1).tolist() == [1, 0, 0, 1]
    assert confidence[:, :5].min() == 1


def test_3d_targets_come_from_the_labels_where_there_are_labels(make_batch) -> None:
    batch = make_batch()
    true_joints = batch["joints_3d"] - batch["joints_3d"][:, :1]
    batch["joints_3d"] = torch.full_like(batch["joints_3d"], torch.nan)
    batch["joints_3d_conf"] = torch.zeros_like(batch["joints_3d_conf"])
    batch["root_index"][:] = 45
    batch["has_pose"][1] = 0
    batch["body_pose"][1] = torch.nan
    batch["gender"][2] = 1
    targets = label_bodies(batch, NOTHING_SAID, BODY)
    assert targets["joints_3d_conf"].sum(1).gt(0).tolist() == [True, False, False, True]
    assert targets["root_index"].tolist() == [0, 45, 45, 0]
    labelled = targets["joints_3d"][[0, 3]]
    torch.testing.assert_close(labelled - labelled[:, :1], true_joints[[0, 3]], atol=1e-4, rtol=0)
    module = MeshRegressorModule("slim", 48)
    module.loss(module(batch), batch)[0].backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


def test_a_batch_as_it_is_has_the_same_joints_on_its_crop(make_batch) -> None:
    """Heads of annotators see no label bodies: 3D joints of any origin are placed by their pelvis."""
    batch = make_batch()
    batch["joints_2d_conf"] = torch.zeros_like(batch["joints_2d_conf"])
    expected, _ = joints_on_crop(label_bodies(batch, NOTHING_SAID, BODY), BODY)
    batch["joints_3d"] = batch["joints_3d"] + torch.tensor([3.0, -2.0, 5.0])
    found, confidence = joints_on_crop(batch, BODY)
    assert (confidence == 1).all()
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)
    batch["root_index"][0] = 45  # a root that transl does not place
    assert joints_on_crop(batch, BODY)[1].sum(dim=1).gt(0).tolist() == [False, True, True, True]
