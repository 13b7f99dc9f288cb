"""Pose2Pose: the published layers, exact places, and a RotationNet that does not move the joints."""

import torch

from body_models.joint_sets import BODY_JOINT_INDEX
from lightning_modules.heads.positional import POSITION_JOINTS, PositionNet, RotationNet
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.targets import joints_on_crop

INDEX = [BODY_JOINT_INDEX[name] for name in POSITION_JOINTS]


def test_layers_are_the_published_ones_at_resnet50() -> None:
    """Hand4Whole's module.py, PositionNet and RotationNet of the body: no finger joints, SMPL's rotations."""
    module = MeshRegressorModule("resnet50", 256, family="pose2pose")
    joints, features = 25, 25 * (512 + 3)
    position = (2048 + 1) * joints * 8
    conv = (2048 + 1) * 512 + 2 * 512
    rotations = (features + 1) * 6 + (features + 1) * 23 * 6
    shape_and_camera = (2048 + 1) * (10 + 3)
    assert sum(p.numel() for p in module.network.head.position_net.parameters()) == position
    assert sum(p.numel() for p in module.network.head.rotation_net.parameters()) == conv + rotations + shape_and_camera


def test_places_are_the_centres_of_mass() -> None:
    net = PositionNet(1, 8)
    net.conv.weight.data.zero_()
    maps = torch.full((25, 8, 8, 8), -50.0)  # z, y, x
    maps[0, 2, 3, 4] = 50.0
    maps[1, 0, 7, 1] = maps[1, 0, 7, 2] = 50.0
    net.conv.register_forward_hook(lambda _, __, out: out + maps.view(1, 200, 8, 8))
    places = net(torch.zeros(1, 1, 8, 8))
    torch.testing.assert_close(places[0, 0], torch.tensor([4.5, 3.5, 2.5]) / 8)
    torch.testing.assert_close(places[0, 1], torch.tensor([2.0, 7.5, 0.5]) / 8)


def test_features_are_read_at_the_places() -> None:
    net = RotationNet(8).eval()
    net.conv = torch.nn.Identity()
    features = torch.rand(1, 8, 4, 4)
    places = torch.zeros(1, 25, 3)
    places[0, 3] = torch.tensor([2.5 / 4, 1.5 / 4, 0.5])  # the centre of the cell in row 1, column 2
    read = {}
    net.global_orient = torch.nn.Identity()
    net.body = torch.nn.Identity()
    read = net(features, places)["body"].view(25, 11)
    torch.testing.assert_close(read[3, :8], features[0, :, 1, 2])
    torch.testing.assert_close(read[3, 8:], 2 * places[0, 3] - 1)


def test_positions_are_nothing_at_the_joints(eight_people) -> None:
    batch = eight_people()
    module = MeshRegressorModule("slim", 48, family="pose2pose")
    prediction = module(batch)
    targets = module.targets(batch, prediction)
    assert prediction.extra is not None
    on_crop = joints_on_crop(targets, module.body)[0] / 48
    sample = torch.arange(8)
    depth = targets["joints_3d"][..., 2] - targets["joints_3d"][sample, targets["root_index"], 2][:, None]
    truth = torch.cat((on_crop, (depth / 2 + 0.5).unsqueeze(-1)), dim=2)[:, INDEX]
    prediction.extra["positions"] = truth
    total, valid = module.loss_terms()["positions"](prediction, targets)
    assert total.abs().max() < 1e-5 and valid.min() > 20
    prediction.extra["positions"] = truth + torch.tensor([0.0, 0.0, 0.1])
    total, valid = module.loss_terms()["positions"](prediction, targets)
    known = targets["joints_3d_conf"][:, INDEX].sum(dim=1)
    torch.testing.assert_close(total, 0.1 * known)


def test_the_body_does_not_move_the_joints(make_batch) -> None:
    batch = make_batch()
    module = MeshRegressorModule("slim", 48, family="pose2pose", losses={"positions": 0.0})
    module.loss(module(batch), batch)[0].backward()
    assert all(not p.grad.any() for p in module.network.head.position_net.parameters())
    assert all(p.grad.any() for p in module.network.head.rotation_net.parameters())
