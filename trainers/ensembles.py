"""What several networks say together."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Average = Literal["mean", "logits", "rank"]


def combined(members: Tensor, average: Average = "mean") -> Tensor:
    """Returns the log-probabilities of an ensemble, (N, K, ...); those of `rank` only order the classes.

    `mean` averages probabilities, whose cross-entropy is at most the mean of the members'; `logits` averages logits;
    `rank` averages the places of the classes in each member's order, which no single confident member can outvote.

    Args:
        members: (M, N, K, ...) logits of M networks.
        average: Of what.
    """
    if average == "logits":
        return F.log_softmax(members.mean(0), dim=1)
    if average == "rank":
        places = members.argsort(dim=2).argsort(dim=2).to(members.dtype)
        return F.log_softmax(places.mean(0), dim=1)
    return torch.logsumexp(F.log_softmax(members, dim=2), dim=0) - torch.tensor(float(len(members))).log()
