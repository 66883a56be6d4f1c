"""The benchmark's claim on a small scale, and how it judges."""

from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmarks.table_regret import METRICS, PEERS, TABLE, behind, judged, regrets, search
from search_spaces.architectures.nasbench201 import nasbench201
from search_spaces.space import Space


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of all cells: so many points for each convolution of three on each edge that has an effect."""
    space = Space(nasbench201())
    networks = [space.realize(candidate) for candidate in space.enumerate()]
    points = [
        60.0 + 5 * sum(e.operation == "nor_conv_3x3" for e in n.live_edges()) - len(n.live_edges()) for n in networks
    ]
    columns = {"architecture": [network.to_string() for network in networks], **dict.fromkeys(METRICS, points)}
    file = tmp_path_factory.mktemp("table") / "table.parquet"
    parquet.write_table(pa.table(columns), file)
    return file


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "method", ["predictor", "restarts", *(pytest.param(peer, marks=pytest.mark.slow) for peer in PEERS)]
)
def test_every_method_finds_the_best_of_a_simple_table(made: Path, method: str) -> None:
    first, same = (search(made, method, METRICS[0], 3, 300) for _ in range(2))
    assert first.found == same.found and len(first.found) == 300
    assert list(first.found) == sorted(first.found) and first.found[-1] == 84.0
    assert regrets(84.0, [first]) == {mark: [84.0 - first.found[mark - 1]] for mark in (50, 100, 200, 300)}


@pytest.mark.skipif(not TABLE.exists(), reason=f"no {TABLE.name} in ../shared/data")
def test_the_predictor_keeps_to_the_bar_after_50_queries() -> None:
    runs = [search(TABLE, "predictor", "cifar10_val", seed, 50) for seed in range(3)]
    assert fmean(84.89199999023438 - run.found[-1] for run in runs) < 0.45


def test_who_is_behind_by_more_than_chance() -> None:
    assert behind([0.5, 0.6, 0.7], [0.4, 0.5, 0.6]) and not behind([0.4, 0.5, 0.6], [0.5, 0.6, 0.7])
    assert not behind([0.0, 1.0, 0.0, 1.0], [0.9, 0.0, 0.9, 0.1])
    found = {"predictor": {50: [0.4, 0.6], 100: [0.0, 0.0]}, "optuna-tpe": {50: [0.5, 0.7], 100: [0.0, 0.0]}}
    assert judged(found) == ["0.500 after 50 queries is above 0.45"]
    assert judged({**found, "optuna-tpe": {50: [0.1, 0.2], 100: [0, 0]}})[-1] == "behind optuna-tpe after 50 queries"
    assert judged({"random": {50: [9.0, 9.0]}}) == []
