"""Joint-aligned features: looked up where the maps say the joints are, and started from a 2D pose network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from body_models.joint_sets import BODY_JOINTS
from lightning_modules.annotator import AnnotatorModule, Starts
from lightning_modules.evidence import center_evidence
from lightning_modules.heads import ANNOTATING
from lightning_modules.heads.base import HeadInputs
from lightning_modules.heads.joints import JointHead, JointMaps, map_joints_2d
from lightning_modules.starts.pose2d import POSE2D_JOINTS, PoseNet2DModule

JOINTS = len(POSE2D_JOINTS)


@pytest.mark.parametrize("prior", ["none", "vposer"])
@pytest.mark.parametrize("head", ANNOTATING)
def test_every_head_trains(make_batch, head: str, prior: str) -> None:
    module = AnnotatorModule("slim", 48, head=head, prior=prior, prior_width=32, camera="full_image")
    batch = make_batch()
    prediction = module(batch)
    assert (prediction.latent is None) is (prior == "none")
    loss, _ = module.loss(prediction, batch)
    loss.backward()
    grads = {name: each.grad for name, each in module.named_parameters() if each.requires_grad}
    assert all(grad is not None and grad.isfinite().all() for grad in grads.values())
    # Queries and keys of one token's attention to itself cannot matter.
    still = {name for name, grad in grads.items() if grad.abs().sum() == 0}
    assert all("self_attention" in name for name in still)


def test_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match="no head named 'joint'"):
        AnnotatorModule("slim", 48, head="joint")


def test_features_come_from_where_the_joint_is() -> None:
    """With a sharp peak on a cell, the head sees that cell's features, place and certainty, whatever lies elsewhere."""
    head = JointHead(HeadInputs(5, 12, {"body": torch.zeros(2)}, 48))
    assert len(head.maps.deconv_layers) == 0  # at a stride of 4 already
    features = torch.randn(1, 5, 12, 12)
    with torch.no_grad():
        head.maps.final_layer.weight.zero_()
        head.maps.final_layer.weight[:, 0] = 1.0
        features[:, 0] = 0
        features[0, 0, 7, 3] = 60.0
        seen = []
        head.hidden.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, head.grid.out_features :]))
        out = head(features, center_evidence(48))
        expected = head.reduce(features)[0, :, 7, 3]
    found = seen[0].view(JOINTS, -1)
    torch.testing.assert_close(found[:, :-3], expected.expand(JOINTS, -1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[:, -3:], torch.tensor([3.5 / 12, 7.5 / 12, 1.0]).expand(JOINTS, -1))
    torch.testing.assert_close(out["map_joints"][0], found[:, -3:-1])


@pytest.mark.parametrize(("backbone", "size"), [("slim", 48), ("slim", 64), ("resnet18", 72)])
def test_starts_from_a_2d_pose_network_of_the_same_backbone(tmp_path: Path, backbone: str, size: int) -> None:
    torch.manual_seed(0)
    pose2d = PoseNet2DModule(backbone, size)
    path = tmp_path / "pose2d.ckpt"
    torch.save({"state_dict": pose2d.state_dict()}, path)
    module = AnnotatorModule(backbone, size, head="joints", starts=Starts(backbone_weights=path))
    assert module.start_coverage == 1
    torch.testing.assert_close(module.network.head.maps.final_layer.weight, pose2d.final_layer.weight)
    torch.testing.assert_close(module.network.head.maps.deconv_layers.state_dict(), pose2d.deconv_layers.state_dict())


def test_a_start_for_other_joints_fills_what_fits(tmp_path: Path) -> None:
    """Simple Baselines of COCO have 17 maps: only the deconvolutions are taken, and the share says so."""
    pose2d = PoseNet2DModule("slim", 48)
    pose2d.final_layer = torch.nn.Conv2d(64, 17, 1)
    torch.save(pose2d.state_dict(), tmp_path / "pose_resnet.pth.tar")
    starts = Starts(backbone_weights=tmp_path / "pose_resnet.pth.tar")
    module = AnnotatorModule("slim", 48, head="joints", starts=starts)
    assert 0.5 < module.start_coverage < 1
    assert AnnotatorModule("slim", 48, head="joints").start_coverage is None


def test_maps_learn_from_joints_inside_the_crop_alone(make_batch) -> None:
    batch = make_batch()
    batch["joints_2d"][0, :, 0] = -5.0
    batch["joints_2d_conf"][1] = 0
    prediction = AnnotatorModule("slim", 48, head="joints")(batch)
    term = map_joints_2d(prediction, batch)
    assert term.valid[0] == term.valid[1] == 0
    assert term.valid[2] > 0
    assert map_joints_2d(AnnotatorModule("slim", 48)(batch), batch).valid.sum() == 0


def test_places_on_the_maps_cost_what_numpy_says(make_batch) -> None:
    """Mean of both axes' distances in crop sides, of joints inside the crop, weighted by their confidence."""
    batch = make_batch()
    random = np.random.default_rng(0)
    places = random.uniform(-12, 60, batch["joints_2d"].shape)
    conf = random.uniform(size=places.shape[:2]) * (random.uniform(size=places.shape[:2]) > 0.3)
    places[conf == 0] = np.nan
    batch["joints_2d"] = torch.tensor(places, dtype=torch.float32)
    batch["joints_2d_conf"] = torch.tensor(conf, dtype=torch.float32)
    prediction = AnnotatorModule("slim", 48, head="joints").eval()(batch)
    found = map_joints_2d(prediction, batch)
    maps = prediction.extra["map_joints"].detach().numpy().astype(np.float64)
    total, valid, outside = np.zeros(4), np.zeros(4), 0
    for person in range(4):
        for k, name in enumerate(POSE2D_JOINTS):
            joint = BODY_JOINTS.index(name)
            x, y = places[person, joint]
            weight = conf[person, joint]
            if weight == 0:
                continue
            if not (0 <= x <= 48 and 0 <= y <= 48):
                outside += 1
                continue
            total[person] += weight * (abs(maps[person, k, 0] - x / 48) + abs(maps[person, k, 1] - y / 48)) / 2
            valid[person] += weight
    assert outside > 10 and (valid > 1).all()
    np.testing.assert_allclose(found.total.detach(), total, rtol=1e-5)
    np.testing.assert_allclose(found.valid, valid, rtol=1e-5)


def test_maps_need_no_cells_that_are_a_power_of_two() -> None:
    maps = JointMaps(8, 3, 70)
    upsampled, out = maps(torch.randn(1, 8, 3, 3))
    assert len(maps.deconv_layers) // 3 == 3  # stride 32
    assert out.shape[-2:] == upsampled.shape[-2:] == (24, 24)


def test_places_and_outputs_stay_fp32_under_autocast(make_batch) -> None:
    module = AnnotatorModule("slim", 48, head="joints", camera="known").eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = module(make_batch())
    assert prediction.extra["map_joints"].dtype == prediction.transl.dtype == torch.float32
    assert prediction.focal.dtype == prediction.joints_2d.dtype == torch.float32
