"""ENAS within a trial: shared weights and a policy in turns, a cut, and the policy against uniform draws."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch

from controllers.rl.enas import EnasConfig
from controllers.rl.enas_updater import EnasUpdater
from search_spaces.architectures.enas_macro import enas_macro
from search_spaces.architectures.enas_micro import enas_micro
from search_spaces.recipe import AdamW, ClassificationRecipe
from search_spaces.space import Space
from tests.trainers.examples import same, squares, timeless
from trainers.checkpoint import load
from trainers.data.digits import Digits
from trainers.tasks.classification import Classification, Classifier
from trainers.trial import Report, TrialContext

NETS = {"macro": enas_macro(3, channels=4), "micro": enas_micro(1, repeats=1, filters=8)}
QUICK = EnasConfig(steps=1, samples=2, derived=2, hidden=8)


def _template(net: Any, **recipe: Any) -> Classifier:
    return Classifier(architecture=net, recipe=ClassificationRecipe(**{"batch_size": 16, **recipe}))


def _search(net: Any, fidelity: int, **context: Any) -> list[Report]:
    template = _template(net)
    updater = QUICK.updater(template)
    trial = TrialContext(
        "t000000", **{"seed": 3, "fidelity": fidelity, "mode": "supernet", "updater": updater, **context}
    )
    return list(Classification().run(template, trial, squares(80)))


@pytest.mark.parametrize("name", NETS)
def test_a_trial_reports_rewards_and_a_path_and_goes_on_after_a_cut(name: str, tmp_path: Path) -> None:
    folder, net = tmp_path / "t000000", NETS[name]
    whole = _search(net, 3, folder=str(folder))
    assert all(0 <= report.metrics["arch/reward"] <= 1 and "val/accuracy" in report.metrics for report in whole)
    assert all(Space(net).contains(json.loads(json.dumps(report.payload))["candidate"]) for report in whole)
    torch.rand(3)
    rest = _search(net, 3, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert [report.payload for report in rest] == [report.payload for report in whole[1:]]
    assert [timeless(report.metrics) for report in rest] == [timeless(report.metrics) for report in whole[1:]]
    assert same(timeless(load(str(folder / "2-3.pt"))), timeless(load(str(folder / "1-3.pt"))))


class Measuring(EnasUpdater):
    """At the end, judges draws of the policy and uniform draws on the same batches, with the same weights."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.found: list[tuple[float, float]] = []

    def before_step(self, moment: Any) -> None:
        super().before_step(moment)
        if moment.epoch_ends and moment.progress > 0.9:
            rng = np.random.default_rng(0)
            for _ in range(30):
                batch = moment.held_out()
                candidates = self._sample().candidate, self.space.sample(rng)
                self.found.append(tuple(self._on(moment, batch, candidate) for candidate in candidates))  # type: ignore[arg-type]
            self._choose(self._sample())

    def _on(self, moment: Any, batch: Any, candidate: Any) -> float:
        self._network.choose(self.space.realize(candidate))
        with torch.no_grad():
            return float(moment.loss(batch)[1]["accuracy"])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_policy_draws_better_paths_than_chance_through_the_same_weights() -> None:
    gains = []
    data = Digits().load()
    config = EnasConfig(steps=10, samples=5, learning_rate=0.02, tanh=2.5, skip_weight=0.1)
    template = _template(enas_macro(4, channels=4), batch_size=64, optimizer=AdamW(lr=0.005))
    for seed in (0, 1):
        updater = Measuring(config, template.architecture)
        trial = TrialContext("t000000", seed=seed, fidelity=11, mode="supernet", updater=updater)
        list(Classification().run(template, trial, data))
        policy, uniform = (fmean(pair[i] for pair in updater.found) for i in (0, 1))
        gains.append(policy - uniform)
    assert fmean(gains) > 0.01, gains
