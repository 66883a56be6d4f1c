import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import LabelSmoothing, SoftDistillation, TrainedTeacher
from tests.trainers.examples import same
from tests.trainers.examples_dense import RECURRENT, language_model, read, text
from trainers.data.splits import Part
from trainers.data.text import TextSet
from trainers.determinism import Generators
from trainers.learners import language
from trainers.learners.language import LanguageLearner, described, figures, figures_of_checkpoint


def _learner(**recipe: Any) -> LanguageLearner:
    with Generators(0):
        return LanguageLearner(language_model(**recipe), text(), 0, "cpu")


def test_targets_are_the_tokens_behind_the_inputs() -> None:
    learner, train = _learner(), torch.from_numpy(text().part(Part.TRAIN))
    starts = learner.sampler.next()
    batch = learner.batch(starts)
    assert batch.fresh and batch.inputs.shape == batch.targets.shape == (4, 16)
    for row, start in enumerate(starts.tolist()):
        assert batch.inputs[row].tolist() == train[start : start + 16].tolist()
        assert batch.targets[row].tolist() == train[start + 1 : start + 17].tolist()


def test_windows_with_a_carried_state_are_one_long_window() -> None:
    learner = _learner()
    learner.network.train()
    for layer in (learner.network.embedding_dropout, learner.network.layer_dropout):  # type: ignore[union-attr]
        layer.p = 0.0  # type: ignore[union-attr, assignment]
    batches = [learner.batch(learner.sampler.next()) for _ in range(3)]
    losses = [learner.loss(batch)[0].item() for batch in batches]
    inputs, targets = (torch.cat([getattr(b, name) for b in batches], 1) for name in ("inputs", "targets"))
    logits = learner.network(inputs)["out"]
    whole = F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
    assert np.mean(losses) == pytest.approx(whole, rel=1e-5)
    learner.load_state_dict({})
    assert learner.loss(batches[1])[0].item() != pytest.approx(losses[1], rel=1e-6)


def test_gradients_stop_at_the_window() -> None:
    learner = _learner()
    learner.network.train()
    for _ in range(2):
        learner.loss(learner.batch(learner.sampler.next()))[0].backward()
    state = learner.state_dict()["state"]
    assert not any(tensor.requires_grad for layer in state for tensor in layer)


def test_the_state_begins_anew_with_each_epoch() -> None:
    learner = _learner()
    learner.network.eval()  # no dropout
    first = learner.batch(learner.sampler.next())
    assert first.fresh
    learner.network.train()
    learner.loss(first)
    carried = learner.state_dict()["state"]
    learner.loss(first)
    torch.testing.assert_close(carried[0][0], learner.state_dict()["state"][0][0])
    learner.loss(learner.batch(learner.sampler.next()))
    assert not same(carried[0][0], learner.state_dict()["state"][0][0])


def test_the_state_is_saved_and_one_of_another_batch_size_dropped() -> None:
    learner = _learner()
    learner.network.train()
    learner.loss(learner.batch(learner.sampler.next()))
    state = learner.state_dict()
    again = _learner()
    again.load_state_dict(state)
    assert same(again.state_dict(), state)
    other = _learner(batch_size=3)
    other.load_state_dict(state)
    assert other.state_dict() == {"state": None}


def test_labels_are_smoothed() -> None:
    targets = torch.arange(6) % 5
    learner = _learner(label_smoothing=LabelSmoothing(epsilon=0.2))
    classes = len(text().vocabulary)
    logits = torch.randn(6, classes, generator=torch.Generator().manual_seed(0))
    expected = F.cross_entropy(logits, targets, label_smoothing=0.2)
    assert learner._loss(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.equal(_learner()._loss(logits, targets), F.cross_entropy(logits, targets))


@pytest.mark.parametrize("length", [2, 5, 17, 100, 257])
def test_every_token_but_the_first_counts_once(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_LONGEST", 7)
    learner, tokens = _learner(), torch.from_numpy(text().part(Part.TRAIN))[:length]
    classes = len(text().vocabulary)
    found = figures(learner.network, tokens, classes)
    streams = min(16, length - 1)
    each = -(-(length - 1) // streams)
    total = 0.0
    for begin in range(0, length - 1, each):
        stream = tokens[begin : begin + each + 1].long()
        logits = learner.network.advance(stream[None, :-1])[0][0]  # type: ignore[operator]
        total += F.cross_entropy(logits, stream[1:], reduction="sum").item()
    assert found["loss"] == pytest.approx(total / (length - 1), rel=1e-5)
    assert not learner.network.training


def test_bits_are_counted_a_character() -> None:
    tokens = np.arange(12, dtype=np.int32) % 3
    data = TextSet(tokens, (0, 4, 8, 12), (4, 20, 4), ("a", "b", "c"), "word")
    found = described({"loss": math.log(2)}, data, Part.TRAIN)
    assert found["perplexity"] == pytest.approx(2) and found["bits_per_character"] == pytest.approx(1)
    # Four tokens stand for twenty characters.
    assert described({"loss": math.log(2)}, data, Part.VAL)["bits_per_character"] == pytest.approx(0.2)
    assert described({"loss": 1e4}, data, Part.TRAIN)["perplexity"] == math.inf


def test_a_checkpoint_is_judged_as_the_trial_was(tmp_path: Path) -> None:
    report = read(language_model(), folder=str(tmp_path / "t000001"))[-1]
    found = figures_of_checkpoint(language_model(), str(tmp_path / str(report.checkpoint)), text(), Part.VAL)
    assert {f"val/{name}": value for name, value in found.items()} == {
        name: value for name, value in report.metrics.items() if name.startswith("val/")
    }


def test_l01_a_teacher_is_heard_and_kept(tmp_path: Path) -> None:
    teachers = (TrainedTeacher(architecture=RECURRENT, epochs=1),)
    learner = _learner(distillation=SoftDistillation(teachers=teachers, weight=0.5, temperature=2.0))
    learner.network.eval()
    learner.network.training = True  # its outputs, without dropout
    batch = learner.batch(learner.sampler.next())
    loss = learner.loss(batch)[0].item()
    said = learner._distil.ask(batch.inputs)[0]["out"]
    found = learner.network(batch.inputs)["out"]
    gap = F.kl_div((found / 2).log_softmax(2), (said / 2).log_softmax(2), reduction="none", log_target=True)
    plain = F.cross_entropy(found.flatten(0, 1), batch.targets.flatten())
    assert loss == pytest.approx((0.5 * plain + 0.5 * 4 * gap.sum(2).mean()).item(), rel=1e-5)
    assert "extra" in learner.state_dict()
