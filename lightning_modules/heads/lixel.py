"""I2L-MeshNet [1]: a mesh without parameters; each vertex is found by 1D heatmaps ("lixels") along x, y and depth.

PoseNet finds joints on the backbone's features. Their Gaussians join the early features, from which a second set of
residual stages and MeshNet find the vertices. x and y are places on the crop, depth is relative to the pelvis within
2 m, so the mesh lies on the image by construction. The published network ends there, and takes the pelvis' depth from
another network; here a small head says it, and with the crop's camera vertices and joints become metres.

The layers are those of the published code with a ResNet-50 at 256 px: heatmaps of 64 cells, deconvolutions of 256
channels, 29 joints (SMPL's, nose, eyes, ears). Cells are a quarter of the input's pixels at other sizes. The published
parameter regressor behind the mesh is left out: what it predicts is not the network's mesh.

[1] Moon and Lee, I2L-MeshNet: Image-to-Lixel Prediction Network for Accurate 3D Human Pose and Mesh Estimation from a
    Single RGB Image, ECCV 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from body_models.camera import project
from body_models.contracts import Batch, Prediction
from body_models.joint_sets import BODY_JOINT_INDEX, SMPL_JOINTS
from body_models.smpl import BodyModel
from lightning_modules.backbones.resnet import ResNet
from lightning_modules.backbones.upsampling import upsampled_channels, upsampling, upsampling_width
from lightning_modules.evidence import Evidence
from lightning_modules.heads.base import Head, HeadInputs
from lightning_modules.heads.regression import RegressionHead
from lightning_modules.losses import LossTerm, TermSums, masked_l1
from lightning_modules.targets import MeshBatch, is_labelled, joints_on_crop

LIXEL_JOINTS = len(SMPL_JOINTS) + 5
"""The first of the body joints: SMPL's, nose, eyes and ears."""

_CELL = 4
"""Pixels a cell of the heatmaps: 64 cells at 256 px."""
_SPREAD = 2.5 / 64
"""Standard deviation of the joints' Gaussians, as a share of the heatmap."""
_PELVIS = BODY_JOINT_INDEX["pelvis"]
DEPTH, LIXEL_JOINT_PLACES, LIXEL_VERTICES = "depth", "lixel_joints", "lixel_vertices"
"""Outputs, which :class:`lightning_modules.networks.decoders.MeshDecoder` reads."""


class LixelNet(nn.Module):
    """Places of points by 1D heatmaps: the published PoseNet and MeshNet, with their names.

    Args:
        in_channels: channels of the feature map.
        map_size: cells along its sides.
        doublings: how many times it is upsampled.
        points: how many are looked for.
    """

    def __init__(self, in_channels: int, map_size: int, doublings: int, points: int) -> None:
        super().__init__()
        self.width = width = upsampling_width(in_channels)
        self.cells = cells = map_size * 2**doublings
        self.deconv = upsampling(in_channels, doublings)
        channels = upsampled_channels(in_channels, doublings)
        self.conv_x = nn.Sequential(nn.Conv1d(channels, points, 1))
        self.conv_y = nn.Sequential(nn.Conv1d(channels, points, 1))
        self.conv_z_1 = nn.Sequential(
            nn.Conv1d(in_channels, width * cells, 1), nn.BatchNorm1d(width * cells), nn.ReLU(inplace=True)
        )
        self.conv_z_2 = nn.Sequential(nn.Conv1d(width, points, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, map_size, map_size) -> (B, points, 3): x, y and depth, in [0, 1) of the crop and range."""
        plane = self.deconv(features)
        depth = self.conv_z_1(features.mean(dim=(2, 3)).unsqueeze(2)).view(-1, self.width, self.cells)
        lines = (plane.mean(dim=2), plane.mean(dim=3), depth)
        convs = (self.conv_x[0], self.conv_y[0], self.conv_z_2[0])
        return torch.stack([_find(line, conv) for line, conv in zip(lines, convs, strict=True)], dim=-1)


class DepthHead(RegressionHead):
    """Of what parameter regressors say only the pelvis' depth, the third number of the camera."""

    def __init__(self, inputs: HeadInputs) -> None:
        super().__init__(inputs, start={DEPTH: inputs.start["camera"][2:]})


class LixelHead(Head):
    """Vertices and joints by lixels, the pelvis' depth by regression.

    Own loss terms: ``vertices`` and ``edges`` (L1, metres), ``normals`` (cosine between edges and the label's normals),
    ``pose_joints_2d`` and ``pose_joints_3d`` of PoseNet's joints; those of the mesh need the targets of
    :func:`lightning_modules.targets.label_meshes`.

    Args:
        inputs: what it is built from, with a ResNet and the body.
    """

    encoder: ClassVar[str] = "early_image"
    says: ClassVar[str] = "vertices"
    reads_box: ClassVar[bool] = True
    # The published weights, for metres in place of heatmap cells.
    losses: ClassVar[Mapping[str, float]] = {
        "vertices": 10.0,
        "edges": 10.0,
        "normals": 0.03,
        "pose_joints_2d": 10.0,
        "pose_joints_3d": 10.0,
    }

    def __init__(self, inputs: HeadInputs) -> None:
        super().__init__()
        backbone, body, self.input_size = inputs.backbone, inputs.body, inputs.input_size
        assert isinstance(backbone, ResNet) and body is not None
        doublings = max(0, round(math.log2(backbone.stride / _CELL)))
        channels, early = inputs.in_channels, backbone.conv1.out_channels
        self.depth = DepthHead(inputs)
        self.pose_net = LixelNet(channels, inputs.map_size, doublings, LIXEL_JOINTS)
        self.pose2feat = nn.Sequential(
            nn.Conv2d(early + LIXEL_JOINTS * self.pose_net.cells, early, 3, 1, 1),
            nn.BatchNorm2d(early),
            nn.ReLU(inplace=True),
        )
        self.mesh_stages = deepcopy(_stages(backbone))
        self.mesh_net = LixelNet(channels, inputs.map_size, doublings, body.mesh_regressor.shape[1])
        faces = torch.tensor(body.faces)
        edges = np.unique(np.sort(body.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
        self.register_buffer("faces", faces, persistent=False)
        self.register_buffer("edge_ends", torch.tensor(edges), persistent=False)

    faces: Tensor
    edge_ends: Tensor

    def backbone_started(self, backbone: nn.Module, path: str | Path) -> None:
        """The second stages start as the first do, also from weights that were loaded."""
        assert isinstance(backbone, ResNet)
        self.mesh_stages.load_state_dict(_stages(backbone).state_dict())

    def forward(self, features: tuple[Tensor, Tensor], evidence: Evidence) -> dict[str, Tensor]:  # type: ignore[override]
        """The early map and the last one -> depth (B, 1); joints and vertices (B, N, 3) in [0, 1) of crop and range."""
        early, last = features
        joints = self.pose_net(last)
        seen = _gaussians(joints.detach(), self.pose_net.cells, early.shape[-2], early.shape[-1])
        mesh_features = self.mesh_stages(self.pose2feat(torch.cat((early, seen.to(early)), dim=1)))
        places = {LIXEL_JOINT_PLACES: joints, LIXEL_VERTICES: self.mesh_net(mesh_features)}
        return {**self.depth(last, evidence), **places}

    def loss_terms(self, body: BodyModel) -> Mapping[str, LossTerm]:
        return {
            "vertices": self._vertices,
            "edges": self._edges,
            "normals": self._normals,
            "pose_joints_2d": partial(self._pose_joints_2d, body),
            "pose_joints_3d": self._pose_joints_3d,
        }

    def _vertices(self, prediction: Prediction, targets: Batch) -> TermSums:
        """Vertices relative to the pelvis, metres."""
        pred, true = _meshes(prediction, targets)
        pred = pred - prediction.joints_3d[:, _PELVIS].unsqueeze(1)
        true = true - targets["joints_3d"][:, _PELVIS].unsqueeze(1)
        return masked_l1(pred, true, _for_each(targets, true))

    def _edges(self, prediction: Prediction, targets: Batch) -> TermSums:
        """Lengths of the mesh's edges, metres."""
        lengths = [_vectors(mesh, *self.edge_ends.unbind(1)) for mesh in _meshes(prediction, targets)]
        pred, true = (vector.norm(dim=-1, keepdim=True) for vector in lengths)
        return masked_l1(pred, true, _for_each(targets, true))

    def _normals(self, prediction: Prediction, targets: Batch) -> TermSums:
        """Cosines between the predicted triangles' edges and the label's normals; 0 where they lie in its plane."""
        pred, true = _meshes(prediction, targets)
        first, second, third = self.faces.unbind(1)
        normal = torch.linalg.cross(_vectors(true, first, second), _vectors(true, first, third))
        normal = F.normalize(normal, dim=-1)
        sides = ((first, second), (first, third), (second, third))
        cosines = [(F.normalize(_vectors(pred, *side), dim=-1) * normal).sum(dim=-1, keepdim=True) for side in sides]
        found = torch.cat(cosines, dim=-1)
        return masked_l1(found, torch.zeros_like(found), _for_each(targets, found))

    def _pose_joints_2d(self, body: BodyModel, prediction: Prediction, targets: Batch) -> TermSums:
        """PoseNet's joints on the crop, in crop sides."""
        pred = project(_pose_joints(prediction), prediction.focal, prediction.princpt)
        target, confidence = joints_on_crop(targets, body)
        joints = slice(LIXEL_JOINTS)
        return masked_l1(pred / self.input_size, target[:, joints] / self.input_size, confidence[:, joints])

    def _pose_joints_3d(self, prediction: Prediction, targets: Batch) -> TermSums:
        """PoseNet's joints relative to its pelvis, metres."""
        pred = _pose_joints(prediction)
        target, confidence = (targets[name][:, :LIXEL_JOINTS] for name in ("joints_3d", "joints_3d_conf"))
        known = confidence * (confidence[:, _PELVIS : _PELVIS + 1] > 0)
        pelvis = target[:, _PELVIS : _PELVIS + 1]
        return masked_l1(pred - pred[:, _PELVIS : _PELVIS + 1], target - pelvis, known)


def _stages(backbone: ResNet) -> nn.Sequential:
    return nn.Sequential(backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)


def _pose_joints(prediction: Prediction) -> Tensor:
    assert prediction.extra is not None
    return prediction.extra[LIXEL_JOINT_PLACES]


def _find(line: Tensor, conv: nn.Module) -> Tensor:
    """Features along an axis (B, C, S) -> expected places (B, N) in [0, 1); a cell stands for its first edge."""
    # The convolution as a product, cells before points: the softmax over cells is then several times faster on CPUs.
    assert isinstance(conv, nn.Conv1d)
    heatmap = F.linear(line.transpose(1, 2), conv.weight[..., 0], conv.bias)
    with torch.autocast(device_type=line.device.type, enabled=False):
        share = heatmap.float().softmax(dim=1)
        places = torch.arange(share.shape[1], device=line.device) / share.shape[1]
        return torch.einsum("bsn,s->bn", share, places)


def _gaussians(places: Tensor, depth: int, height: int, width: int) -> Tensor:
    """Volumes (B, K * depth, height, width) with a bump of height 1 at each place (B, K, 3) in [0, 1)."""
    bumps = []
    for axis, size in enumerate((width, height, depth)):
        cells = torch.arange(size, device=places.device) / size
        bumps.append((-(places[..., axis, None] - cells).square() / (2 * _SPREAD**2)).exp())
    along_x, along_y, along_z = bumps
    plane = along_y.unsqueeze(-1) * along_x.unsqueeze(-2)
    return (along_z[..., None, None] * plane.unsqueeze(2)).flatten(1, 2)


def _meshes(prediction: Prediction, targets: Batch) -> tuple[Tensor, Tensor]:
    assert prediction.vertices is not None
    return prediction.vertices, cast(MeshBatch, targets)["vertices"]


def _vectors(mesh: Tensor, start: Tensor, end: Tensor) -> Tensor:
    return mesh.index_select(1, end) - mesh.index_select(1, start)


def _for_each(targets: Batch, values: Tensor) -> Tensor:
    """(B, N) 1 for all values (B, N, ...) of labelled people."""
    return is_labelled(targets).unsqueeze(1).expand(values.shape[:2])
