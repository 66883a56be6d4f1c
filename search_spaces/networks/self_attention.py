"""The modules of `search_spaces.blocks.self_attention`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.networks.layers import DotProductAttention, as_map, tokens
from search_spaces.networks.positions import positions

if TYPE_CHECKING:
    from search_spaces.blocks.self_attention import SelfAttention, Transformer


class MultiHeadAttention(nn.Module):
    """Queries, keys and values of all heads by one linear layer, their attention, another linear layer.

    The weights are those of `nn.MultiheadAttention`, which runs on operators that nobody counts.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(channels, 3 * channels)
        self.attend = DotProductAttention()
        self.out = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Returns what each of a sequence (N, T, C) reads from all of it, (N, T, C)."""
        images, length, channels = x.shape
        split = self.project(x).view(images, length, 3, self.heads, channels // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        out: Tensor = self.out(self.attend(query, key, value).transpose(1, 2).flatten(2))
        return out


class SelfAttentionModule(nn.Module):
    """What the positions of a map read, added to it."""

    def __init__(self, spec: SelfAttention, channels: int) -> None:
        super().__init__()
        self.positions = positions(spec.position, channels)
        self.attention = MultiHeadAttention(channels, spec.heads)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        return x + as_map(self.attention(tokens(self.positions(x))), x)


class EncoderLayer(nn.Module):
    """Attention and a network of two layers, each added to what goes in, with a layer norm behind or in front."""

    def __init__(self, spec: Transformer, channels: int) -> None:
        super().__init__()
        hidden = spec.expansion * channels
        self.before = spec.norm == "pre"
        self.attention = MultiHeadAttention(channels, spec.heads)
        self.norm1 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, hidden)
        self.relu = nn.ReLU(inplace=True)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the sequence (N, T, C) of a sequence of the same shape."""
        if self.before:
            x = x + self.dropout(self.attention(self.norm1(x)))
            x = x + self.dropout(self.transform(self.norm2(x)))
            return x
        x = self.norm1(x + self.dropout(self.attention(x)))
        out: Tensor = self.norm2(x + self.dropout(self.transform(x)))
        return out

    def transform(self, x: Tensor) -> Tensor:
        """Returns what the two linear layers make of each of a sequence, (N, T, C)."""
        out: Tensor = self.linear2(self.relu(self.linear1(x)))
        return out


class TransformerModule(nn.Module):
    """Positions, then the layers, over the positions of a map."""

    def __init__(self, spec: Transformer, channels: int) -> None:
        super().__init__()
        self.positions = positions(spec.position, channels)
        self.dropout = nn.Dropout(spec.dropout)
        self.layers = nn.Sequential(*[EncoderLayer(spec, channels) for _ in range(spec.layers)])

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        return as_map(self.layers(tokens(self.dropout(self.positions(x)))), x)
