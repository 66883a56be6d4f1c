"""The paths through a cell, as texts that a predictor compares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell_paths(nodes: Sequence[Sequence[tuple[int, str]]], ends: Iterable[int], inputs: int) -> list[str]:
    """Returns one text a path from an input of a cell to its output, sorted: `input 0>sep_conv_3x3>max_pool_3x3`.

    Cells that differ in the order of their nodes, or of the sides of a node, alone have the same texts.

    Args:
        nodes: What each node reads: pairs of the number of an earlier state and what is done to it, joined by `>`; an
            empty text for nothing.
        ends: Numbers of the states that make up the output.
        inputs: How many states there are before the first node; they have the lowest numbers.
    """
    into: list[list[str]] = [[f"input {state}"] for state in range(inputs)]
    for sides in nodes:
        into.append([f"{path}>{done}" if done else path for state, done in sides for path in into[state]])
    return sorted(path for state in ends for path in into[state])
