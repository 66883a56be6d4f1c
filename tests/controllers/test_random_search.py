"""Random search draws uniformly, and nothing twice."""

import time
from collections import Counter
from statistics import median

from controllers.objective import Objective
from controllers.random_search import RandomConfig, RandomSearch
from controllers.trial import Outcome, Status
from search_spaces.domains import Categorical, Float
from search_spaces.space import Space

OBJECTIVES = [Objective(metric="x")]


def test_every_value_is_as_likely() -> None:
    space = Space({"a": Categorical((1, 2, 3, 4)), "b": Float(0, 1)})
    search = RandomSearch(RandomConfig(), space, OBJECTIVES, seed=1)
    counts = Counter(trial.candidate["a"] for trial in search.ask(4000))
    assert set(counts) == {1, 2, 3, 4}
    assert all(abs(count - 1000) < 100 for count in counts.values())


def test_nothing_is_drawn_twice() -> None:
    space = Space({"a": Categorical(tuple(range(6))), "b": Categorical(tuple(range(5)))})
    search = RandomSearch(RandomConfig(), space, OBJECTIVES)
    trials = search.ask(100)
    assert len({trial.candidate for trial in trials}) == len(trials) == 30
    assert all(trial.same_as is None for trial in trials)
    assert search.finished == "exhausted"


def test_history_does_not_slow_it_down() -> None:
    space = Space({f"p{i}": Float(0, 1) for i in range(10)})
    search = RandomSearch(RandomConfig(), space, OBJECTIVES)
    seconds = []
    for i in range(10_000):
        start = time.process_time()
        (trial,) = search.ask()
        search.tell(trial.trial_id, Outcome(Status.COMPLETED, {"x": i % 7919 / 7919}, 1))
        assert search.best is not None
        seconds.append(time.process_time() - start)
    assert median(seconds[-200:]) < 0.005
