"""What a policy is asked: one query a free choice, rows shared by role, anchors with their sources."""

import pytest

from controllers.rl.queries import Script
from controllers.state import make_generator
from search_spaces.domains import Categorical, Composition, First, Float, Subset
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.views import to_tokens


def _item() -> dict[str, object]:
    return {"width": Categorical((1, 2, 3)), "inputs": Subset(of="items")}


GROWING = Space({"items": First((_item(), _item(), _item(), _item()), low=2)})


def _walk(script: Script, answers: list[tuple[int, ...]], depths: tuple[int, int] | None = None) -> tuple[object, ...]:
    walk = script.walk(depths)
    query = next(walk)
    try:
        for answer in answers:
            query = walk.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError(query)


def test_rows_are_shared_by_role_and_anchors_follow() -> None:
    script = Script(GROWING)
    # 3 counts and 3 widths; then the anchor with 3 sources; then the start.
    assert (script.options, script.rows, script.start) == (6, 6 + 1 + 3 + 1, 10)
    one = Script(Space({"a": Categorical((1, 2)), "b": Categorical((1, 2)), "c": Composition(4, 2)}))
    assert one.options == 2 + 2 + 3 + 3


def test_a_walk_returns_candidate_and_tokens() -> None:
    script = Script(GROWING)
    candidate, tokens = _walk(script, [(1,), (2,), (), (0,), (1,), (1,), (0, 1)])
    assert dict(candidate) == {  # type: ignore[call-overload]
        "items": 3,
        "items/0/width": 3,
        "items/0/inputs": (),
        "items/1/width": 1,
        "items/1/inputs": (0,),
        "items/2/width": 2,
        "items/2/inputs": (1,),
    }
    assert tokens == to_tokens(GROWING, candidate) == (1, 2, 0, 1, 1, 0, 1)  # type: ignore[arg-type]


def test_the_sources_of_an_anchor_are_the_items_before_it() -> None:
    asked = Script(GROWING).replay((1, 2, 0, 1, 1, 0, 1))
    anchors = [query for query, _ in asked if query.plan.sources is not None]
    assert [query.plan.sources for query in anchors] == [(), (("items", 0),), (("items", 0), ("items", 1))]
    assert [query.plan.marks for query in anchors] == [(("items", i),) for i in range(3)]
    assert [choices for query, choices in asked if query.many] == [(), (1,), (0, 1)]


def test_an_answer_feeds_its_row_and_an_anchor_the_mean_of_those_chosen() -> None:
    asked = Script(GROWING).replay((1, 2, 0, 1, 1, 1, 1))
    assert [query.feed(choices) for query, choices in asked] == [
        [(1, 1.0)],
        [(5, 1.0)],
        [(6, 1.0)],
        [(3, 1.0)],
        [(6, 1.0), (7, 1.0)],
        [(4, 1.0)],
        [(6, 1.0), (7, 0.5), (8, 0.5)],
    ]


def test_what_leaves_no_choice_is_no_query() -> None:
    script = Script(Space({"one": Categorical((7,)), "parts": Composition(4, 2), "two": Categorical((1, 2))}))
    candidate, tokens = _walk(script, [(2,), (1,)])
    assert dict(candidate) == {"one": 7, "parts": (3, 1), "two": 2}  # type: ignore[call-overload]
    assert tokens == (0, 2, 0, 1)


@pytest.mark.parametrize(
    ("depths", "mask"),
    [
        (None, (True, True, True)),
        ((0, 3), (True, True, False)),
        ((3, 4), (False, True, True)),
        ((0, 99), (True, True, True)),
    ],
)
def test_depths_mask_the_number_of_items(depths: tuple[int, int] | None, mask: tuple[bool, ...]) -> None:
    assert next(Script(GROWING).walk(depths)).mask == mask


@pytest.mark.parametrize(("depths", "forced"), [((0, 1), 2), ((3, 3), 3), ((9, 9), 4)])
def test_depths_hold_as_far_as_the_domain_allows(depths: tuple[int, int], forced: int) -> None:
    query = next(Script(GROWING).walk(depths))
    assert (len(query.mask), query.position) == (3, 1)  # the count is decided; the first width comes next
    answers = [choices for i in range(forced) for choices in ((0,), (0,) * i)]
    candidate, _ = _walk(Script(GROWING), answers, depths)
    assert candidate["items"] == forced  # type: ignore[index]


def test_tokens_that_break_a_mask_are_refused() -> None:
    script = Script(GROWING)
    with pytest.raises(SpecError, match="masks"):
        script.replay((2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), depths=(2, 2))


def test_random_candidates_replay_to_themselves() -> None:
    space = Space(
        {
            "mix": Categorical({"off": {}, "on": {"alpha": Float(0.1, 1.0, log=True), "some": Subset(("a", "b"), 1)}}),
            "items": First((_item(), _item(), _item()), low=0),
            "pick": (Categorical((1, 2)), {"from": Categorical(("x", "y", "z"))}),
        }
    )
    script, rng = Script(space, bins=5), make_generator(0, "test")
    for _ in range(50):
        tokens = to_tokens(space, space.sample(rng), 5)
        asked = script.replay(tokens)
        free = {i for query, _ in asked for i in range(query.position, query.position + query.tokens)}
        assert free <= set(range(len(tokens)))
