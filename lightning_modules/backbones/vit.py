"""Vision transformers [1] with timm's key names, because timm itself needs torchvision (see setup.cfg).

Checkpoints of timm, MAE, DINO, ViTPose and HMR2 load (:mod:`lightning_modules.weights.initial_weights`). There is no
class token: the patches' tokens are the feature map. ViTPose's patches begin 2 px outside the image, these at its edge.

[1] Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-6


class PatchEmbed(nn.Module):
    """A token for each patch."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H / patch, W / patch)."""
        return self.proj(image)


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        # (B, T, 3 * width) -> three of (B, heads, T, width / heads)
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two layers on each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention and MLP, each behind a LayerNorm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, _EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, _EPSILON)
        self.mlp = MLP(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class VisionTransformer(nn.Module):
    """A ViT that ends at the feature map.

    Args:
        width: channels of a token.
        depth: blocks.
        heads: of each attention. Weights have the same shapes for any number, but mean something for one only.
        patch: side of a patch in pixels.
        grid: patches along each side that there are positions for; they are interpolated for other inputs.

    Attributes:
        out_channels: channels of the feature map.
        stride: input pixels per cell of the feature map.
    """

    def __init__(self, width: int, depth: int, heads: int, patch: int = 16, grid: int = 16) -> None:
        super().__init__()
        self.out_channels, self.stride, self.grid = width, patch, grid
        self.patch_embed = PatchEmbed(patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, _EPSILON)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Feature map (B, out_channels, H / stride, W / stride) of normalised images (B, 3, H, W)."""
        patches = self.patch_embed(image)
        size = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2) + self._positions(size)
        tokens = self.norm(self.blocks(tokens))
        return tokens.transpose(1, 2).unflatten(2, size)

    def _positions(self, size: torch.Size) -> Tensor:
        if tuple(size) == (self.grid, self.grid):
            return self.pos_embed
        grid = self.pos_embed.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        resized = F.interpolate(grid, size, mode="bicubic", align_corners=False)
        return resized.flatten(2).transpose(1, 2)
