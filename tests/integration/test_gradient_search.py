"""A gradient search from its file: a supernet, then, after a resume, what it found and a random cell."""

from pathlib import Path

import pytest

from cluster.search import Search
from tests.cluster.files import write_search

SEARCH = """\
name: small
task: {kind: classification, data: {kind: digits, val: 0.2, test: 0.2}, report_every: 0.25}
space:
  architecture: {preset: darts, layers: 3, channels: 2, nodes: 1}
  recipe: {batch_size: 64, warmup: null}
controller: {kind: CONTROLLER, learning_rate: 0.05}
budget: {trials: 1, epochs: 0.5}
objectives: [{metric: val/accuracy, mode: max}]
constraints: [{metric: cost/params, max: 100000}]
resources: {concurrency: 1}
tracking: null
storage: runs
"""


@pytest.mark.slow
@pytest.mark.parametrize("controller", ["darts", "gdas"])
def test_a_round_of_gradient_search(controller: str, tmp_path: Path) -> None:
    write_search(tmp_path, SEARCH.replace("CONTROLLER", controller))
    search = Search.from_yaml(tmp_path / "search.yaml")
    search.run(executor="local", progress=False)
    assert search.trials["mode"].to_pylist() == ["supernet"] and search.best is None
    # What was found is known from the journal alone, which holds the logits.
    search.set_trials(3)
    search.resume(executor="local", progress=False)
    assert (search.reason, search.code) == ("budget.trials", 0)
    rows = search.trials.to_pylist()
    assert [row["mode"] for row in rows] == ["supernet", "train", "train"]
    assert {row["status"] for row in rows} == {"COMPLETED"}
    first, found, random = rows
    path = "p:architecture/normal/nodes/0/first"
    assert first[path] is None and first["m:cost/params"] is None
    assert found[path] in ("max3", "avg3", "skip", "sep3", "sep5", "dil3", "dil5")
    assert found["steps"] == random["steps"] == first["steps"] == 2
    assert 0 < first["m:arch/entropy"] <= 1 and first["m:arch/skip_ratio"] is not None
    assert search.best is not None and search.best.trial_id in ("t000001", "t000002")
