"""ViTs: feature maps of any input, timm's names, and timm itself where it imports."""

from __future__ import annotations

import builtins
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_modules.backbones import BACKBONES, make_backbone
from lightning_modules.backbones.timm_backbone import BackboneError, TimmBackbone
from lightning_modules.backbones.vit import VisionTransformer
from lightning_modules.weights.initial_weights import load_initial_weights


@pytest.mark.parametrize("size", [48, 64])
def test_feature_map(size: int) -> None:
    backbone = make_backbone("vit_slim")
    assert backbone(torch.randn(2, 3, size, size)).shape == (2, backbone.out_channels, size // 8, size // 8)


@pytest.mark.parametrize(
    ("name", "millions"), [("vit_small", 22), ("vit_base", 86), ("vit_large", 303), ("vit_huge", 631)]
)
def test_published_sizes(name: str, millions: int) -> None:
    with torch.device("meta"):
        backbone = BACKBONES[name]()
        assert backbone(torch.empty(1, 3, 256, 256)).shape == (1, backbone.out_channels, 16, 16)
    assert round(sum(p.numel() for p in backbone.parameters()) / 1e6) == millions


def test_blocks_against_torch() -> None:
    """The same weights in torch's own encoder layer give the same tokens."""
    torch.manual_seed(0)
    backbone = VisionTransformer(32, 1, 4, patch=8, grid=4).eval()
    block = backbone.blocks[0]
    layer = nn.TransformerEncoderLayer(32, 4, 128, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True).eval()
    layer.load_state_dict(
        {
            "self_attn.in_proj_weight": block.attn.qkv.weight, "self_attn.in_proj_bias": block.attn.qkv.bias,
            "self_attn.out_proj.weight": block.attn.proj.weight, "self_attn.out_proj.bias": block.attn.proj.bias,
            "linear1.weight": block.mlp.fc1.weight, "linear1.bias": block.mlp.fc1.bias,
            "linear2.weight": block.mlp.fc2.weight, "linear2.bias": block.mlp.fc2.bias,
            **{f"{norm}.{part}": getattr(getattr(block, norm), part) for norm in ("norm1", "norm2")
               for part in ("weight", "bias")},
        }
    )  # fmt: skip
    image = torch.randn(2, 3, 32, 32)
    patches = F.unfold(image, 8, stride=8).transpose(1, 2)
    tokens = patches @ backbone.patch_embed.proj.weight.flatten(1).T + backbone.patch_embed.proj.bias
    expected = backbone.norm(layer(tokens + backbone.pos_embed))
    torch.testing.assert_close(backbone(image).flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=0)


def test_timm_has_the_same_network() -> None:
    timm = pytest.importorskip("timm", exc_type=ImportError)
    theirs = timm.create_model(
        "vit_small_patch16_224", num_classes=0, class_token=False, global_pool="avg", fc_norm=False, img_size=256
    ).eval()
    ours = make_backbone("vit_small").eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        expected = theirs.forward_features(image)
        torch.testing.assert_close(ours(image).flatten(2).transpose(1, 2), expected, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="no network 'resnet5'"):
        TimmBackbone("resnet5")


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", 512),
        ("vit_tiny_patch16_224", 192),
        ("swin_tiny_patch4_window7_224", 768),
        ("hrnet_w18_small", 128),
        ("convnext_atto", 320),
        ("convnextv2_atto", 320),
    ],
)
def test_networks_of_timm_give_their_last_map(name: str, channels: int) -> None:
    pytest.importorskip("timm", exc_type=ImportError)
    backbone = make_backbone(f"timm:{name}")
    size = 224 if name.startswith("swin") else 64
    features = backbone(torch.randn(1, 3, size, size))
    cells = size // backbone.stride
    assert features.shape == (1, backbone.out_channels, cells, cells) and backbone.out_channels == channels
    features.square().mean().backward()
    # DDP would wait for the gradient of a layer that leads nowhere.
    assert not [key for key, value in backbone.named_parameters() if value.requires_grad and value.grad is None]


def test_hrnet_of_a_pose_network_has_no_random_layer_in_its_features(tmp_path: Path) -> None:
    """Its file has neither the classification head nor the last fusion into the coarser branches."""
    pytest.importorskip("timm", exc_type=ImportError)
    torch.manual_seed(0)
    source = TimmBackbone("hrnet_w18_small_v2").net
    absent = re.compile(rf"stage4\.{len(source.stage4) - 1}\.fuse_layers\.[123]\.")
    pose = {name: value for name, value in source.state_dict().items() if not absent.match(name)}
    torch.save(pose | {"final_layer.weight": torch.ones(17, 18, 1, 1)}, tmp_path / "pose_hrnet.pth")
    image, features = torch.randn(1, 3, 64, 64), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        backbone = TimmBackbone("hrnet_w18_small_v2").eval()
        start = load_initial_weights(backbone, tmp_path / "pose_hrnet.pth", "pose2d_coco")
        assert start.origin == "Simple Baselines, HRNet" and 0.9 < start.coverage.share < 1
        assert all(absent.match(name.removeprefix("net.")) for name in start.coverage.missing)
        with torch.no_grad():
            features.append(backbone(image))
    assert features[0].std() > 0
    torch.testing.assert_close(*features, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("error", "said"),
    [(ImportError("No module named 'timm'"), "pip install"), (RuntimeError("operator nms does not exist"), "vit_base")],
)
def test_timm_that_does_not_import_is_explained(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: object) -> types.ModuleType:
        if name == "timm":
            raise error
        return original(name, *rest)

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BackboneError, match=said):
        make_backbone("timm:resnet18")
