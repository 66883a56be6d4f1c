import math
from pathlib import Path

import numpy as np
import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import AdamW, Sgd
from search_spaces.space import Space
from tests.trainers.examples import NETWORK
from tests.trainers.examples_dense import language_model, read, text
from trainers.data.splits import Part
from trainers.data.text import Text, TextSet
from trainers.tasks.base import Task
from trainers.tasks.language import Language, LanguageModel
from trainers.trial import TrialContext, TrialFailed

SECTION = {
    "architecture": {"preset": "recurrent", "high": 64},
    "recipe": {"bptt": {"categorical": [16, 32]}, "optimizer": {"kind": "adamw", "lr": {"float": [0.001, 0.01]}}},
}


def test_a_search_file_names_it() -> None:
    task = Task.from_data({"kind": "language", "data": {"kind": "text", "level": "word"}})
    assert task == Language(data=Text(level="word"))
    space = Space(task.template(SECTION))
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert isinstance(spec, LanguageModel) and spec.recipe.bptt in (16, 32)


def test_reports_hold_the_metrics_that_the_task_names() -> None:
    task = Language()
    report = read(language_model(), fidelity=1)[0]
    static = task.static_metrics(language_model(), task.shape(text()))
    assert set(report.metrics) | set(static) == set(task.metrics())
    assert report.metrics["val/perplexity"] == pytest.approx(math.exp(report.metrics["val/loss"]))


def test_networks_that_read_images_are_refused() -> None:
    with pytest.raises(SpecError, match="architecture: a language model reads numbers of tokens; got 'chain'"):
        LanguageModel.from_data({"architecture": NETWORK.to_data()})


def test_smoothing_of_a_vocabulary_of_one_is_refused() -> None:
    tokens = np.zeros(30, dtype=np.int32)
    data = TextSet(tokens, (0, 20, 25, 30), (20, 5, 5), ("a",), "character")
    section = {**SECTION, "recipe": {"label_smoothing": {"kind": "label_smoothing"}}}
    task = Language()
    with pytest.raises(SpecError, match="recipe/label_smoothing: label smoothing needs two classes.*got '1 class'"):
        task.refuse(task.template(section), task.shape(data))
    task.refuse(task.template(SECTION), task.shape(data))


def test_a_text_without_a_validation_part_is_refused() -> None:
    with pytest.raises(SpecError, match="the val part is empty"):
        Language(data=Text(limit=50, val=0.0)).open()


def test_a_loss_that_grows_without_bound_fails_the_trial() -> None:
    with pytest.raises(TrialFailed, match="the loss is (nan|inf)"):
        read(language_model(optimizer=Sgd(lr=1e30), clip=None), fidelity=2)


def test_text_is_learned_better_than_the_frequencies_of_its_characters(tmp_path: Path) -> None:
    task = Language(data=Text(limit=30_000))
    data = task.open()
    spec = LanguageModel(recipe=language_model(batch_size=8, bptt=32, optimizer=AdamW(lr=1e-2)).recipe)
    trial = TrialContext("t000001", seed=0, fidelity=4, folder=str(tmp_path / "t000001"))
    reports = list(task.run(spec, trial, data))
    train, val = data.part(Part.TRAIN), data.part(Part.VAL)
    share = (np.bincount(train, minlength=len(data.vocabulary)) + 1) / (len(train) + len(data.vocabulary))
    constant = -np.log(share[val]).mean()
    assert constant < math.log(len(data.vocabulary))
    assert reports[-1].metrics["val/loss"] < 0.8 * constant
    tested = task.final_test(spec, str(tmp_path / str(reports[-1].checkpoint)), data)
    assert tested["test/loss"] < 0.85 * constant
    assert set(tested) == {"test/loss", "test/accuracy", "test/perplexity", "test/bits_per_character"}


def test_no_trial_reads_the_test_part() -> None:
    data = text()
    changed = data.tokens.copy()
    changed[data.bounds[Part.TEST] :] = 0
    other = TextSet(changed, data.bounds, data.characters, data.vocabulary, data.level)
    found = list(Language().run(language_model(), TrialContext("t000001", 5, 2), other))
    plain = read(language_model())
    assert [r.metrics["val/loss"] for r in found] == [r.metrics["val/loss"] for r in plain]
    assert [r.metrics["train/loss"] for r in found] == [r.metrics["train/loss"] for r in plain]
