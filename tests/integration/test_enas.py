"""A search of ENAS from its file: shared weights, then, after a resume, the path that was found and a random one."""

from pathlib import Path

import pytest

from cluster.search import Search
from search_spaces.architectures.enas_macro import OPERATIONS
from tests.cluster.files import write_search

SEARCH = """\
name: small
task: {kind: classification, data: {kind: digits, val: 0.2, test: 0.2}, report_every: 0.5}
space:
  architecture: {preset: enas_macro, layers: 3, channels: 4}
  recipe: {batch_size: 64, warmup: null}
controller: {kind: enas, steps: 2, samples: 2, derived: 3}
budget: {trials: 1, epochs: 1}
objectives: [{metric: val/accuracy, mode: max}]
constraints: [{metric: cost/params, max: 100000}]
resources: {concurrency: 1}
tracking: null
storage: runs
"""


@pytest.mark.slow
def test_a_round_of_enas(tmp_path: Path) -> None:
    write_search(tmp_path, SEARCH)
    search = Search.from_yaml(tmp_path / "search.yaml")
    search.run(executor="local", progress=False)
    assert search.trials["mode"].to_pylist() == ["supernet"] and search.best is None
    # What was found is known from the journal alone, which holds the path.
    search.set_trials(3)
    search.resume(executor="local", progress=False)
    assert (search.reason, search.code) == ("budget.trials", 0)
    first, found, random = search.trials.to_pylist()
    assert [row["mode"] for row in (first, found, random)] == ["supernet", "train", "train"]
    assert {row["status"] for row in (first, found, random)} == {"COMPLETED"}
    path = "p:architecture/layers/0/operation"
    assert first[path] is None and {found[path], random[path]} <= set(OPERATIONS)
    assert 0 < first["m:arch/reward"] <= 1 and first["m:arch/entropy"] > 0
    assert search.best is not None and search.best.trial_id in ("t000001", "t000002")
