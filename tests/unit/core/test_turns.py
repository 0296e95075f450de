from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from geoweir.core.turns import QUANTUM, Turns


def filled(**flows: int) -> Turns[tuple[str, int]]:
    turns: Turns[tuple[str, int]] = Turns({"a": 4, "b": 2})
    for flow, count in flows.items():
        turns.add(flow, [(flow, number) for number in range(count)])
    return turns


def test_flows_share_by_their_weights() -> None:
    turns = filled(a=10_000, b=10_000, c=10_000)
    taken = Counter(flow for flow, _ in turns.take(7 * QUANTUM * 10))
    assert taken == {"a": 40 * QUANTUM, "b": 20 * QUANTUM, "c": 10 * QUANTUM}


def test_shares_do_not_depend_on_how_much_is_taken_at_once() -> None:
    turns = filled(a=10_000, b=10_000, c=10_000)
    taken: Counter[str] = Counter()
    for _ in range(7 * QUANTUM * 10):
        taken.update(flow for flow, _ in turns.take(1))
    assert taken == {"a": 40 * QUANTUM, "b": 20 * QUANTUM, "c": 10 * QUANTUM}


def test_what_another_flow_has_piled_up_holds_nobody_up_for_long() -> None:
    turns = filled(a=10_000)
    turns.take(5)
    turns.add("c", [("c", 0)])
    assert ("c", 0) in turns.take(4 * QUANTUM + 1)


def test_what_comes_back_goes_first_and_in_order() -> None:
    turns = filled(a=5, b=5)
    before = turns.take(7)
    turns.add_first(before[4:])
    assert turns.take(3) == before[4:]
    assert len(turns) == 3


def test_an_empty_queue_gives_nothing() -> None:
    turns = filled(a=2)
    turns.add("b", [])
    assert len(turns) == 2
    assert turns.take(5) == [("a", 0), ("a", 1)]
    assert (turns.take(5), len(turns)) == ([], 0)


STEPS = st.one_of(
    st.tuples(st.sampled_from("abc"), st.integers(0, 200)),
    st.tuples(st.none(), st.integers(0, 200)),
)


@given(st.lists(STEPS, max_size=30))
def test_nothing_is_lost_and_each_flow_keeps_its_order(steps: list[tuple[str | None, int]]) -> None:
    turns: Turns[tuple[str, int]] = Turns({"a": 4, "b": 2})
    added: Counter[str] = Counter()
    taken: list[tuple[str, int]] = []
    for flow, count in steps:
        if flow is None:
            taken += turns.take(count)
            continue
        turns.add(flow, [(flow, added[flow] + number) for number in range(count)])
        added[flow] += count
        assert len(turns) == sum(added.values()) - len(taken)
    taken += turns.take(sum(added.values()))
    for flow, count in added.items():
        assert [number for name, number in taken if name == flow] == list(range(count))
