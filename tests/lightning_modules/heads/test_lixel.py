"""I2L-MeshNet: lixels are places on the crop and depths about the pelvis; losses against NumPy; a mesh alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from body_models.camera import project
from callbacks.overlays import prediction_panels
from lightning_modules.heads.lixel import LIXEL_JOINTS, LixelNet, _gaussians
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.scoring.protocols import Bodies, BodyScorer, Meshes, predicted
from lightning_modules.targets import label_meshes

NOTHING_SAID: Any = None


@pytest.fixture
def module() -> MeshRegressorModule:
    torch.manual_seed(0)
    return MeshRegressorModule("slim", 48, family="i2l")


def test_vertices_lie_on_the_crop_where_the_heatmaps_say(make_batch, module: MeshRegressorModule) -> None:
    batch = make_batch(2)
    _, evidence = module.network.encode(batch)
    camera = evidence.camera
    places = torch.rand(2, 6890, 3)
    joints = torch.rand(2, LIXEL_JOINTS, 3)
    depth = torch.zeros(2, 1)
    prediction = module.network.decode({"depth": depth, "lixel_vertices": places, "lixel_joints": joints}, evidence)
    assert prediction.vertices is not None
    pixels = project(prediction.vertices, prediction.focal, prediction.princpt)
    torch.testing.assert_close(pixels, 48 * places[..., :2], atol=1e-3, rtol=0)
    pelvis = camera.translation(torch.zeros(2, 3))[:, 2:]
    torch.testing.assert_close(prediction.vertices[..., 2] - pelvis, 2 * places[..., 2] - 1, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="without pose and shape"):
        prediction.parameters()


def test_the_published_soft_argmax() -> None:
    torch.manual_seed(0)
    net = LixelNet(16, 3, 2, 5).eval()
    features = torch.randn(2, 16, 3, 3)
    plane = net.deconv(features)
    heatmap = net.conv_x(plane.mean(dim=2)).softmax(dim=2)
    expected = (heatmap * torch.arange(12.0)).sum(dim=2) / 12
    torch.testing.assert_close(net(features)[..., 0], expected)


def test_gaussians_are_brightest_at_their_places() -> None:
    volume = _gaussians(torch.tensor([[[0.25, 0.5, 0.75]]]), 8, 16, 12).view(8, 16, 12)
    assert np.unravel_index(int(volume.argmax()), volume.shape) == (6, 8, 3)
    assert volume.max() == 1


def test_losses_of_the_surface_against_numpy(make_batch, module: MeshRegressorModule) -> None:
    batch = make_batch(2)
    batch["has_pose"][1] = 0
    targets = label_meshes(batch, NOTHING_SAID, module.body)
    with torch.no_grad():
        prediction = module(batch)
    assert prediction.vertices is not None
    pred, true = prediction.vertices[0].double().numpy(), targets["vertices"][0].double().numpy()
    corners = module.body.faces
    sides = [(corners[:, a], corners[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    lengths = [
        np.abs(np.linalg.norm(pred[b] - pred[a], axis=1) - np.linalg.norm(true[b] - true[a], axis=1)) for a, b in sides
    ]
    terms = module.loss_terms()
    edges = terms["edges"](prediction, targets)
    assert float(edges.total[0] / edges.valid[0]) == pytest.approx(np.mean(lengths), rel=1e-3)
    normal = np.cross(*(true[b] - true[a] for a, b in sides[:2]))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    vectors = [pred[b] - pred[a] for a, b in sides]
    cosines = [np.abs((v / np.linalg.norm(v, axis=1, keepdims=True) * normal).sum(axis=1)) for v in vectors]
    normals = terms["normals"](prediction, targets)
    assert float(normals.total[0] / normals.valid[0]) == pytest.approx(np.mean(cosines), rel=1e-3)
    assert edges.valid[1] == normals.valid[1] == terms["vertices"](prediction, targets).valid[1] == 0


def test_a_true_mesh_costs_nothing_and_scores_zero(make_batch, module: MeshRegressorModule) -> None:
    """The mesh of the label itself, put where it is: its 2D and surface losses vanish, and so do its errors."""
    batch = make_batch(2)
    targets = label_meshes(batch, NOTHING_SAID, module.body)
    _, evidence = module.network.encode(batch)
    camera = evidence.camera
    mesh = targets["vertices"] + batch["transl"].unsqueeze(1)
    pelvis = module.body.joints_from_vertices(mesh)[:, :1]
    depth = torch.logit(pelvis[:, 0, 2:] / (camera.focal[:, :1] * 2.5 / 48))
    places = torch.cat(
        (project(mesh, camera.focal, camera.princpt) / 48, (mesh[..., 2:] - pelvis[..., 2:]) / 2 + 0.5), dim=-1
    )
    joints = places[:, :LIXEL_JOINTS]
    prediction = module.network.decode({"depth": depth, "lixel_vertices": places, "lixel_joints": joints}, evidence)
    for name in ("vertices", "edges", "normals"):
        found = module.loss_terms()[name](prediction, targets)
        assert (found.total / found.valid).max() < 1e-3
    body = predicted(prediction)
    assert isinstance(body, Meshes)
    true = Bodies(batch["global_orient"], batch["body_pose"], batch["betas"])
    assert BodyScorer(protocols=["lsp14"])(body, true)["lsp14_mpvpe"].max() < 0.1


def test_overlays_draw_the_mesh(make_batch, module: MeshRegressorModule) -> None:
    batch = make_batch(2)
    with torch.no_grad():
        panels = prediction_panels(batch, module.eval()(batch), module.body, 32)
    assert len(panels) == 2 and panels[0].front.shape == (32, 32, 3)


def test_needs_the_early_features_of_a_resnet() -> None:
    with pytest.raises(ValueError, match="i2l needs a ResNet"):
        MeshRegressorModule("vit_slim", 48, family="i2l")
