"""Metrics of candidates become places among all that was measured."""

import math

from controllers.predictor.measures import Measures
from search_spaces.candidate import Candidate

A, B, C, D = (Candidate({"x": i}) for i in range(4))


def test_places_are_those_among_all_and_unknown_ones_in_the_middle() -> None:
    measures = Measures(["flow", "size"])
    measures.note(A, {"flow": 30.0, "size": -1e9, "other": 1.0})
    measures.note(B, {"flow": 10.0, "size": 0.5})
    measures.note(C, {"flow": 20.0})
    measures.note(C, {"flow": 20.0, "size": math.nan})
    assert measures.columns([B, D, A, C]).tolist() == [[0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [0.5, 0.5]]
    assert list(measures.candidates) == [A, B]


def test_without_names_there_is_nothing() -> None:
    measures = Measures([])
    measures.note(A, {"flow": 1.0})
    assert measures.columns([A, B]).shape == (2, 0) and list(measures.candidates) == []
