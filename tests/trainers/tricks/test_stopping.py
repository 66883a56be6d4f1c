import pytest

from search_spaces.recipe import EarlyStopping
from trainers.tricks.registry import implementation
from trainers.tricks.stopping import signed


@pytest.mark.parametrize(("metric", "sign"), [("val/loss", -1), ("val/accuracy", 1)])
@pytest.mark.parametrize("patience", [1, 2, 4])
def test_i05_it_stops_patience_reports_after_the_best(metric: str, sign: int, patience: int) -> None:
    stopping = implementation(EarlyStopping(metric=metric, patience=patience))()  # type: ignore[arg-type]
    values = [0.1, 0.5, 0.4, 0.9, 0.9, 0.2, 0.3, 0.8, 0.7]  # the best is the fourth for every patience above 1
    stops = [stopping.update({metric: sign * value}) for value in values]
    best = 4 if patience > 1 else 2
    assert stops.index(True) + 1 == best + patience


def test_a_small_improvement_does_not_count() -> None:
    stopping = implementation(EarlyStopping(metric="val/accuracy", patience=2, min_delta=0.1))()
    assert [stopping.update({"val/accuracy": value}) for value in (0.5, 0.55, 0.65, 0.7, 0.71)] == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_state_goes_on() -> None:
    one = implementation(EarlyStopping(patience=3))()
    for value in (1.0, 2.0, 2.0):
        one.update({"val/loss": value})
    two = implementation(EarlyStopping(patience=3))()
    two.load_state_dict(one.state_dict())
    assert two.update({"val/loss": 2.0}) is True


@pytest.mark.parametrize(("metric", "sign"), [("val/perplexity", -1), ("val/bits_per_character", -1), ("val/miou", 1)])
def test_which_way_is_better_follows_from_the_name(metric: str, sign: int) -> None:
    assert signed({metric: 2.0}, metric, "early_stopping") == sign * 2.0


def test_a_metric_that_is_not_reported_is_refused() -> None:
    with pytest.raises(ValueError, match="early_stopping watches 'val/miou'; this task reports val/loss"):
        implementation(EarlyStopping(metric="val/miou"))().update({"val/loss": 1.0})
