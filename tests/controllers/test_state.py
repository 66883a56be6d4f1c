"""State trees lose no bit on the way through JSON and arrays; generators depend on their key alone."""

import io
import json
import math

import numpy as np
import pytest
import torch

from controllers.state import (
    StateError,
    decode,
    derive_seed,
    difference,
    encode,
    generator_state,
    make_generator,
    make_torch_generator,
    set_generator_state,
    set_torch_generator_state,
    to_arrays,
    torch_generator_state,
)

TREE = {
    "none": None,
    "flags": [True, False],
    "whole": 2**127,
    "real": [0.1, -0.0, math.nan, math.inf, -math.inf],
    "text": "ä",
    "bytes": b"\x00\xff",
    "arrays": [np.arange(3, dtype=np.uint8), np.float32([math.nan, -0.0]), np.zeros((0, 2)), np.array(True)],
    "empty": [{}, []],
    "tags": {"$array": "mine"},
    "nested": {"$float": {"$bytes": 1.0}},
}


def _through_files(tree: dict[str, object]) -> dict[str, object]:
    data, arrays = encode(tree)
    text = json.dumps(data, allow_nan=False)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    stream.seek(0)
    with np.load(stream) as kept:
        return decode(json.loads(text), dict(kept))


def test_a_tree_comes_back_bit_for_bit() -> None:
    assert difference(TREE, _through_files(TREE)) is None


@pytest.mark.parametrize(
    ("leaf", "named"),
    [
        ((1, 2), "tuple"),
        ({1, 2}, "set"),
        (np.float64(1.0), "float64"),
        (np.array([object()]), "object"),
        (torch.zeros(1), "Tensor"),
        (print, "builtin"),
    ],
)
def test_what_is_no_leaf_is_refused_by_path(leaf: object, named: str) -> None:
    with pytest.raises(StateError, match=f"/a/1:.*{named}"):
        encode({"a": [0, leaf]})


def test_keys_are_text() -> None:
    with pytest.raises(StateError, match="keys are text; got 1"):
        encode({"a": {1: 2}})


def test_a_missing_array_is_named() -> None:
    data, _ = encode({"a": np.zeros(1)})
    with pytest.raises(StateError, match="a0"):
        decode(data, {})


@pytest.mark.parametrize(
    ("a", "b", "path"),
    [
        ({"x": 1}, {"x": True}, "/x"),
        ({"x": 0.0}, {"x": -0.0}, "/x"),
        ({"x": [1, 2]}, {"x": [1, 3]}, "/x/1"),
        ({"x": [1]}, {"x": [1, 2]}, "/x"),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}, "/"),
        ({"x": np.zeros(2)}, {"x": np.zeros(2, np.float32)}, "/x"),
        ({"x": np.float32([0.0])}, {"x": np.float32([-0.0])}, "/x"),
        ({"x": math.nan}, {"x": math.nan}, None),
    ],
)
def test_difference_names_the_first_path(a: object, b: object, path: str | None) -> None:
    assert difference(a, b) == path


def test_seeds_are_functions_of_their_key() -> None:
    assert derive_seed(0, "trial", "t000000") == 12176348635784892133
    assert derive_seed(0, "trial", "t000000", bits=32) == 12176348635784892133 >> 32
    seeds = {derive_seed(root, "trial", f"t{i:06d}", bits=32) for root in range(10) for i in range(100)}
    assert len(seeds) == 1000
    assert max(seeds) < 2**32
    assert derive_seed(1, "23") != derive_seed(12, "3")


def test_a_numpy_generator_goes_on_where_it_stood() -> None:
    rng = make_generator(3, "a")
    rng.integers(7, dtype=np.uint32)
    state = generator_state(rng)
    expected = rng.random(5)
    other = make_generator(4, "b")
    set_generator_state(other, decode(*encode(state)))
    assert (other.random(5) == expected).all()
    assert (make_generator(3, "a").random(3) != make_generator(3, "b").random(3)).all()


def test_a_torch_generator_goes_on_where_it_stood_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    generator = make_torch_generator(3, "a")
    torch.rand(3, generator=generator)
    state = torch_generator_state(generator)
    expected = torch.rand(5, generator=generator)
    other = make_torch_generator(4, "b")
    set_torch_generator_state(other, state)
    assert torch.equal(torch.rand(5, generator=other), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_tensors_become_arrays_of_their_own() -> None:
    tensor = torch.ones(2, requires_grad=True)
    tree = to_arrays({0: [tensor, 3], "x": None})
    with torch.no_grad():
        tensor += 1
    assert difference(tree, {"0": [np.ones(2, np.float32), 3], "x": None}) is None
