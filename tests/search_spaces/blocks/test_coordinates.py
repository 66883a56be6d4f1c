"""Specs that know where things lie."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.coordinates import CoordinateEncodedAttention, InputChannels
from search_spaces.errors import SpecError


@pytest.mark.parametrize(("encoding", "numbers"), [("none", 0), ("onehot", 32), ("sin", 32), ("coordconv", 2)])
def test_parameters_of_coordinate_encoded_attention(encoding: str, numbers: int) -> None:
    found = CoordinateEncodedAttention(encoding=encoding, hidden=16).cost(64)
    assert found is not None
    assert found.params == (64 * 16 + 16) + 64 * 16 + numbers * 16 + 16 + (64 * 64 + 64)


@pytest.mark.parametrize(("added", "channels", "params"), [("xy", 5, 0), ("xy+shape", 6, 1024), ("edge", 4, 0)])
def test_an_image_gets_further_channels(added: str, channels: int, params: int) -> None:
    spec = InputChannels(added=added)
    assert spec.outputs((Feature(3, 1),)) == (Feature(channels, 1),)
    found = spec.cost(3)
    assert found is not None and found.params == params and found.macs == 0


@pytest.mark.parametrize("fields", [{"added": "shape"}, {"extent": 0.0}])
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(fields))}: "):
        InputChannels.from_data(fields)
