"""The walk, and all that follows from it."""

from collections import Counter

import numpy as np
import pytest

from search_spaces.candidate import Candidate
from search_spaces.domains import Categorical, Float, Integer, Subset
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import Spec, first_hole, hole, plain
from tests.search_spaces.samples import Train, train


def test_walk_is_depth_first_in_declaration_order():
    walk = Space(train(2)).walk()
    seen, answers = [], ["diesel", 0.5, 2, 20, (), 40, (0,)]
    point = next(walk)
    for answer in answers:
        seen.append((point.path, point.role))
        try:
            point = walk.send(answer)
        except StopIteration as stop:
            candidate = stop.value
    assert seen == [
        ("engine", "engine"),
        ("engine/diesel/rate", "engine/diesel/rate"),
        ("wagons", "wagons"),
        ("wagons/0/seats", "wagons/*/seats"),
        ("wagons/0/behind", "wagons/*/behind"),
        ("wagons/1/seats", "wagons/*/seats"),
        ("wagons/1/behind", "wagons/*/behind"),
    ]
    assert list(candidate.values()) == answers


def test_walk_refuses_a_value_outside_the_domain():
    walk = Space(train()).walk()
    next(walk)
    with pytest.raises(SpecError, match="engine: not a value of this decision; got 'steam'; allowed categorical"):
        walk.send("steam")


def test_realize_fills_every_hole_with_valid_values():
    space, rng = Space(train(3)), np.random.default_rng(0)
    for _ in range(200):
        candidate = space.sample(rng)
        made = space.realize(candidate)
        assert first_hole(made) is None and Train.from_data(made.to_data()) == made
        assert len(made.wagons) == candidate["wagons"]
        assert made.engine.kind == candidate["engine"]
        assert all(w.behind == candidate[f"wagons/{i}/behind"] for i, w in enumerate(made.wagons))


def test_realize_checks_the_joint_rule():
    template = train(4, low=4).model_copy(update={"bell": hole(Categorical((None, True)))})
    space = Space(template)
    candidate = space.candidate({**space.sample(np.random.default_rng(0)), "bell": True})
    with pytest.raises(SpecError, match="a long train has no bell"):
        space.realize(candidate)


def test_sampling_is_uniform_over_each_decision():
    space, rng = Space(train(2)), np.random.default_rng(0)
    seen = Counter(space.sample(rng)["wagons"] for _ in range(2000))
    assert abs(seen[1] - 1000) < 5 * np.sqrt(500)


def test_enumeration_and_cardinality_agree():
    space = Space(train(3, rate=False))
    listed = list(space.enumerate())
    assert space.cardinality() == len(listed) == len(set(listed)) == 3 * (2 + 2 * 4 + 2 * 4 * 8)
    assert all(space.contains(candidate) for candidate in listed)
    assert Space(train(3)).cardinality() is None
    assert list(Space({"a": 1}).enumerate()) == [Candidate({})] and Space({"a": 1}).cardinality() == 1


def test_counting_does_not_enumerate():
    space = Space(train(20, low=20, rate=False))
    assert space.cardinality() == 3 * 2**20 * 2 ** (20 * 19 // 2)


def test_neighbours_differ_in_one_decision_and_those_it_makes_active():
    space, rng = Space(train(3)), np.random.default_rng(0)
    candidate = space.sample(rng)
    near = space.neighbours(candidate, rng)
    assert near and all(space.contains(other) and other != candidate for other in near)
    for other in near:
        changed = [path for path in candidate if path in other and other[path] != candidate[path]]
        assert len(changed) == 1


def test_a_random_neighbour_moves_every_decision_as_often_and_needs_a_choice():
    space = Space({"a": Categorical((1, 2)), "b": Categorical(tuple(range(9))), "c": Categorical((0,))})
    rng = np.random.default_rng(0)
    middle = Candidate({"a": 1, "b": 4, "c": 0})
    near = [space.neighbour(middle, rng) for _ in range(2000)]
    moved = [sum(other[path] != middle[path] for other in near) for path in "abc"]
    assert moved[2] == 0 and sum(moved) == 2000 and abs(moved[0] - 1000) < 100
    assert {other["b"] for other in near} == set(range(9))
    assert Space({"c": Categorical((0,))}).neighbour(Candidate({"c": 0}), rng) is None


def test_neighbours_do_not_depend_on_the_order_of_the_paths():
    space = Space({"b": Float(0, 1), "a": Categorical({"x": {"n": Float(0, 1)}, "y": {"m": Float(0, 1)}})})
    candidate = Candidate({"b": 0.5, "a": "x", "a/x/n": 0.1})
    again = Candidate.from_json(candidate.to_json())
    assert list(again) != list(candidate)
    found = [space.neighbours(c, np.random.default_rng(1)) for c in (candidate, again)]
    drawn = [
        [space.neighbour(c, rng) for _ in range(9)] for c in (candidate, again) for rng in [np.random.default_rng(1)]
    ]
    assert found[0] == found[1] and drawn[0] == drawn[1]


def test_candidate_is_checked_path_by_path():
    space = Space({"a": Categorical((1, 2)), "b": Float(0.0, 1.0)})
    assert space.candidate({"a": 1, "b": 0.5}) == Candidate({"a": 1, "b": 0.5})
    with pytest.raises(SpecError, match="b: this decision has no value; allowed 0 to 1"):
        space.candidate({"a": 1})
    with pytest.raises(SpecError, match="a: not a value of this decision; got 3"):
        space.candidate({"a": 3, "b": 0.5})
    with pytest.raises(SpecError, match="unknown or inactive path"):
        space.candidate({"a": 1, "b": 0.5, "c": 1})


def test_paths_do_not_depend_on_the_order_of_options():
    one = Space({"a": Categorical({"x": {"n": Integer(1, 2)}, "y": 0})})
    two = Space({"a": Categorical({"y": 0, "x": {"n": Integer(1, 2)}})})
    assert {p.path for p in one.points()} == {p.path for p in two.points()} == {"a", "a/x/n"}


def test_fingerprint_changes_with_the_template_and_only_then():
    assert Space(train()).fingerprint == Space(train()).fingerprint
    assert len({Space(t).fingerprint for t in (train(), train(4), train(low=2), train(rate=False))}) == 4
    assert Space(Train.from_json(train().to_json())).fingerprint == Space(train()).fingerprint


def test_fingerprint_knows_the_order_that_saved_weights_depend_on():
    options = {"x": {"n": Integer(1, 2)}, "y": 0}
    turned = {"y": 0, "x": {"n": Integer(1, 2)}}
    assert Space({"a": Categorical(options)}).fingerprint != Space({"a": Categorical(turned)}).fingerprint
    assert Space({"a": Integer(0, 1), "b": 2}).fingerprint != Space({"b": 2, "a": Integer(0, 1)}).fingerprint


def test_fingerprint_knows_the_class_that_no_field_declares():
    assert Space({"train": train()}).fingerprint != Space({"train": plain(train())}).fingerprint
    assert Space(train()).fingerprint != Space(train().to_data()).fingerprint


def test_points_lists_what_can_ever_be_active():
    paths = [point.path for point in Space(train(2)).points()]
    assert paths[:4] == ["engine", "engine/diesel/rate", "engine/electric/volts", "wagons"] and len(paths) == 8


class Pair(Spec):
    """Two numbers whose order means nothing."""

    left: object = hole(Integer(0, 2))
    right: object = hole(Integer(0, 2))

    def canonical(self, values):
        """Sorts the two."""
        left, right = sorted((values["left"], values["right"]))
        return {"left": left, "right": right}

    def path_features(self, values):
        """Names the larger of the two."""
        return (f"max {max(values.values())}",)


def test_canonical_is_the_identity_unless_a_spec_says_more():
    space = Space({"pair": Pair(), "n": Integer(0, 1)})
    assert len({space.canonical(c) for c in space.enumerate()}) == 6 * 2
    fixed = space.candidate({"pair/left": 0, "pair/right": 2, "n": 1})
    assert space.canonical(fixed) is fixed
    assert space.canonical(space.candidate({"pair/left": 2, "pair/right": 0, "n": 1})) == fixed


def test_canonical_and_path_features_reach_the_chosen_option():
    space = Space({"either": Categorical({"pair": Pair(), "one": {"left": Integer(0, 1)}}), "pair": Pair()})
    turned = {"either": "pair", "either/pair/left": 2, "either/pair/right": 0, "pair/left": 1, "pair/right": 0}
    first = space.canonical(space.candidate(turned))
    assert list(first.values()) == ["pair", 0, 2, 0, 1]
    assert space.path_features(first) == ("either/pair/max 2", "pair/max 1")
    other = space.candidate({"either": "one", "either/one/left": 1, "pair/left": 0, "pair/right": 1})
    assert space.canonical(other) is other
    assert space.path_features(other) == ("pair/max 1",)
    assert Space(train()).path_features(Space(train()).sample(np.random.default_rng(0))) == ()


def test_options_that_are_specs_or_tuples_are_realized_whole():
    space = Space({"s": Subset({"a": (1, 2), "b": {"n": Integer(3, 3)}}, 2)})
    (only,) = space.enumerate()
    assert space.realize(only) == {"s": ((1, 2), {"n": 3})}
