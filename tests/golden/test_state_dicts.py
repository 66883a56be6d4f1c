"""Names and shapes in the `state_dict` of every reference architecture: saved weights must load for ever."""

from pathlib import Path

import pytest
import torch

from search_spaces.reference import names, reference

FOLDER = Path(__file__).parent / "state_dicts"
NAMES = [name for name in names() if not name.endswith(":...")]


def _table(name):
    architecture, shape, outputs = reference(name)
    with torch.device("meta"):
        state = architecture.build(shape, outputs).state_dict()
    return "".join(f"{key} {'x'.join(map(str, value.shape)) or 'scalar'}\n" for key, value in state.items())


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_those_of_the_golden_file(name):
    assert _table(name) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_reference():
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(NAMES)
