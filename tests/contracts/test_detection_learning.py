"""Random detectors build, train and cost what they say; every head learns a handful of scenes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.architectures.detector import detector
from search_spaces.blocks.cascade import Cascade, HybridCascade, Light, TwoStage
from search_spaces.blocks.detection import DetectionHead, Guided, LightRpn, OneStage, PoolingPyramid, Rpn, Ssd, Yolo
from search_spaces.blocks.regions import DeformableRoi, PsRoiAlign, RoiAlign
from search_spaces.cost import cost
from search_spaces.recipe import DetectionRecipe, HardNegatives
from search_spaces.space import Space
from tests.search_spaces.networks.checks import counted_macs
from tests.trainers.detectors import model
from trainers.data.scenes import Scenes
from trainers.determinism import Generators
from trainers.learners.detection import DetectionLearner, figures
from trainers.learners.detection_losses import DetectionLosses
from trainers.tasks.detection import DetectionModel
from trainers.tricks.batch import Batch

SIZES = [(64, 64), (96, 72)]
OBJECTS = {
    "boxes": torch.tensor([[[4.0, 4, 20, 20], [30, 10, 60, 40]], [[10, 20, 40, 60], [0, 0, 0, 0]]]),
    "classes": torch.tensor([[1, 0], [2, -1]]),
}


def _draws(count: int, seed: int) -> None:
    space = Space(detector(widths=(8, 8, 16, 16), width=16, hidden=16, proposals=16))
    rng = np.random.default_rng(seed)
    for _ in range(count):
        spec = space.realize(space.sample(rng))
        found = cost(spec, (3, 64, 64), 3)
        with torch.device("meta"):
            assert found.macs == counted_macs(spec.build((3, 64, 64), 3), 3, 64, 64)
        network: Any = spec.build((3, 64, 64), 3)
        assert found.params == sum(p.numel() for p in network.parameters())
        losses = DetectionLosses(DetectionModel(architecture=spec, recipe=DetectionRecipe()), network)
        for size in SIZES:
            images = torch.randn(2, 3, *size)
            network.zero_grad(set_to_none=True)
            loss, _ = losses(network(images), Batch(images, **OBJECTS))
            loss.backward()
            assert bool(loss.isfinite())
            without = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
            assert without == [], (spec.to_json(), without)


def test_some_random_detectors_train_and_cost_what_they_say() -> None:
    with Generators(0):
        _draws(4, seed=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(3))
def test_random_detectors_train_and_cost_what_they_say(part: int) -> None:
    with Generators(part):
        _draws(40, seed=100 + part)


REGIONS: dict[str, Any] = {"candidates": 48, "proposals": 16, "hidden": 32, "pooling": RoiAlign(size=3, sampling=1)}
CASCADED = REGIONS | {"stages": 2}


@dataclass(frozen=True)
class Case:
    head: DetectionHead
    recipe: dict[str, Any]
    least: float = 0.5  # ap50 of scenes that were learned

    def __str__(self) -> str:
        return str(self.head.to_data()["kind"])


CASES = [
    Case(OneStage(depth=1), {}),
    Case(Ssd(), {}),
    Case(Ssd(), {"loss": None, "sampling": HardNegatives()}),
    Case(Ssd(scores="sigmoid"), {}),
    Case(Yolo(hidden=32), {}),
    Case(Guided(scale=4.0), {}),
    Case(PoolingPyramid(pooled=1, hidden=32), {}),
    Case(Rpn(), {}, 0.12),
    Case(LightRpn(width=32), {}, 0.12),
    Case(TwoStage(**REGIONS), {}),
    Case(TwoStage(**REGIONS | {"rpn": Guided(depth=0, scale=4.0)}), {}, 0.3),
    Case(TwoStage(**REGIONS | {"pooling": DeformableRoi(size=3)}), {}),
    Case(Light(**REGIONS | {"rpn": LightRpn(width=32), "pooling": PsRoiAlign(size=3, width=8)}), {}),
    Case(Cascade(**CASCADED), {}),
    Case(HybridCascade(**CASCADED, semantic_depth=1), {}),
    Case(HybridCascade(**CASCADED, semantic_depth=1, masks=True, mask_depth=1, mask_width=16, mask_size=4), {}),
]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_head_learns_a_handful_of_scenes(case: Case) -> None:
    """100 steps on 17 scenes: the loss falls to a third, and what was hardly found before is found."""
    data = Scenes(scenes=24, size=32, objects=2, val=0.2).load_boxes()
    with Generators(0):
        learner = DetectionLearner(model(case.head, **case.recipe), data, 0, "cpu")
        batch = learner._train.batch(torch.arange(len(learner._train)))
        optimizer = torch.optim.AdamW(learner.network.parameters(), lr=5e-3)
        before = figures(learner._finder, learner._losses, learner._train)
        losses = []
        for step in range(100):
            optimizer.param_groups[0]["lr"] = 5e-3 * min(1, (step + 1) / 10)
            learner.network.train()
            optimizer.zero_grad()
            loss, _ = learner.loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learner.network.parameters(), 10.0)
            optimizer.step()
            losses.append(loss.item())
        after = figures(learner._finder, learner._losses, learner._train)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) / 3
    assert after["loss"] < before["loss"] / 3
    assert before["ap50"] < 0.15 and after["ap50"] > case.least
