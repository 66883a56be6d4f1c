"""Networks as checkpoints left them."""

from pathlib import Path

import torch

from search_spaces.architectures.chain import Chain, ConvLayer
from trainers.checkpoint import save
from trainers.learners.restored import restored

CHAIN = Chain(layers=(ConvLayer(filters=4),))


def test_the_weights_are_the_checkpoints_and_the_generator_is_left_alone(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        network = CHAIN.build((1, 8, 8), 3)
        save(str(tmp_path / "t000000"), "1-1.pt", {"network": network.state_dict()})
        before = torch.get_rng_state()
        found = restored(CHAIN, (1, 8, 8), 3, str(tmp_path / "t000000" / "1-1.pt"))
        assert torch.equal(torch.get_rng_state(), before)
    assert not found.training
    image = torch.ones(2, 1, 8, 8)
    assert torch.equal(found(image), network.eval()(image))
