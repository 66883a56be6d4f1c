"""Paths through cells by hand, and equal ones for cells that are one architecture."""

import numpy as np
import pytest

from search_spaces.architectures.darts import darts
from search_spaces.architectures.nasnet import nasnet
from search_spaces.paths import cell_paths
from search_spaces.space import Space


def test_paths_by_hand() -> None:
    nodes = [[(0, "conv"), (1, "")], [(2, "pool"), (0, "")]]
    assert cell_paths(nodes, (3,), 2) == ["input 0", "input 0>conv>pool", "input 1>pool"]
    assert cell_paths(nodes, (2, 3), 2) == [
        *("input 0", "input 0>conv", "input 0>conv>pool", "input 1", "input 1>pool")
    ]
    assert cell_paths(nodes, (), 2) == []


def test_a_cell_of_darts() -> None:
    space = Space(darts(layers=3, channels=4, nodes=2))
    chosen = {"nodes/0/first": "max3", "nodes/0/second": "skip", "nodes/1/inputs": (0, 2), "nodes/1/first": "sep3"}
    values = {f"{cell}/{path}": value for cell in ("normal", "reduction") for path, value in chosen.items()}
    values |= {f"{cell}/nodes/1/second": "dil5" for cell in ("normal", "reduction")}
    found = space.path_features(space.candidate(values))
    one = ["input 0>max3", "input 0>max3>dil5", "input 0>sep3", "input 1", "input 1>dil5"]
    assert found == tuple(sorted(f"{cell}/{path}" for cell in ("normal", "reduction") for path in one))


def test_a_cell_of_nasnet_says_where_states_stand_side_by_side() -> None:
    space = Space(nasnet(blocks=1, repeats=1, filters=4))
    chosen = {"left": 0, "right": 1, "left_op": "identity", "right_op": "conv_1x1"}
    values = {f"{cell}/blocks/0/{name}": value for cell in ("normal", "reduction") for name, value in chosen.items()}
    values |= {"normal/blocks/0/combine": "add", "reduction/blocks/0/combine": "concat"}
    assert space.path_features(space.candidate(values)) == (
        "normal/input 0",
        "normal/input 1>conv_1x1",
        "reduction/input 0>concat",
        "reduction/input 1>conv_1x1>concat",
    )


@pytest.mark.parametrize(
    "template", [darts(layers=3, channels=4), nasnet(repeats=1, filters=4)], ids=["darts", "nasnet"]
)
def test_one_architecture_has_one_set_of_paths(template: object) -> None:
    space, rng = Space(template), np.random.default_rng(0)
    changed = 0
    for _ in range(60):
        candidate = space.sample(rng)
        canonical = space.canonical(candidate)
        changed += canonical != candidate
        assert space.path_features(candidate) == space.path_features(canonical) != ()
    assert changed > 20
