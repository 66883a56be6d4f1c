"""State that survives a restart: typed trees, their form as JSON and arrays, and generators made by key.

A state tree is made of dicts with text keys and lists; its leaves are None, bool, int, float, str, bytes and numpy
arrays. Nothing else is let in, so that reading a state can run no code and loses no bit.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

State = dict[str, Any]
_TAGS = ("$array", "$bytes", "$float", "$dict")
_PLAIN = (type(None), bool, int, str)


class StateError(ValueError):
    """A state that cannot be written, or does not belong where it is loaded; the object that loads is untouched."""


def encode(state: State) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return a state tree as what JSON can hold, and its arrays by name, as `numpy.savez` takes them.

    Args:
        state: A tree of dicts and lists.

    Raises:
        StateError: Something in it is no leaf of a state; the path says where.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    return _encoded(state, "", arrays), arrays


def decode(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> State:
    """Return the state tree that `encode` wrote.

    Args:
        data: The JSON part.
        arrays: Name -> array.

    Raises:
        StateError: An array is missing.
    """
    state = _decoded(data, arrays)
    if not isinstance(state, dict):
        raise StateError(f"a state is a mapping; got {type(state).__name__}")
    return state


def _encoded(node: Any, path: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if type(node) in _PLAIN:
        return node
    if type(node) is float:
        return node if math.isfinite(node) else {"$float": str(node)}
    if isinstance(node, bytes):
        return {"$bytes": base64.b64encode(node).decode()}
    if isinstance(node, np.ndarray):
        if node.dtype.hasobject:
            raise StateError(f"{path}: an array of numbers; got dtype {node.dtype}")
        name = f"a{len(arrays)}"
        arrays[name] = node
        return {"$array": name}
    if type(node) is list:
        return [_encoded(item, f"{path}/{i}", arrays) for i, item in enumerate(node)]
    if type(node) is dict:
        if not all(type(key) is str for key in node):
            raise StateError(f"{path}: keys are text; got {[key for key in node if type(key) is not str][0]!r}")
        inside = {key: _encoded(item, f"{path}/{key}", arrays) for key, item in node.items()}
        return {"$dict": inside} if len(node) == 1 and next(iter(node)) in _TAGS else inside
    raise StateError(
        f"{path or 'state'}: a leaf is None, bool, int, float, str, bytes or a numpy array; got {type(node).__name__}"
    )


def _decoded(node: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(node, list):
        return [_decoded(item, arrays) for item in node]
    if not isinstance(node, Mapping):
        return node
    tag = next(iter(node)) if len(node) == 1 else None
    if tag == "$float":
        return float(node[tag])
    if tag == "$bytes":
        return base64.b64decode(node[tag])
    if tag == "$array":
        if node[tag] not in arrays:
            raise StateError(f"the state names an array that is not there; got {node[tag]!r}")
        return np.asarray(arrays[node[tag]])
    inside = node[tag] if tag == "$dict" else node
    return {key: _decoded(item, arrays) for key, item in inside.items()}


def difference(a: Any, b: Any, path: str = "") -> str | None:
    """Return the path of the first difference between two trees, in type or in any bit; None when they are equal."""
    here = path or "/"
    if type(a) is not type(b):
        return here
    if isinstance(a, dict):
        if list(a) != list(b):
            return here
        found = (difference(a[key], b[key], f"{path}/{key}") for key in a)
    elif isinstance(a, list):
        if len(a) != len(b):
            return here
        found = (difference(x, y, f"{path}/{i}") for i, (x, y) in enumerate(zip(a, b, strict=True)))
    elif isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        return None if same else here
    elif isinstance(a, float):
        return None if a.hex() == b.hex() else here
    else:
        return None if a == b else here
    return next((difference_ for difference_ in found if difference_ is not None), None)


def refuse_other(state: Mapping[str, Any], schema: int, mine: Mapping[str, Any]) -> None:
    """Refuse a state of another schema, or whose keys have other values.

    Args:
        state: What was saved.
        schema: The one that can be read.
        mine: Key -> the value that it must have.

    Raises:
        StateError: It is of another.
    """
    if state.get("schema") != schema:
        raise StateError(f"the state has schema {state.get('schema')!r}; this version reads {schema}")
    for name, value in mine.items():
        if state.get(name) != value:
            raise StateError(f"the state is of another {name}; got {state.get(name)!r}, here it is {value!r}")


def derive_seed(root: int, *key: object, bits: int = 64) -> int:
    """Return a seed for the purpose named by `key`: a function of its arguments alone, with no counter to save.

    Args:
        root: The seed of the search.
        key: What the seed is for, such as `"trial", "t000042"`.
        bits: Size of the result, at most 64.
    """
    text = "\x1f".join(map(str, (root, *key)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> (64 - bits)


def make_generator(root: int, *key: object) -> np.random.Generator:
    """Return a numpy generator for the purpose named by `key`."""
    return np.random.Generator(np.random.PCG64(derive_seed(root, *key)))


def generator_state(generator: np.random.Generator) -> State:
    """Return where a numpy generator stands, as a state tree."""
    return dict(generator.bit_generator.state)


def set_generator_state(generator: np.random.Generator, state: State) -> None:
    """Put a numpy generator where `generator_state` found one."""
    generator.bit_generator.state = state


def make_torch_generator(root: int, *key: object) -> torch.Generator:
    """Return a torch generator on the CPU for the purpose named by `key`."""
    import torch

    return torch.Generator().manual_seed(derive_seed(root, *key, bits=63))


def torch_generator_state(generator: torch.Generator) -> np.ndarray[Any, Any]:
    """Return where a torch generator stands, as bytes in an array."""
    return generator.get_state().numpy().copy()


def set_torch_generator_state(generator: torch.Generator, state: np.ndarray[Any, Any]) -> None:
    """Put a torch generator where `torch_generator_state` found one."""
    import torch

    generator.set_state(torch.from_numpy(state.copy()))


def to_arrays(tree: Any) -> Any:
    """Return a tree with its tensors as arrays and its keys as text, such as a `state_dict` of torch."""
    import torch

    if isinstance(tree, torch.Tensor):
        return tree.detach().cpu().numpy().copy()
    if isinstance(tree, Mapping):
        return {str(key): to_arrays(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return [to_arrays(item) for item in tree]
    return tree
