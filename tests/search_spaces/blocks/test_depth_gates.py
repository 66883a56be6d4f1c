"""Specs of gates for dynamic depth."""

from search_spaces.blocks.depth_gates import AdaptiveGate, DepthGate, SkipGate
from search_spaces.spec import kinds


def test_parameters_counted_by_hand() -> None:
    assert set(kinds(DepthGate)) >= {"adaptive", "skip"}
    channels = (8, 12)
    count = lambda spec: sum(p.numel() for p in spec.build(channels).parameters())  # noqa: E731
    assert count(AdaptiveGate(hidden=16)) == sum(c * 16 + 16 + 2 * 16 + 2 for c in channels)
    assert count(SkipGate(hidden=10)) == sum(c * 10 + 10 for c in channels) + 4 * (100 + 100 + 20) + 11
    assert count(SkipGate(hidden=10, recurrent=False)) == sum(c * 10 + 10 + 11 for c in channels)
    for gate in (AdaptiveGate(), SkipGate(), SkipGate(recurrent=False)):
        found = gate.cost(8)
        assert found is not None and found.params == sum(p.numel() for p in gate.build((8,)).parameters())
