"""A round of ENAS: a network of shared weights, the path that was found, a random one; refusals; a cut."""

import numpy as np
import pytest

from controllers.base import make_controller
from controllers.objective import Objective
from controllers.rl.enas import EnasConfig
from controllers.state import decode, difference, encode
from controllers.trial import Outcome, Status
from search_spaces.architectures.chain import chain
from search_spaces.architectures.enas_macro import enas_macro
from search_spaces.build import Architecture
from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.template import template
from search_spaces.views import to_flat

NET = enas_macro(4, channels=4)
SPACE = Space({"net": NET})
OBJECTIVES = [Objective(metric="value")]


def _made(space=SPACE, **config):
    return make_controller(EnasConfig(**config), space, OBJECTIVES, (), fidelity=5)


def _found(seed=0):
    return Space(NET).sample(np.random.default_rng(seed))


def _told(controller, trial, **more):
    controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"value": 0.5}, trial.fidelity, **more))


def test_a_round_is_a_shared_network_its_path_and_a_random_candidate():
    controller = _made(supernet_reports=9)
    (first,) = controller.ask(3)
    assert (first.mode, first.fidelity) == ("supernet", 9) and controller.ask(2) == []
    path = _found()
    _told(controller, first, payload={"candidate": to_flat(Space(NET), path)})
    found, random = controller.ask(2)
    assert dict(found.candidate) == {f"net/{name}": value for name, value in path.items()}
    assert found.fidelity == 5 and random.candidate != found.candidate and SPACE.contains(random.candidate)


def test_a_cut_search_goes_on():
    controller, other = _made(), _made()
    (first,) = controller.ask(1)
    _told(controller, first, payload={"candidate": to_flat(Space(NET), _found())})
    other.load_state_dict(decode(*encode(controller.state_dict())))
    assert [trial.to_data() for trial in controller.ask(2)] == [trial.to_data() for trial in other.ask(2)]
    assert difference(controller.state_dict(), other.state_dict()) is None


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"net": NET, "lr": Categorical((0.1, 1.0))}, "decides one architecture and nothing else; got 'lr'"),
        ({"net": chain(3)}, "weights are shared within one architecture; got 'none'"),
        ({"a": NET, "b": NET}, "weights are shared within one architecture; got 'a, b'"),
    ],
    ids=["more", "none", "two"],
)
def test_other_spaces_are_refused(space, message):
    with pytest.raises(SpecError, match=message):
        _made(Space(space))


@pytest.mark.parametrize(
    ("net", "path", "rule"),
    [
        (
            {"preset": "enas_macro", "layers": 3, "channels": {"categorical": [4, 6]}},
            "space/net/channels",
            "weights are",
        ),
        ({"preset": "enas_micro", "filters": {"categorical": [4, 8]}}, "space/net/filters", "weights are"),
        ({"preset": "enas_micro", "blocks": 2}, "space/net/normal", "cells that share weights have 1 block"),
        ({"preset": "enas_micro", "aux": True}, "space/net/aux", "cells that share weights have no auxiliary"),
        ({"preset": "enas_micro", "aux": {"categorical": [True, False]}}, "space/net/aux", "cells that share weights"),
    ],
)
def test_what_a_network_of_shared_weights_cannot_hold_is_refused(net, path, rule):
    space = Space({"net": template(net, Architecture)})
    with pytest.raises(SpecError) as caught:
        _made(space)
    assert caught.value.path == path and str(caught.value).startswith(f"{path}: {rule}")
