"""Replicas in actors change no bit of a search, nor does the loss of one."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.ray_runtime import RayRuntime
from cluster.replicas import Replica, distributed
from controllers.base import Controller, make_controller
from controllers.objective import Objective
from controllers.random_search import RandomConfig
from controllers.rl.learner import Drawn, Part, Wanted
from controllers.rl.ppo import PpoConfig
from controllers.state import difference
from controllers.trial import Outcome, Status
from search_spaces.domains import Categorical
from search_spaces.space import Space

SPACE = Space({f"p{i}": Categorical((0, 1, 2, 3)) for i in range(6)})
CONFIG = PpoConfig(batch=6, replicas=2, epochs=2, learning_rate=0.05, hidden=8)


def _search(config: Any = CONFIG) -> Controller[Any]:
    return make_controller(config, SPACE, [Objective(metric="x")], duplicates="evaluate")


def _play(search: Controller[Any], trials: int) -> None:
    for _ in range(trials):
        (trial,) = search.ask(1)
        search.tell(trial.trial_id, Outcome(Status.COMPLETED, {"x": trial.candidate["p0"] / 3}, 1))


@pytest.fixture(scope="module")
def ray_runtime() -> Iterator[RayRuntime]:
    with RayRuntime(cpus=2) as runtime:
        yield runtime


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_where_the_work_is_done_changes_no_bit(ray_runtime: RayRuntime, caplog: pytest.LogCaptureFixture) -> None:
    import ray

    here, there = _search(), _search()
    _play(here, 45)
    with distributed(there):
        _play(there, 15)
        replicas = there._replicas  # type: ignore[attr-defined]
        assert len(replicas._actors) == 2
        _play(there, 6)
        ray.kill(replicas._actors[1])
        _play(there, 12)
        assert "a replica of the controller is lost" in caplog.text
        assert replicas._actors == []
    _play(there, 12)
    assert difference(here.state_dict(), there.state_dict()) is None


@pytest.mark.parametrize("config", [RandomConfig(), PpoConfig()])
def test_who_wants_no_replicas_gets_none(config: Any) -> None:
    search = _search(config)
    before = vars(search).copy()
    with distributed(search):
        assert vars(search) == before


def test_a_replica_works_under_the_weights_that_it_is_given() -> None:
    search: Any = _search()
    replica, policy = Replica(CONFIG, SPACE), search.learner.policy
    weights = policy.get_state()
    samples = replica.draw(weights, [Wanted(5, None), Wanted(6, None)])
    assert samples[0].candidate != samples[1].candidate
    part = Part([Drawn.of(sample, None) for sample in samples], [1.0, -0.5], 6)
    replica.take(part)
    found = replica.gradients(weights)
    expected = search.learner.gradients(search.learner.replayed(part))
    assert set(found) == set(expected)
    assert all((found[name] == gradient.numpy()).all() for name, gradient in expected.items())
