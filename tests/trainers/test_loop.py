import math
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces.recipe import AdamW, ClipGradients, EarlyStopping, Ema, GradualWarmup, Sgd
from tests.trainers.examples import NETWORK, classifier, final_weights, run, same, squares, timeless
from trainers.checkpoint import CheckpointError, load, weights
from trainers.data.splits import Part
from trainers.learners.classification import ClassificationLearner
from trainers.loop import train
from trainers.tasks.classification import Classification
from trainers.trial import TrialContext, TrialFailed

ROWS = int((squares().parts == Part.TRAIN).sum())
BATCHES = ROWS // 16


def test_reports_count_steps_epochs_and_samples(tmp_path: Path) -> None:
    reports = run(classifier(), fidelity=3, folder=str(tmp_path / "t000001"))
    assert [report.step for report in reports] == [1, 2, 3]
    assert [report.done for report in reports] == [False, False, True]
    assert [report.metrics["epoch"] for report in reports] == [1, 2, 3]
    assert [report.metrics["samples"] for report in reports] == [16 * BATCHES * step for step in (1, 2, 3)]
    assert [report.checkpoint for report in reports] == [f"t000001/1-{step}.pt" for step in (1, 2, 3)]
    assert all(math.isfinite(value) for report in reports for value in report.metrics.values())
    seconds = [report.metrics["seconds"] for report in reports]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


@pytest.mark.parametrize(("every", "epochs"), [(0.5, [0.5, 1.0, 1.5]), (2.0, [2.0, 4.0, 6.0]), (0.001, [1, 2, 3])])
def test_a_report_may_be_due_at_any_share_of_an_epoch(every: float, epochs: list[float]) -> None:
    reports = run(classifier(), fidelity=3, task=Classification(report_every=every))
    unit = 1 / BATCHES if every < 0.1 else 1.0  # at least one step a report
    found = [report.metrics["epoch"] for report in reports]
    assert found == pytest.approx([epoch * unit for epoch in epochs], abs=0.5 / BATCHES)


def test_checkpoints_may_be_rarer_but_the_last_report_has_one(tmp_path: Path) -> None:
    task = Classification(checkpoint_every=2)
    reports = run(classifier(), fidelity=5, task=task, folder=str(tmp_path / "t000001"))
    assert [report.checkpoint is not None for report in reports] == [False, True, False, True, True]


def test_training_learns_and_follows_the_schedule() -> None:
    reports = run(classifier(warmup=GradualWarmup(epochs=1)), fidelity=8)
    assert reports[-1].metrics["val/accuracy"] > 0.9
    assert reports[-1].metrics["train/loss"] < 0.5 * reports[0].metrics["train/loss"]
    rates = [report.metrics["train/lr"] for report in reports]
    assert rates[1:] == sorted(rates[1:], reverse=True) and rates[1] == pytest.approx(0.1, rel=0.1)
    assert rates[-1] < 0.005


class Probe(torch.nn.Module):
    """Keeps what it is told of the progress of training."""

    def __init__(self) -> None:
        super().__init__()
        self.fractions: list[float] = []

    def set_progress(self, fraction: float) -> None:
        self.fractions.append(fraction)


def test_modules_are_told_the_progress_before_every_step() -> None:
    probe, spec = Probe(), classifier()

    def make() -> ClassificationLearner:
        learner = ClassificationLearner(spec, squares(), 0, "cpu")
        learner.network.add_module("probe", probe)
        return learner

    list(train(make, spec.recipe, TrialContext("t000001", 5, 3)))
    assert probe.fractions == [step / (3 * BATCHES) for step in range(3 * BATCHES)]


class Pull(torch.nn.Module):
    """A number that costs its distance from 3."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def penalty(self) -> torch.Tensor:
        return 0.5 * (self.weight - 3).abs()


def test_what_modules_ask_for_is_added_to_the_loss() -> None:
    pull, spec = Pull(), classifier(optimizer=Sgd(lr=0.02, momentum=0, weight_decay=0))

    def make() -> ClassificationLearner:
        learner = ClassificationLearner(spec, squares(), 0, "cpu")
        learner.network.add_module("pull", pull)
        return learner

    (plain,) = run(spec, fidelity=1)
    (found,) = list(train(make, spec.recipe, TrialContext("t000001", 5, 1)))
    # The rate falls along a cosine: on average by a half.
    assert pull.weight.item() == pytest.approx(0.02 * 0.5 * BATCHES / 2, rel=0.2)
    assert found.metrics["train/loss"] - plain.metrics["train/loss"] == pytest.approx(1.5, abs=0.05)


def test_a_trial_is_a_function_of_its_seed() -> None:
    one, again, other = (run(classifier(), fidelity=2, seed=seed) for seed in (5, 5, 6))
    assert [timeless(report.metrics) for report in one] == [timeless(report.metrics) for report in again]
    assert one[-1].metrics["train/loss"] != other[-1].metrics["train/loss"]


def test_trials_that_take_turns_in_one_process_do_not_meet() -> None:
    alone = [timeless(report.metrics) for report in run(classifier(), fidelity=3)]
    task, data = Classification(), squares()
    runs = [task.run(classifier(), TrialContext(f"t{seed}", seed, 3), data) for seed in (5, 6)]
    turns = [timeless(first.metrics) for first, _ in zip(*runs, strict=True)]
    assert turns == alone


def test_the_surroundings_keep_their_generator() -> None:
    state = torch.get_rng_state()
    run(classifier(), fidelity=1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("make", [Sgd, AdamW])
def test_a_loss_that_is_not_finite_fails_the_trial_with_its_step(make: Any) -> None:
    reports = []
    task, trial = Classification(report_every=0.5), TrialContext("t000001", 5, 8)
    with pytest.raises(TrialFailed) as failure:
        reports.extend(_until(task.run(classifier(optimizer=make(lr=1e30), warmup=None), trial, squares())))
    assert failure.value.step == 1
    assert "iteration 2, epoch 0.1" in failure.value.reason and "the loss is nan" in failure.value.reason


def _until(reports: Any) -> Any:
    yield from reports


def test_early_stopping_ends_a_trial_as_done(tmp_path: Path) -> None:
    spec = classifier(early_stopping=EarlyStopping(metric="val/accuracy", patience=2, min_delta=1.0))
    reports = run(spec, fidelity=9, folder=str(tmp_path / "t000001"))
    assert [report.step for report in reports] == [1, 2, 3]
    assert reports[-1].done and reports[-1].checkpoint == "t000001/1-3.pt"
    again = run(spec, fidelity=9, attempt=2, resume_from=str(tmp_path / "t000001/1-3.pt"))
    assert again == []


def test_the_average_is_judged_and_the_weights_go_on() -> None:
    plain, averaged = run(classifier()), run(classifier(ema=Ema(decay=0.999)))
    for one, two in zip(plain, averaged, strict=True):
        assert one.metrics["train/loss"] == two.metrics["train/loss"]
        assert one.metrics["val/loss"] != two.metrics["val/loss"]


def test_a_finished_trial_makes_no_more_reports(tmp_path: Path) -> None:
    folder = tmp_path / "t000001"
    run(classifier(), fidelity=2, folder=str(folder))
    assert run(classifier(), fidelity=2, resume_from=str(folder / "1-2.pt"), attempt=2) == []


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1-1.pt").write_bytes(b"x" * 200)
    with pytest.raises(CheckpointError, match="damaged"):
        run(classifier(), resume_from=str(tmp_path / "1-1.pt"))


def test_a_child_starts_from_its_parents_weights_alone(tmp_path: Path) -> None:
    parent = tmp_path / "t000001"
    first = run(classifier(ema=Ema(decay=0.9)), fidelity=2, folder=str(parent))
    child = tmp_path / "t000002"
    frozen = classifier(optimizer=Sgd(lr=1e-30, weight_decay=0.0))
    context = {"inherit": "weights", "parent_checkpoint": str(parent / "1-2.pt"), "seed": 77}
    reports = run(frozen, fidelity=1, folder=str(child), **context)
    assert [report.step for report in reports] == [1]
    before, after = weights(load(str(parent / "1-2.pt"))), final_weights(child, reports)
    names = [name for name, value in NETWORK.build((1, 8, 8), 4).named_parameters() if value.requires_grad]
    assert all(torch.equal(before[name], after[name]) for name in names)
    assert first[-1].metrics["samples"] == 2 * reports[-1].metrics["samples"]


def test_a_continuation_is_the_parents_own_training(tmp_path: Path) -> None:
    parent, child = tmp_path / "t000001", tmp_path / "t000002"
    whole = run(classifier(), fidelity=4, folder=str(parent))
    context = {"inherit": "all", "parent_checkpoint": str(parent / "1-2.pt"), "seed": 5}
    rest = run(classifier(), fidelity=4, folder=str(child), **context)
    assert [report.step for report in rest] == [3, 4]
    assert same(final_weights(child, rest), final_weights(parent, whole))


def test_a_continuation_takes_its_own_rate_and_optimizer(tmp_path: Path) -> None:
    parent = tmp_path / "t000001"
    run(classifier(), fidelity=2, folder=str(parent))
    context = {"inherit": "all", "parent_checkpoint": str(parent / "1-2.pt")}
    slow = run(classifier(optimizer=Sgd(lr=0.02, momentum=0.5)), fidelity=4, folder=str(tmp_path / "t2"), **context)
    assert slow[0].metrics["train/lr"] < 0.02
    groups = load(str(tmp_path / "t2" / "1-4.pt"))["optimizer"]["param_groups"]
    assert {group["momentum"] for group in groups} == {0.5}
    other = run(classifier(optimizer=AdamW(lr=1e-3), batch_size=32), fidelity=4, **context)
    assert [report.step for report in other] == [3, 4]


def test_weights_that_do_not_fit_fail_the_trial(tmp_path: Path) -> None:
    parent = tmp_path / "t000001"
    run(classifier(), fidelity=1, folder=str(parent))
    wider = classifier().model_copy(update={"architecture": NETWORK.model_copy(update={"layers": NETWORK.layers[:2]})})
    with pytest.raises(TrialFailed, match="does not fit this candidate.*layers"):
        run(wider, inherit="weights", parent_checkpoint=str(parent / "1-1.pt"))


@pytest.mark.parametrize("clip", [None, ClipGradients(norm=0.5)])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precision_changes_the_numbers_a_little(precision: str, clip: ClipGradients | None) -> None:
    exact, rough = (run(classifier(precision=p, clip=clip))[-1].metrics for p in ("float32", precision))
    assert exact["train/loss"] != rough["train/loss"]
    assert rough["train/loss"] == pytest.approx(exact["train/loss"], rel=0.02)


def test_the_layout_in_memory_hardly_changes_the_numbers() -> None:
    last, first = (run(classifier(channels_last=flag), fidelity=1)[-1].metrics for flag in (True, False))
    assert last["train/loss"] == pytest.approx(first["train/loss"], rel=1e-3)
