"""The loop of two levels: turns, halves of the rows, reports, payload, early end, and a resume bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from controllers.gradient.controller import DartsConfig, GdasConfig
from controllers.gradient.monitor import entropy, skip_ratio
from controllers.gradient.updater import DartsUpdater
from search_spaces.architectures.darts import PRIMITIVES, darts
from search_spaces.errors import SpecError
from search_spaces.recipe import Adam, AdamW, DeepSupervision, Dropout, Ema, Sgd, TwoPhase
from search_spaces.relax import decoded
from search_spaces.space import Space
from tests.trainers.examples import classifier, same, squares, timeless
from tests.trainers.supernets import RECIPE, TEMPLATE, search
from trainers.bilevel import Bilevel
from trainers.checkpoint import load
from trainers.learners.supernet import SupernetLearner
from trainers.loop import train
from trainers.supernet import Moment
from trainers.tasks.classification import Classification, Classifier
from trainers.trial import Report, TrialContext


class Watching:
    """An updater that learns nothing and notes what it sees."""

    stopped = False

    def __init__(self) -> None:
        self.seen: list[tuple[float, bool, bool]] = []
        self.held: list[Any] = []
        self.modes: list[bool] = []
        self.judged = 0

    def start(self, network: Any, seed: int) -> None:
        self.seed = seed

    def before_step(self, moment: Moment) -> None:
        self.seen.append((round(moment.progress, 4), moment.learns, moment.epoch_ends))
        self.modes.append(moment.network.training)
        self.held.append(moment.held_out())
        loss, _ = moment.loss(self.held[-1])
        loss.backward()  # left behind: the step of the weights must not see it

    def before_evaluation(self, network: Any) -> None:
        self.judged += 1

    def figures(self) -> dict[str, float]:
        return {"arch/seen": float(len(self.seen))}

    def payload(self) -> Any:
        return {"seen": len(self.seen)}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def test_an_updater_is_called_before_every_step_with_the_other_half_of_the_rows() -> None:
    updater = Watching()
    reports = search(updater=updater)
    per_epoch = len(updater.seen) // 2
    assert per_epoch >= 1 and len(updater.seen) == 2 * per_epoch
    assert [progress for progress, _, _ in updater.seen] == [
        round(i / (2 * per_epoch), 4) for i in range(2 * per_epoch)
    ]
    assert all(learns for _, learns, _ in updater.seen)
    assert [i for i, (_, _, ends) in enumerate(updater.seen, 1) if ends] == [per_epoch, 2 * per_epoch]
    assert updater.seed == 3 and updater.modes == [True] * (2 * per_epoch) and updater.judged == 2
    assert [report.metrics["arch/seen"] for report in reports] == [per_epoch, 2 * per_epoch]
    assert [report.payload for report in reports] == [{"seen": per_epoch}, {"seen": 2 * per_epoch}]
    assert {"val/accuracy", "val/loss", "train/loss"} <= set(reports[0].metrics)


def test_gradients_that_an_updater_leaves_behind_change_nothing(tmp_path: Path) -> None:
    class Idle(Watching):
        def before_step(self, moment: Moment) -> None:
            moment.held_out()

    class Leaving(Watching):
        def before_step(self, moment: Moment) -> None:
            moment.held_out()
            for weight in moment.network.parameters():
                weight.grad = torch.full_like(weight, 9.0)

    states = []
    for i, updater in enumerate((Idle(), Leaving())):
        search(updater=updater, fidelity=1, folder=str(tmp_path / f"{i}" / "t000000"))
        states.append(load(str(tmp_path / f"{i}" / "t000000" / "1-1.pt"))["network"])
    assert same(*states)


@pytest.mark.parametrize(
    "config",
    [DartsConfig(learning_rate=0.02), DartsConfig(learning_rate=0.02, order=2), GdasConfig(learning_rate=0.02)],
    ids=["first", "second", "gdas"],
)
def test_a_trial_that_is_cut_goes_on_bit_for_bit(config: Any, tmp_path: Path) -> None:
    folder = tmp_path / "t000000"
    whole = search(3, config, folder=str(folder))
    torch.rand(3)
    rest = search(3, config, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert [report.step for report in rest] == [2, 3]
    assert [report.payload for report in rest] == [report.payload for report in whole[1:]]
    assert [timeless(report.metrics) for report in rest] == [timeless(report.metrics) for report in whole[1:]]
    assert same(timeless(load(str(folder / "2-3.pt"))), timeless(load(str(folder / "1-3.pt"))))


def with_recipe(**changes: Any) -> Classifier:
    return Classifier(architecture=TEMPLATE.architecture, recipe=RECIPE.model_copy(update=changes))


def test_dropout_goes_on_bit_for_bit_when_a_step_is_looked_ahead(tmp_path: Path) -> None:
    spec, config, folder = with_recipe(dropout=Dropout()), DartsConfig(order=2), tmp_path / "t000000"
    whole = search(2, config, spec=spec, folder=str(folder))
    rest = search(2, config, spec=spec, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert rest[0].payload == whole[1].payload
    assert same(timeless(load(str(folder / "2-2.pt"))), timeless(load(str(folder / "1-2.pt"))))


def test_a_step_is_looked_ahead_with_the_optimizer_in_use() -> None:
    config, task = DartsConfig(learning_rate=0.02, order=2), Classification(report_every=0.5)
    sgd, slow = RECIPE.optimizer, Sgd(lr=0.05, momentum=0.0, nesterov=False)
    found = [
        search(2, config, task, with_recipe(optimizer=optimizer))[-1].payload
        for optimizer in (
            sgd,
            slow,
            TwoPhase(first=sgd, second=slow, switch=1.0),
            TwoPhase(first=slow, second=sgd, switch=0.0),
            TwoPhase(first=Adam(), second=slow, switch=0.0),
        )
    ]
    assert found[0] == found[2] == found[3] and found[1] == found[4] and found[0] != found[1]
    assert search(1, config, task, with_recipe(optimizer=AdamW(lr=1e-3)))[0].payload


def test_an_updater_has_a_loss_of_whole_precision() -> None:
    class Losing(Watching):
        def before_step(self, moment: Moment) -> None:
            self.blurred, self.exact = (loss(moment.batch)[0].item() for loss in (moment.loss, moment.exact_loss))

    updaters = Losing(), Losing()
    for updater, precision in zip(updaters, ("bf16", "float32"), strict=True):
        task = Classification(report_every=0.1)
        search(1, task=task, spec=with_recipe(precision=precision), updater=updater)
    blurred, whole = updaters
    assert whole.blurred == pytest.approx(whole.exact, rel=1e-6)
    assert blurred.exact == pytest.approx(whole.exact, rel=1e-6) != blurred.blurred


def test_the_updaters_state_is_needed_to_go_on(tmp_path: Path) -> None:
    from trainers.checkpoint import save

    folder, config = tmp_path / "t000000", DartsConfig(learning_rate=0.02)
    whole = search(3, config, folder=str(folder))
    state = load(str(folder / "1-2.pt"))
    fresh = config.updater(TEMPLATE)
    fresh.start(SupernetLearner(TEMPLATE, squares(80), 3, "cpu").network, 3)
    save(str(folder), "changed.pt", {**state, "updater": fresh.state_dict()})
    rest = search(3, config, folder=str(folder), attempt=2, resume_from=str(folder / "changed.pt"))
    assert rest[-1].payload != whole[-1].payload


def test_logits_learn_and_nothing_but_the_updater_changes_them() -> None:
    logits = search(1, DartsConfig(learning_rate=0.02))[0].payload["logits"]
    assert max(abs(x) for row in logits["normal"] for x in row) > 0.02

    class Silent(Watching):
        def before_step(self, moment: Moment) -> None:
            self.network = moment.network

    updater = Silent()
    search(1, updater=updater)
    assert all(rows.abs().max() < 0.01 for rows in updater.network.logits.values())


@pytest.mark.parametrize(("stops", "ended"), [(True, [0.0, 1.0]), (False, [0.0, 1.0, 1.0])], ids=["stops", "goes on"])
def test_a_collapsed_search_ends_early(stops: bool, ended: list[float]) -> None:
    class Collapsing(DartsUpdater):
        def before_step(self, moment: Moment) -> None:
            super().before_step(moment)
            if moment.progress > 0.3:
                moment.network.logits["normal"][:, PRIMITIVES.index("skip")] = 5.0

    config = DartsConfig(stop_when_collapsed=stops, learning_rate=1e-9)
    reports = search(3, updater=Collapsing(config, TEMPLATE.architecture))
    assert [report.metrics["arch/collapsed"] for report in reports] == ended
    assert [report.done for report in reports] == [False] * (len(ended) - 1) + [True]


@pytest.mark.parametrize(
    "config", [DartsConfig(learning_rate=0.5), GdasConfig(learning_rate=0.5)], ids=["darts", "gdas"]
)
def test_figures_beside_averaged_weights_are_of_the_logits_that_are_told(config: Any) -> None:
    class Mixing(type(config.updater(TEMPLATE))):  # type: ignore[misc]
        def before_evaluation(self, network: Any) -> None:
            super().before_evaluation(network)
            self.judged = {name: rows.clone() for name, rows in network.logits.items()}

    updater = Mixing(config, TEMPLATE.architecture)
    (report,) = search(1, spec=with_recipe(ema=Ema(decay=0.9)), updater=updater)
    told = _logits(report)
    assert report.metrics["arch/entropy"] == entropy(told)
    assert report.metrics["arch/skip_ratio"] == skip_ratio(TEMPLATE.architecture, told)
    assert all(np.array_equal(rows.double().numpy(), told[name]) for name, rows in updater.judged.items())


def test_deep_supervision_is_for_what_is_found() -> None:
    recipe = RECIPE.model_copy(update={"deep_supervision": DeepSupervision()})
    spec = Classifier(architecture=darts(layers=3, channels=2, nodes=1, aux=True), recipe=recipe)
    (report,), (plain,) = search(1, spec=spec), search(1)
    assert timeless(report.metrics) == timeless(plain.metrics)
    found = Space(spec).realize(Space(spec).candidate(decoded(spec, _logits(report))))
    losses = []
    for changed in (recipe, RECIPE):
        network = found.from_data(found.to_data() | {"recipe": changed.to_data()})
        (told,) = Classification().run(network, TrialContext("t000001", 3, 1), squares(80))
        losses.append(told.metrics["train/loss"])
    assert losses[0] > losses[1]


def _logits(report: Report) -> dict[str, Any]:
    return {name: np.array(rows) for name, rows in report.payload["logits"].items()}


def test_a_supernet_without_somebody_who_learns_is_refused() -> None:
    with pytest.raises(SpecError, match="mode: a supernet needs a controller that learns inside a trial"):
        search(updater=None)
    with pytest.raises(SpecError, match="cannot run this mode; got 'evaluate'; allowed train, retrain, supernet"):
        Classification().run(classifier(), TrialContext("t000001", 0, 1, mode="evaluate"), squares())


def test_training_of_one_level_is_as_it_was() -> None:
    assert train.__defaults__ == (1.0, 1, None) and issubclass(Bilevel, train.__globals__["Training"])
