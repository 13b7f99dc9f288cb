"""docs/regressors.md says what the networks are; published sizes are met where they are known."""

from __future__ import annotations

import pytest
import torch

from experiments.documents.regressor_sizes import FILE, REAL_BACKBONES, flops, parameters
from experiments.settings.schema import REGRESSORS
from lightning_modules.mesh_regressor import MeshRegressorModule
from tests.support.repository import DOCS

_DOCUMENT = DOCS / FILE


@pytest.mark.parametrize("family", REGRESSORS)
def test_counts_are_those_of_the_document(family: str) -> None:
    backbone = REAL_BACKBONES.get(family, "resnet50")
    whole, beside = parameters(family, backbone)
    assert f"| {family} | {backbone} | {whole:,} | {beside:,} |" in _DOCUMENT.read_text(encoding="utf-8")


def test_flops_are_those_of_the_document() -> None:
    assert f"| {flops('hmr', 'resnet50') / 1e9:.1f} |" in _DOCUMENT.read_text(encoding="utf-8")


def test_i2l_has_the_published_layers() -> None:
    """Of the published code's 141,638,485 parameters only the second ResNet's stem is shared."""
    with torch.device("meta"):
        module = MeshRegressorModule("resnet50", 256, family="i2l")
    own = sum(p.numel() for p in module.network.head.depth.parameters())
    stem = sum(p.numel() for part in (module.backbone.conv1, module.backbone.bn1) for p in part.parameters())
    assert sum(p.numel() for p in module.parameters()) - own + stem == 141_638_485
    shapes = {name: tuple(value.shape) for name, value in module.named_parameters()}
    assert shapes["network.head.mesh_net.conv_x.0.weight"] == (6890, 256, 1)
    assert shapes["network.head.mesh_net.conv_z_1.0.weight"] == (256 * 64, 2048, 1)
    assert shapes["network.head.pose_net.deconv.0.weight"] == (2048, 256, 4, 4)


def test_hmr2_has_the_published_layers() -> None:
    """4D-Humans: positions of 192 patches and a class token, and an embedding of a constant before the query."""
    whole, _ = parameters("hmr2", "vit_huge")
    assert whole - (256 - 193) * 1280 + 2 * 1024 == 670_459_037
