"""Layers that the networks of several architectures share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DropPath(nn.Module):
    """Zeroes its input for some examples of a batch, and scales the others so that the mean stays.

    Training drops with probability `rate * depth * progress`; with `rate` 0, as built, and in eval mode this is the
    identity. The draws come from torch's global generator.

    Args:
        depth: Where the path lies, from 0 (excluded, at the input) to 1 (the deepest layer).

    Attributes:
        rate: Probability at depth 1 and at the end of training; see `search_spaces.build.set_drop_path`.
        progress: How far training has come, in [0, 1]; 1 unless `set_progress` says otherwise.

    Paper: Zoph et al., 2018, arXiv 1707.07012, appendix A.5; growth with depth as in the authors' code.
    """

    def __init__(self, depth: float = 1.0) -> None:
        super().__init__()
        self.depth = depth
        self.rate = 0.0
        self.progress = 1.0

    def set_progress(self, fraction: float) -> None:
        """Sets how far training has come, in [0, 1]."""
        self.progress = fraction

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x` with some examples zeroed.

        Args:
            x: A path's value, (N, ...).
        """
        # Without a rate nothing that changes is looked at, which compiled code would have to guard.
        if not self.training or self.rate == 0.0 or (probability := self.rate * self.depth * self.progress) == 0.0:
            return x
        kept = 1.0 - probability
        mask = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(kept)
        return x * mask.div_(kept)

    def extra_repr(self) -> str:
        """Returns what `repr` shows."""
        return f"depth={self.depth:g}, rate={self.rate:g}"


def largest(maps: tuple[Tensor, ...]) -> tuple[int, int]:
    """Returns the greatest height and the greatest width of `maps`, each (N, C, H, W)."""
    return max(x.shape[2] for x in maps), max(x.shape[3] for x in maps)


class Concatenate(nn.Module):
    """Concatenates feature maps in depth; smaller ones are first padded with zeros to the largest height and width.

    Paper: Zoph & Le, 2017, arXiv 1611.01578, section 3.3, third repair rule. Deviation: the paper does not say on which
    side the zeros lie; here the map is in the middle, the odd row or column of zeros at its end.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """Returns the maps (N, C_i, H_i, W_i) as one, (N, sum of C_i, max H_i, max W_i)."""
        if len(maps) == 1:
            return maps[0]
        height, width = largest(maps)
        return torch.cat([_padded(x, height, width) for x in maps], dim=1)


def _padded(x: Tensor, height: int, width: int) -> Tensor:
    down, right = height - x.shape[2], width - x.shape[3]
    if down == 0 and right == 0:
        return x
    return F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))


class GlobalAverage(nn.Module):
    """The average over positions of concatenated maps, without building the concatenation.

    Equal to `Concatenate` followed by global average pooling: zeros added to a smaller map scale its mean.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        """Returns the averages of the maps (N, C_i, H_i, W_i), (N, sum of C_i)."""
        height, width = largest(maps)
        means = [x.mean((2, 3)) * (x.shape[2] * x.shape[3] / (height * width)) for x in maps]
        return torch.cat(means, dim=1)


class MatMul(nn.Module):
    """The product of two batches of matrices, as a module so that its cost is counted."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Returns the products (..., n, m) of matrices (..., n, k) and (..., k, m)."""
        return a @ b

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Returns the multiply-adds of one call."""
        return output.numel() * inputs[0].shape[-1]


class DotProductAttention(nn.Module):
    """softmax(Q K^T scale + mask) V, as a module so that its cost is counted.

    Args:
        scale: What the products of queries and keys are multiplied by; None: 1 over the root of their length.

    Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.2.1, equation 1.
    """

    def __init__(self, scale: float | None = None) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns what each query reads, (N, heads, T, d).

        Args:
            query: (N, heads, T, k).
            key: (N, heads, S, k).
            value: (N, heads, S, d); memory does not grow with T x S where d = k.
            mask: What is added to the logits, (N, heads, T, S).
        """
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self.scale)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Returns the multiply-adds of one call."""
        return inputs[1].shape[-2] * (inputs[0].numel() + output.numel())


class SoftmaxPool(nn.Module):
    """The average of a map over its positions, weighed by the softmax of logits."""

    def __init__(self) -> None:
        super().__init__()
        self.product = MatMul()

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        """Returns the average (N, C, 1, 1) of a map (N, C, H, W) by logits (N, 1, H, W)."""
        weights = logits.flatten(1).softmax(dim=1)[..., None]
        out: Tensor = self.product(x.flatten(2), weights)[..., None]
        return out


def tokens(x: Tensor) -> Tensor:
    """Returns the positions of a map (N, C, H, W) as a sequence (N, H W, C), row by row."""
    return x.flatten(2).transpose(1, 2)


def as_map(sequence: Tensor, like: Tensor) -> Tensor:
    """Returns a sequence (N, H W, C) as a map (N, C, H, W) with height and width of `like`."""
    images, _, channels = sequence.shape
    return sequence.transpose(1, 2).reshape(images, channels, like.shape[2], like.shape[3])


def set_lr_factor(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """Lets parameters learn at another rate than the rest of their network.

    Args:
        parameters: Get an attribute `lr_factor`, which optimizers multiply their rate by.
        factor: Their rate over that of the rest.
    """
    for parameter in parameters:
        parameter.lr_factor = factor  # type: ignore[attr-defined]
