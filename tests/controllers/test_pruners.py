"""Who is stopped: rungs and medians worked out by hand, and states that go on."""

import math

import numpy as np
import pytest

from controllers.pruners import AshaConfig, AshaPruner, MedianConfig, MedianPruner, PrunerConfig, make_pruner
from controllers.state import decode, encode
from controllers.trial import Verdict
from search_spaces.errors import SpecError
from search_spaces.spec import kinds

STOP, GO = Verdict.STOP, Verdict.CONTINUE


def test_pruners_are_found_by_kind() -> None:
    assert list(kinds(PrunerConfig)) == ["asha", "median"]
    made = make_pruner(PrunerConfig.from_data({"kind": "asha", "factor": 3}), 27)
    assert isinstance(made, AshaPruner)
    assert made.rungs == (1, 3, 9)


def test_an_unknown_config_is_refused() -> None:
    with pytest.raises(SpecError, match="pruner"):
        make_pruner(PrunerConfig.model_construct(), 4)


@pytest.mark.parametrize(
    ("grace", "factor", "fidelity", "rungs"),
    [(1, 4, 8, (1, 4)), (1, 4, 4, (1,)), (2, 2, 17, (2, 4, 8, 16)), (5, 2, 5, ())],
)
def test_rungs_lie_below_the_full_fidelity(grace: int, factor: int, fidelity: int, rungs: tuple[int, ...]) -> None:
    assert AshaPruner(AshaConfig(grace=grace, factor=factor), fidelity).rungs == rungs


def test_asha_lets_the_best_quarter_of_a_rung_go_on() -> None:
    pruner = AshaPruner(AshaConfig(grace=2), 32)
    scores = [0.5, 0.4, 0.6, 0.5, 0.7, 0.65, 0.8, 0.75, 0.7]
    # Trials seen, itself included: 1 to 7 keep one, 8 and 9 keep two; ties with the last kept are kept.
    verdicts = [GO, STOP, GO, STOP, GO, STOP, GO, GO, STOP]
    for i, (score, verdict) in enumerate(zip(scores, verdicts, strict=True)):
        assert pruner.report(f"t{i}", 1, (0.0,)) is GO
        assert pruner.report(f"t{i}", 2, (score,)) is verdict, i
        assert pruner.report(f"t{i}", 3, (-1.0,)) is GO


def test_asha_treats_equals_alike_and_stops_what_is_not_a_number() -> None:
    pruner = AshaPruner(AshaConfig(), 4)
    assert [pruner.report(f"t{i}", 1, (0.5,)) for i in range(5)] == [GO] * 5
    assert pruner.report("t5", 1, (-math.inf,)) is STOP


def test_asha_judges_a_rung_at_the_first_report_at_or_after_it() -> None:
    pruner = AshaPruner(AshaConfig(grace=2), 8)
    pruner.report("good", 2, (1.0,))
    assert pruner.report("late", 3, (0.5,)) is STOP


def test_median_compares_the_best_with_running_averages_of_completed_trials() -> None:
    pruner = MedianPruner(MedianConfig(startup=3, warmup=1), 4)
    for name, curve in {"a": (0.0, 1.0, 2.0), "b": (0.0, 2.0, 4.0), "c": (0.0, 3.0, 6.0)}.items():
        for step, score in enumerate(curve, 1):
            assert pruner.report(name, step, (score,)) is GO
        pruner.told(name, completed=True)
    # Running averages: step 2: 0.5, 1, 1.5; step 3: 1, 2, 3.
    assert pruner.report("d", 1, (-9.0,)) is GO  # warm-up
    assert pruner.report("d", 2, (1.0,)) is GO  # equal to the median
    assert pruner.report("d", 3, (1.9,)) is STOP
    assert pruner.report("e", 2, (5.0,)) is GO
    assert pruner.report("e", 3, (0.0,)) is GO  # its best counts
    assert pruner.report("e", 4, (0.0,)) is GO  # complete
    assert pruner.report("f", 2, (0.99,)) is STOP


def test_median_counts_completed_trials_only() -> None:
    pruner = MedianPruner(MedianConfig(startup=2), 4)
    for i in range(5):
        pruner.report(f"t{i}", 1, (1.0,))
        pruner.told(f"t{i}", completed=i == 0)
    assert pruner.report("bad", 1, (0.0,)) is GO
    pruner.report("good", 1, (2.0,))
    pruner.told("good", completed=True)
    assert pruner.report("worse", 1, (1.4,)) is STOP
    assert pruner.report("even", 1, (1.5,)) is GO


@pytest.mark.parametrize("config", [MedianConfig(startup=2), AshaConfig(factor=2)])
def test_a_pruner_goes_on_from_its_state(config: PrunerConfig) -> None:
    def feed(pruner: object, start: int, stop: int) -> list[Verdict]:
        found = []
        for i in range(start, stop):
            name, step = f"t{i % 6}", i // 6 + 1
            found.append(pruner.report(name, step, (math.sin(7.0 * i),)))  # type: ignore[attr-defined]
            if step == 3:
                pruner.told(name, completed=True)  # type: ignore[attr-defined]
                found += [pruner.report(f"n{i}", 2, (math.sin(11.0 * i),))]  # type: ignore[attr-defined]
        return found

    whole, first, second = (make_pruner(config, 8) for _ in range(3))
    feed(whole, 0, 15)
    feed(first, 0, 15)
    second.set_state(decode(*encode(first.get_state())))
    rest = feed(whole, 15, 40)
    assert feed(second, 15, 40) == rest
    assert {GO, STOP} == set(rest)
    assert second.get_state() == whole.get_state()


def test_an_ordered_rung_judges_as_a_comparison_with_all() -> None:
    rng = np.random.default_rng(0)
    pruner, found, expected = AshaPruner(AshaConfig(factor=3), 9), [], []
    seen: list[float] = []
    for number, score in enumerate(rng.integers(0, 20, 300).astype(float)):
        if number == 150:
            state = pruner.get_state()
            pruner = AshaPruner(AshaConfig(factor=3), 9)
            pruner.set_state(state)
        better = sum(other > score for other in seen)
        seen.append(score)
        expected.append(Verdict.STOP if better >= max(1, len(seen) // 3) else Verdict.CONTINUE)
        found.append(pruner.report(f"t{number:06d}", 1, (score,)))
    assert found == expected and 0 < found.count(Verdict.STOP) < 300
