import numpy as np
import pytest
import torch

from trainers.data.streams import Streams


def _epoch(streams: Streams) -> torch.Tensor:
    """The windows' begins of one epoch, (batches, streams)."""
    return torch.stack([streams.next() for _ in range(streams.batches_per_epoch)])


def test_each_batch_goes_on_where_the_last_one_ended() -> None:
    streams = Streams(tokens=1000, batch_size=4, window=16, seed=0)
    begins = _epoch(streams)
    assert begins.shape == (15, 4)  # 15 * 4 * 16 = 960 of 999 predicted tokens
    assert (begins.diff(dim=0) == 16).all()
    assert (begins[0].diff() == 15 * 16).all()
    read = (begins[:, :, None] + torch.arange(16)).flatten()
    assert len(read.unique()) == 960 and read.max() + 1 < 1000


def test_the_first_batch_of_an_epoch_is_known() -> None:
    streams = Streams(tokens=100, batch_size=2, window=10, seed=0)
    fresh = []
    for _ in range(8):
        streams.next()
        fresh.append(streams.fresh)
    assert fresh == [True, False, False, False] * 2


def test_what_is_left_over_differs_between_epochs() -> None:
    streams = Streams(tokens=1000, batch_size=4, window=16, seed=0)
    first = [int(_epoch(streams)[0, 0]) for _ in range(40)]
    assert min(first) < 8 and 31 < max(first) <= 39


def test_a_position_is_restored() -> None:
    streams = Streams(tokens=1000, batch_size=4, window=16, seed=3)
    for _ in range(20):
        streams.next()
    again = Streams(tokens=1000, batch_size=4, window=16, seed=3)
    again.load_state_dict(streams.state_dict())
    assert all(torch.equal(streams.next(), again.next()) for _ in range(20))
    assert streams.step == again.step == 40


@pytest.mark.parametrize("tokens", [2, 3, 9, 17])
def test_a_short_text_gives_what_it_has(tokens: int) -> None:
    streams = Streams(tokens, batch_size=4, window=16, seed=0)
    begins = _epoch(streams)
    assert begins.min() >= 0 and begins.max() + streams.window <= tokens - 1
    assert streams.window >= 1 and streams.batch_size == min(4, tokens - 1)


def test_positions_are_whole_numbers_of_64_bits() -> None:
    assert Streams(100, 2, 10, 0).next().dtype == torch.int64
    assert Streams(100, 2, 10, 0).rows.dtype == np.int64
