"""Small objectives whose best value is known, and a search for it."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any, Literal

from controllers.base import Controller, ControllerConfig, make_controller
from controllers.objective import Objective
from controllers.state import make_generator
from controllers.trial import Outcome, Status
from search_spaces.domains import Categorical, Float, Integer
from search_spaces.space import Space
from search_spaces.spec import Hole, Spec

Value = Callable[[Mapping[str, Any]], float]


class Word(Spec):
    """Its paths are the pieces of a text, between `+`; their operations stand between `_`."""

    kind: Literal["word"] = "word"
    text: Hole[str] = "a"

    def path_features(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(sorted(values["text"].replace("_", ">").split("+")))


def words(seed: int, length: int = 8, letters: int = 5) -> tuple[Space, Value]:
    """How far a word agrees with one that is hidden, neighbouring letters counting together; at most 1."""
    space = Space({"word": tuple(Categorical(tuple("abcdefgh"[:letters])) for _ in range(length))})
    hidden = list(space.sample(make_generator(seed, "hidden")).values())

    def value(candidate: Mapping[str, Any]) -> float:
        same = [a == b for a, b in zip(candidate.values(), hidden, strict=True)]
        return 0.6 * fmean(same) + 0.4 * fmean(a and b for a, b in zip(same, same[1:], strict=False))

    return space, value


def recipe(seed: int) -> tuple[Space, Value]:
    """How near a mixed recipe is to one that is hidden: a rate, a depth, a rule with a setting."""
    rule = Categorical({"plain": {}, "heavy": {"momentum": Float(0.0, 1.0)}})
    space = Space(
        {"rate": Float(1e-4, 1.0, log=True), "depth": Integer(1, 12), "rule": rule, "flip": Categorical((0, 1))}
    )
    rng = make_generator(seed, "hidden")
    rate, depth, momentum = rng.random(), 1 + int(rng.random() * 12), rng.random()
    domains = {point.path: point.domain for point in space.points()}

    def value(candidate: Mapping[str, Any]) -> float:
        loss = 2 * (domains["rate"].features(candidate["rate"])[0] - rate) ** 2
        loss += ((candidate["depth"] - depth) / 12) ** 2 + 0.1 * candidate["flip"]
        loss += (candidate.get("rule/heavy/momentum", 2.0) - momentum) ** 2 / 4
        return 1 - loss

    return space, value


def best_found(config: ControllerConfig, space: Space, value: Value, trials: int, seed: int) -> float:
    """The best value after so many evaluations, duplicates not counted."""
    controller = make_controller(config, space, [Objective(metric="value")], seed=seed)
    return max(evaluated(controller, value, trials))


def evaluated(controller: Controller[Any], value: Value, trials: int, at_once: int = 1) -> list[float]:
    """The values of so many evaluations, in the order in which they were told: the last asked first."""
    found: list[float] = []
    while len(found) < trials and controller.finished is None:
        for trial in reversed(controller.ask(min(at_once, trials - len(found)))):
            copied = trial.same_as is not None
            outcome = {"value": value(trial.candidate)}
            controller.tell(trial.trial_id, Outcome(Status.COMPLETED, outcome, 1, source="cache" if copied else "run"))
            found += [] if copied else [outcome["value"]]
    return found
