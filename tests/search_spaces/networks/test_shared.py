"""Shared weights: a path is the architecture's own network, and every weight belongs to some path."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.enas_macro import enas_macro
from search_spaces.architectures.enas_micro import enas_micro
from search_spaces.errors import SpecError
from search_spaces.space import Space

SPACES = {"macro": enas_macro(4, channels=4, growth=2), "micro": enas_micro(3, repeats=1, filters=2)}


@pytest.mark.parametrize("name", SPACES)
def test_a_path_is_the_standalone_network(name):
    space, rng, x = Space(SPACES[name]), np.random.default_rng(0), torch.randn(3, 2, 9, 8)
    shared = space.template.share((2, 9, 8), 5)
    for _ in range(4):
        spec = space.realize(space.sample(rng))
        alone = spec.build((2, 9, 8), 5)
        alone.load_state_dict(shared.weights_of(spec))
        shared.choose(spec)
        assert torch.equal(shared(x)["out"], alone(x)["out"])
        shared.eval(), alone.eval()
        assert torch.equal(shared(x), alone(x))  # running figures were counted alike
        assert all(torch.equal(value, alone.state_dict()[n]) for n, value in shared.weights_of(spec).items())
        shared.train()


@pytest.mark.parametrize("name", SPACES)
def test_gradients_reach_the_weights_of_the_path_alone(name):
    space = Space(SPACES[name])
    shared, rng = space.template.share((2, 8, 8), 5), np.random.default_rng(0)
    spec = space.realize(space.sample(rng))
    shared.choose(spec)
    shared(torch.randn(3, 2, 8, 8))["out"].square().sum().backward()
    reached = {n for n, p in shared.named_parameters() if p.grad is not None}
    places = spec.places((2, 8, 8))
    names = [n for n, _ in spec.build((2, 8, 8), 5).named_parameters()]
    assert reached == {places(n).key.replace(".", "/") for n in names}
    other = space.realize(space.sample(rng))
    assert reached != {
        other.places((2, 8, 8))(n).key.replace(".", "/") for n, _ in other.build((2, 8, 8), 5).named_parameters()
    }


def test_every_architecture_finds_its_weights():
    space, rng = Space(SPACES["micro"]), np.random.default_rng(1)
    shared = space.template.share((2, 8, 8), 5)
    for _ in range(5):
        spec = space.realize(space.sample(rng))
        shapes = {name: value.shape for name, value in shared.weights_of(spec).items()}
        with torch.device("meta"):
            assert shapes == {name: value.shape for name, value in spec.build((2, 8, 8), 5).state_dict().items()}


def test_running_without_a_choice_is_refused():
    shared = SPACES["macro"].share((2, 8, 8), 5)
    with pytest.raises(RuntimeError, match="`choose` it first"):
        shared(torch.zeros(1, 2, 8, 8))


def test_cells_of_two_blocks_are_refused():
    with pytest.raises(SpecError, match="^normal: cells that share weights have 1 block, or 3 and more; got 2"):
        enas_micro(2, repeats=1, filters=2).share((2, 8, 8), 5)
