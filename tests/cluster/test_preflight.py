import socket
import time
from pathlib import Path

import numpy as np
import pytest

from cluster.config import load
from cluster.journal import Journal
from cluster.preflight import check_candidates, check_controller, check_space_unchanged, check_store, listen_free
from cluster.storage import Storage
from search_spaces.domains import Float, Integer
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import Hole, Spec, hole
from tests.cluster.files import write_search


@pytest.mark.parametrize("uri", ["localhost:5000", "127.0.0.1:5000", "foo://x", "sqlite:x.db", "htp://127.0.0.1:9"])
def test_a_store_that_mlflow_does_not_have_is_refused(uri: str) -> None:
    with pytest.raises(
        SpecError, match="^tracking/uri: MLflow has no store of this kind; got .* allowed http://HOST:PORT"
    ):
        check_store(uri)


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile", "file:///tmp/store"])
def test_other_stores_of_mlflow_are_left_to_it(uri: str) -> None:
    check_store(uri)


def test_a_server_that_answers_is_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_store(f"http://127.0.0.1:{server.getsockname()[1]}")


def test_a_server_that_does_not_answer_is_refused_by_name_within_two_seconds() -> None:
    port = listen_free("127.0.0.1", 20000)
    began = time.monotonic()
    with pytest.raises(SpecError) as caught:
        check_store(f"http://127.0.0.1:{port}")
    assert time.monotonic() - began < 2
    assert str(caught.value).startswith(f"tracking/uri: the tracking server 127.0.0.1:{port} cannot be reached")
    assert "--tracking none" in str(caught.value)


def test_a_file_store_needs_a_folder_that_is_there(tmp_path: Path) -> None:
    check_store(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(SpecError, match="tracking/uri: the folder of the tracking store must be writable"):
        check_store(f"sqlite:///{tmp_path}/none/mlflow.db")


def test_a_controller_that_cannot_handle_a_domain_is_refused_by_path(tmp_path: Path) -> None:
    sets = ["controller.kind=reinforce", "space.recipe.optimizer.lr={float: [0.01, 1]}"]
    config = load(write_search(tmp_path), sets)
    with pytest.raises(SpecError, match="^space/recipe/optimizer/lr: .*bins"):
        check_controller(config, config.make_space())
    binned = load(write_search(tmp_path), [*sets, "controller.bins=4"])
    assert check_controller(binned, binned.make_space()).fidelity == 1


def test_a_changed_space_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    old, new = Space({"x": Integer(0, 3)}), Space({"x": Integer(0, 4)})
    storage = Storage.open(tmp_path)
    check_space_unchanged(storage, new)
    Journal.open(storage, {"space": old.fingerprint}).close()
    check_space_unchanged(storage, old)
    with pytest.raises(SpecError) as caught:
        check_space_unchanged(storage, new)
    assert old.fingerprint in str(caught.value) and new.fingerprint in str(caught.value)


def test_a_free_port_is_one_that_nobody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert listen_free("127.0.0.1", taken) > taken
        with pytest.raises(SpecError, match="no free port"):
            listen_free("127.0.0.1", taken, tries=1)


class Ordered(Spec):
    low: Hole[int] = 0
    high: Hole[int] = 0

    def check(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is at most high; got {self.low} and {self.high}")


def test_a_space_without_a_candidate_that_keeps_a_joint_rule_is_refused_by_path() -> None:
    ordered = Ordered(low=hole(Integer(5, 9)), high=hole(Integer(0, 4)))
    with pytest.raises(SpecError) as caught:
        check_candidates(Space({"items": (ordered,), "x": Float(0.0, 1.0)}))
    text = "space/items/0: no candidate of 20 keeps this rule: low is at most high; got "
    assert str(caught.value).startswith(text) and "\n" not in str(caught.value)


def test_a_space_is_accepted_when_some_candidates_keep_the_rule() -> None:
    seldom = Ordered(low=hole(Integer(0, 9)), high=hole(Integer(0, 1)))
    space = Space(seldom)
    rng = np.random.default_rng(1)
    kept = sum(candidate["low"] <= candidate["high"] for candidate in (space.sample(rng) for _ in range(200)))
    assert 10 < kept < 60
    check_candidates(space)


def test_a_preset_whose_open_layers_hide_a_broken_rule_is_refused_in_a_file(tmp_path: Path) -> None:
    config = load(write_search(tmp_path), ["space.architecture.pool_after=[3, 1]"])
    with pytest.raises(SpecError, match="^space/architecture/pool_after: .*; got .3, 1.$"):
        config.make_space()
