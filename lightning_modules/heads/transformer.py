"""HMR 2.0 [1]: a transformer decoder asks a backbone's tokens about one person.

One learned query looks at all tokens of the feature map in six blocks of attention; what it has become says how pose,
shape and camera differ from their start. Meant for a ViT (``vit_huge`` is the published one), works with any backbone.
The decoder has the published sizes behind backbones of 384 channels (ViT-S) and more, and is narrow for slim ones. Two
things differ: the crop stays square (published: its middle 256x192), and the query is one parameter (published: the
embedding of a constant, the same function).

[1] Goel et al., Humans in 4D: Reconstructing and Tracking Humans with Transformers, ICCV 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.evidence import Evidence
from lightning_modules.heads.base import HeadInputs, StartingHead, small_linear


class CrossAttention(nn.Module):
    """Attention of tokens to others, or to themselves.

    Args:
        width: channels of the tokens.
        context: channels of those that are looked at.
        heads: how many attentions side by side.
        head_width: channels of each.
    """

    def __init__(self, width: int, context: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, heads * head_width, bias=False)
        self.key_value = nn.Linear(context, 2 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, width) and (B, S, context) -> (B, T, width)."""
        query = self.query(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(context).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class DecoderBlock(nn.Module):
    """Self-attention, attention to the context, and a perceptron, each behind a LayerNorm and beside a shortcut.

    With one token the self-attention's queries and keys cannot matter; they are there because they are published.
    """

    def __init__(self, width: int, context: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = CrossAttention(width, width, heads, head_width)
        self.cross_attention = CrossAttention(width, context, heads, head_width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, width) and (B, S, context) -> (B, T, width)."""
        normed = self.norms[0](tokens)
        tokens = tokens + self.self_attention(normed, normed)
        tokens = tokens + self.cross_attention(self.norms[1](tokens), context)
        return tokens + self.mlp(self.norms[2](tokens))


class DecoderHead(StartingHead):
    """A query that looks at the cells of a feature map; any number of cells does.

    Args:
        inputs: what it is built from.
    """

    def __init__(self, inputs: HeadInputs) -> None:
        super().__init__(inputs)
        in_channels = inputs.in_channels
        width, depth, heads, head_width = (1024, 6, 8, 64) if in_channels >= 384 else (128, 2, 4, 32)
        self.query = nn.Parameter(torch.randn(1, 1, width))
        self.blocks = nn.ModuleList(DecoderBlock(width, in_channels, heads, head_width) for _ in range(depth))
        self.out = small_linear(width, len(self.start))

    def forward(self, features: Tensor, evidence: Evidence) -> dict[str, Tensor]:
        """(B, in_channels, h, w) -> each output by name, (B, n)."""
        # In fp32, as all heads: in bf16 the depth of 40 m would be rounded to 0.1 m.
        with torch.autocast(device_type=features.device.type, enabled=False):
            context = features.float().flatten(2).transpose(1, 2)
            tokens = self.query.expand(len(features), -1, -1)
            for block in self.blocks:
                tokens = block(tokens, context)
            return self.named(self.start + self.out(tokens[:, 0]))
