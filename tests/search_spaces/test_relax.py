"""Where a template has an architecture that can be relaxed, and what logits stand for in it."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.darts import darts
from search_spaces.errors import SpecError
from search_spaces.networks.supernet import Supernet
from search_spaces.relax import decoded, relaxable
from search_spaces.space import Space


def test_it_is_found_in_a_template():
    spec = darts()
    assert relaxable(spec) == ("", spec)
    assert relaxable({"architecture": spec, "lr": 0.1}) == ("architecture", spec)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        ({"lr": 0.1}, "none"),
        (Chain(layers=(ConvLayer(),)), "none"),
        ((darts(nodes=1), darts(nodes=1)), "0, 1"),
    ],
)
def test_none_and_two_are_refused(wrong, got):
    with pytest.raises(SpecError, match=f"one architecture that can be relaxed; got '{got}'"):
        relaxable(wrong)


def test_logits_are_decoded_under_the_path_of_the_architecture():
    template = {"net": darts(nodes=2), "lr": 0.1}
    logits = {name: np.eye(5, 8) for name in ("normal", "reduction")}
    found = decoded(template, logits)
    assert {path.split("/")[0] for path in found} == {"net"}
    assert Space(template).candidate(found)["net/normal/nodes/0/second"] == "max3"


def test_a_template_with_holes_becomes_a_supernet_and_sizes_are_checked():
    network = darts(layers=2, channels=2, nodes=1).relax((3, 4, 4), 3)
    assert isinstance(network, Supernet)
    assert network.eval()(torch.zeros(2, 3, 4, 4)).shape == (2, 3)
    with pytest.raises(SpecError, match="input_shape: a network needs the shape of one input"):
        darts().relax((3, 4), 3)
    with pytest.raises(SpecError, match="outputs: a network needs a number of outputs"):
        darts().relax((3, 4, 4), 0)
