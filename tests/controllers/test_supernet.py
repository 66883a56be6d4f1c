"""One round: a supernet, what it found, a random candidate at the same budget; refusals; a cut anywhere."""

import numpy as np
import pytest

from controllers.base import make_controller
from controllers.gradient.controller import DartsConfig
from controllers.objective import Objective
from controllers.state import decode, difference, encode
from controllers.trial import Outcome, Status
from search_spaces.architectures.darts import PRIMITIVES, darts
from search_spaces.domains import Float
from search_spaces.errors import SpecError
from search_spaces.relax import decoded
from search_spaces.space import Space

SPACE = Space({"net": darts(layers=2, channels=2, nodes=2)})
OBJECTIVES = [Objective(metric="value")]


def _made(**options):
    config = DartsConfig(**options.pop("config", {}))
    return make_controller(config, SPACE, OBJECTIVES, (), **{"fidelity": 5, **options})


def _payload(seed=0):
    rng = np.random.default_rng(seed)
    return {"logits": {name: rng.normal(size=(5, 8)).tolist() for name in ("normal", "reduction")}}


def _done(value, **more):
    return Outcome(Status.COMPLETED, {"value": value}, 5, **more)


def test_a_round_is_a_supernet_what_it_found_and_a_random_candidate():
    controller = _made()
    (first,) = controller.ask(3)
    assert (first.mode, first.fidelity, dict(first.candidate), first.same_as) == ("supernet", 5, {}, None)
    assert first.spec(SPACE) is SPACE.template
    assert controller.ask(2) == []
    controller.tell(first.trial_id, _done(0.99, payload=_payload()))
    found, random = controller.ask(2)
    logits = {name: np.array(rows) for name, rows in _payload()["logits"].items()}
    assert dict(found.candidate) == decoded(SPACE.template, logits)
    assert found.spec(SPACE) == SPACE.realize(found.candidate)
    assert {trial.mode for trial in (found, random)} == {"train"} and {found.fidelity, random.fidelity} == {5}
    assert SPACE.contains(random.candidate) and random.candidate != found.candidate
    controller.tell(random.trial_id, _done(0.4))
    controller.tell(found.trial_id, _done(0.5))
    # The supernet's own figure is the greatest, and is not that of a network that can be had.
    assert controller.best == found.trial_id
    (again,) = controller.ask(4)
    assert (again.mode, again.same_as) == ("supernet", None) and again.seed != first.seed


def test_settings_of_a_round():
    controller = _made(config={"supernet_reports": 9, "baselines": 0})
    (first,) = controller.ask(1)
    assert first.fidelity == 9
    controller.tell(first.trial_id, _done(0.9, payload=_payload()))
    found, next_one = controller.ask(2)
    assert (found.mode, next_one.mode) == ("train", "supernet")


@pytest.mark.parametrize("outcome", [Outcome(Status.FAILED), Outcome(Status.CANCELLED), _done(0.5)], ids=str)
def test_a_supernet_without_logits_is_begun_anew(outcome):
    controller = _made()
    (first,) = controller.ask(1)
    controller.tell(first.trial_id, outcome)
    (again,) = controller.ask(1)
    assert again.mode == "supernet"


def test_what_was_found_before_is_answered_from_that_trial():
    controller = _made()
    for number in range(2):
        (supernet,) = controller.ask(1)
        controller.tell(supernet.trial_id, _done(0.9, payload=_payload()))
        found, random = controller.ask(2)
        if number:
            assert found.same_as == "t000001"
            controller.tell(found.trial_id, _done(0.5, source="cache"))
        else:
            controller.tell(found.trial_id, _done(0.5))
        controller.tell(random.trial_id, _done(0.4))


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_cut_search_goes_on_bit_for_bit(cut):
    def play(controller, start, end, trace):
        for step in range(start, end):
            trials = controller.ask(1)
            trace.append([trial.to_data() for trial in trials])
            if step % 3 == 0:  # one is left waiting now and then
                continue
            for trial in controller.pending[:1]:
                controller.tell(trial.trial_id, _done(step / 20, payload=_payload(step)))

    whole, first, rest = [], [], []
    one, other = _made(seed=3), _made(seed=3)
    play(one, 0, 14, whole)
    play(other, 0, cut, first)
    again = _made(seed=3)
    again.load_state_dict(decode(*encode(other.state_dict())))
    play(again, cut, 14, rest)
    assert first + rest == whole
    assert difference(again.state_dict(), one.state_dict()) is None


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ({"net": darts(nodes=1), "lr": Float(0.1, 1.0)}, "lr"),
        ({"net": darts(nodes=1), "wide": SPACE.template["net"].normal.nodes[0]}, "space"),
        ({"lr": 0.1}, ""),
    ],
)
def test_spaces_with_other_decisions_are_refused(template, path):
    with pytest.raises(SpecError) as caught:
        make_controller(DartsConfig(), Space(template), OBJECTIVES)
    assert caught.value.path == path


def test_primitives_that_were_found_are_options():
    assert set(PRIMITIVES[1:]) == set(SPACE.points()[1].domain.option_values)
