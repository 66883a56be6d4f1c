import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.recipe import (
    Adam,
    BalanceClasses,
    ClassificationRecipe,
    EasyFirst,
    Optimizer,
    OversampleSmall,
    Recipe,
    Sgd,
    Staged,
    TwoPhase,
)
from tests.trainers.examples import classifier, final_weights, run, same, squares
from trainers.data.pictures import DetectionSet
from trainers.data.sampler import Sampler
from trainers.data.scenes import Scenes
from trainers.tricks.registry import implementation
from trainers.tricks.sampling import Rows, make_sampler, rows_of


def _rows(count: int = 100) -> Rows:
    """Nine tenths of class 0; rows get harder, and their objects larger."""
    rare = np.arange(count) % 10 == 0
    ramp = np.arange(count, dtype=np.float64)
    return Rows(np.stack([~rare, rare], 1), ramp, ramp / count)


def _drawn(sampler: Sampler, epochs: int) -> list[list[int]]:
    return [[row for _ in range(sampler.batches_per_epoch) for row in sampler.next().tolist()] for _ in range(epochs)]


@pytest.mark.parametrize(("power", "share"), [(0.0, 0.1), (0.5, 0.25), (1.0, 0.5)])
def test_balanced_classes_come_as_often_as_their_weights_say(power: float, share: float) -> None:
    recipe = ClassificationRecipe(balance=BalanceClasses(power=power), batch_size=10)
    sampler = make_sampler(recipe, _rows, 100, seed=0)
    epochs = _drawn(sampler, 60)
    assert all(len(epoch) == 100 for epoch in epochs)
    rare = np.mean([row % 10 == 0 for epoch in epochs for row in epoch])
    assert rare == pytest.approx(share, abs=0.02)


def test_l06_rows_with_small_objects_come_ratio_times_as_often() -> None:
    weights = implementation(OversampleSmall(ratio=3.0, small=0.2))(_rows())
    assert weights.tolist() == [3.0] * 20 + [1.0] * 80
    from search_spaces.recipe import DetectionRecipe

    recipe = DetectionRecipe(balance=OversampleSmall(ratio=3.0, small=0.2), batch_size=10)
    counts = Counter(row for epoch in _drawn(make_sampler(recipe, _rows, 100, seed=1), 100) for row in epoch)
    small, others = sum(counts[i] for i in range(20)) / 20, sum(counts[i] for i in range(20, 100)) / 80
    assert small / others == pytest.approx(3.0, rel=0.05)
    assert small == pytest.approx(100 * 3 * 100 / 140, rel=0.05)  # expected number in 100 epochs


def test_l08_the_pace_is_monotone_and_easy_rows_come_first() -> None:
    pace = implementation(EasyFirst(start=0.2, epochs=4.0))
    assert [pace(epoch) for epoch in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    recipe = ClassificationRecipe(curriculum=EasyFirst(start=0.2, epochs=4.0), batch_size=10)
    epochs = _drawn(make_sampler(recipe, _rows, 100, seed=0), 5)
    assert [max(epoch) for epoch in epochs] == [19, 39, 59, 79, 99]
    assert Counter(epochs[0]) == {row: 5 for row in range(20)}
    assert all(len(epoch) == 100 for epoch in epochs)
    assert sorted(epochs[4]) == list(range(100))


def test_l08_frozen_weights_are_unchanged_in_the_first_stage_and_learn_after() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    stages = implementation(Staged(epochs=2.0, frozen=0.5))(network, torch.optim.SGD(network.parameters(), 0.1))
    stages.update(1.99)
    assert [weight.requires_grad for weight in network.parameters()] == [False, False, True, True]
    stages.update(2.0)
    assert all(weight.requires_grad for weight in network.parameters())


def test_l08_a_stage_is_a_stage_of_the_training_loop(tmp_path: Path) -> None:
    folder = tmp_path / "t000001"
    spec = classifier(curriculum=Staged(epochs=2.0, frozen=0.5))
    reports = run(spec, fidelity=3, folder=str(folder))
    names = [name for name, _ in spec.architecture.build((1, 8, 8), 4).named_parameters()]
    frozen = names[: len(names) // 2]
    weights = [final_weights(folder, reports[: i + 1]) for i in range(3)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in frozen)
    assert not any(torch.equal(weights[1][name], weights[2][name]) for name in frozen if name.endswith("weight"))
    learning = [name for name in names[len(names) // 2 :] if name.endswith("weight")]
    assert not any(torch.equal(weights[0][name], weights[1][name]) for name in learning)


ORDERS: list[tuple[Optimizer, Optimizer]] = [(Sgd(), Adam()), (Adam(), Sgd()), (Sgd(), Sgd(momentum=0.5))]


@pytest.mark.parametrize("first_second", ORDERS, ids=lambda pair: "-".join(spec.kind for spec in pair))
@pytest.mark.parametrize("switch", [0.3, 0.7])
def test_stages_go_with_two_phases_in_either_order(
    first_second: tuple[Optimizer, Optimizer], switch: float, tmp_path: Path
) -> None:
    first, second = first_second
    optimizer = TwoPhase(first=first, second=second, switch=switch)
    # The switch comes while weights are frozen, and after they were freed.
    spec = classifier(curriculum=Staged(epochs=1.0, frozen=0.5), optimizer=optimizer, warmup=None)
    folder = tmp_path / "t000001"
    whole = run(spec, fidelity=2, folder=str(folder))
    names = [name for name, _ in spec.architecture.build((1, 8, 8), 4).named_parameters()]
    stage, end = (final_weights(folder, whole[:count]) for count in (1, 2))
    assert not any(torch.equal(stage[name], end[name]) for name in names if name.endswith("conv.weight"))
    rest = run(spec, fidelity=2, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert same(final_weights(folder, rest), end)


def test_one_weight_at_least_learns() -> None:
    network = nn.Linear(2, 2)
    stages = implementation(Staged(frozen=0.99))(network, torch.optim.SGD(network.parameters(), 0.1))
    stages.update(0.0)
    assert len(stages._frozen) == 1


def test_a_position_is_restored_exactly_under_every_sampling() -> None:
    from search_spaces.recipe import DetectionRecipe

    recipes: list[Recipe] = [
        ClassificationRecipe(balance=BalanceClasses(), batch_size=8),
        ClassificationRecipe(curriculum=EasyFirst(), batch_size=8),
        DetectionRecipe(balance=OversampleSmall(), curriculum=EasyFirst(), batch_size=8),
    ]
    for recipe in recipes:
        whole = make_sampler(recipe, _rows, 100, seed=4)
        for _ in range(17):
            whole.next()
        resumed = make_sampler(recipe, _rows, 100, seed=4)
        resumed.load_state_dict(whole.state_dict())
        assert same([whole.next() for _ in range(30)], [resumed.next() for _ in range(30)])
        assert whole.step == resumed.step == 47


def test_without_tricks_nothing_is_looked_at() -> None:
    def looked() -> Rows:
        raise AssertionError

    plain = make_sampler(ClassificationRecipe(batch_size=8), looked, 100, seed=4)
    assert same(plain.next(), Sampler(np.arange(100), 8, 4).next())


def test_rows_of_labelled_images() -> None:
    data = squares()
    data.images[3] = 7
    found = rows_of(data, np.array([3, 5, 6]))
    assert found.classes.tolist() == [[label == data.labels[row] for label in range(4)] for row in (3, 5, 6)]
    assert found.difficulty[0] == 0 < found.difficulty[1:].min()
    step = np.abs(np.diff(data.images[5].astype(int), axis=1)).mean()
    across = np.abs(np.diff(data.images[5].astype(int), axis=2)).mean()
    assert found.difficulty[1] == pytest.approx(step + across)


def test_rows_of_masks_and_of_boxes() -> None:
    masks = Scenes(scenes=64).load_masks()
    found = rows_of(masks, np.arange(10))
    assert [set(np.flatnonzero(row)) for row in found.classes] == [set(np.unique(mask)) for mask in masks.masks[:10]]
    assert np.isinf(found.smallest).all() and (found.difficulty > 0).all()
    boxes = Scenes(scenes=64).load_boxes()
    assert isinstance(boxes, DetectionSet)
    found = rows_of(boxes, np.arange(10))
    box, there = boxes.boxes[3], boxes.labels[3] >= 0
    sides = np.sqrt((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))[there] / 64
    assert found.smallest[3] == pytest.approx(sides.min())
    assert found.difficulty[3] == pytest.approx((1 / sides).sum(), rel=1e-5)
    assert set(np.flatnonzero(found.classes[3])) == set(boxes.labels[3][there])


def test_rows_without_any_class_weigh_as_those_of_the_commonest() -> None:
    classes = np.array([[True, False], [True, False], [False, True], [False, False]])
    weights = implementation(BalanceClasses())(Rows(classes, np.zeros(4), np.zeros(4)))
    assert weights.tolist() == [2, 2, 4, 2]


def test_masks_are_looked_at_without_a_copy_of_all() -> None:
    few = Scenes(scenes=64, size=16).load_masks()
    many = replace(few, masks=np.tile(few.masks, (256, 1, 1)))
    tracemalloc.start()
    found = rows_of(many, np.arange(len(many.masks)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.classes) == len(many.masks) == 16_384
    assert peak < 0.5 * many.masks.nbytes
