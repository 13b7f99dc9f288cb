"""ViTs: feature maps of any input, timm's names, and timm itself where it imports."""

from __future__ import annotations

import builtins
import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_modules.backbones import BACKBONES, make_backbone
from lightning_modules.timm_backbone import BackboneImportError, TimmBackbone
from lightning_modules.vit import VisionTransformer


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
    for name, channels in (("resnet18", 512), ("vit_tiny_patch16_224", 192), ("swin_tiny_patch4_window7_224", 768)):
        backbone = TimmBackbone(name)
        assert backbone(image).shape == (1, channels, 256 // backbone.stride, 256 // backbone.stride)
    with pytest.raises(ValueError, match="no network 'resnet5'"):
        TimmBackbone("resnet5")


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
    with pytest.raises(BackboneImportError, match=said):
        make_backbone("timm:resnet18")
