"""A network as a checkpoint left it, for tests and pictures after training."""

from __future__ import annotations

from typing import Any

import torch

from search_spaces.build import Architecture
from trainers.checkpoint import load, weights


def restored(architecture: Architecture, input_shape: tuple[int, ...], outputs: int, checkpoint: str) -> Any:
    """Returns the network in eval mode, with the weights that are judged; torch's generator is left as it was.

    Args:
        architecture: What was trained.
        input_shape: Shape of one input, without the batch.
        outputs: Number of classes or tokens.
        checkpoint: Path or URI of what its trial kept.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    with torch.random.fork_rng(devices=[]):
        network = architecture.build(input_shape, outputs)
    network.load_state_dict(weights(load(checkpoint)))
    return network.eval()
