"""The benchmark's claim on a small scale: REINFORCE beats random search on the chain at equal budget."""

from statistics import fmean

from benchmarks.reinforce_vs_random import compare, search
from controllers.random_search import RandomConfig
from controllers.rl.reinforce import ReinforceConfig


def test_reinforce_beats_random_search_on_the_chain() -> None:
    runs = compare(seeds=3, evaluations=300, length=3, reinforce=ReinforceConfig(learning_rate=5e-3))
    best = {name: fmean(run.best for run in found) for name, found in runs.items()}
    last = {name: fmean(run.last for run in found) for name, found in runs.items()}
    assert best["reinforce"] > best["random"]
    assert last["reinforce"] > last["random"] + 0.05


def test_a_search_depends_on_its_seed_alone() -> None:
    first, same, other = (search(RandomConfig(), seed, 250) for seed in (0, 0, 1))
    assert (first.best, first.last) == (same.best, same.last) != (other.best, other.last)
