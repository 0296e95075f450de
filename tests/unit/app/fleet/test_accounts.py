from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from geoweir.app.fleet import accounts

COUNTS = st.integers(0, 10**12)
OUTCOMES = ("published", "filtered", "rejected", "reconciled")


@st.composite
def balanced(draw: st.DrawFn) -> dict[str, Any]:
    """An account as one process gives it."""
    account = accounts.empty(draw(st.sets(st.sampled_from("abc"), min_size=1)))
    for counts in account["streams"].values():
        for name in (*OUTCOMES, "in_flight", "redelivered", "returned"):
            counts[name] = draw(COUNTS)
        counts["received"] = sum(counts[name] for name in (*OUTCOMES, "in_flight"))
        counts["reasons"] = {"rejected": {"json": counts["rejected"]}}
    return account


def is_balanced(account: dict[str, Any]) -> bool:
    return account["unaccounted"] == 0 and all(
        counts["received"] == sum(counts[name] for name in (*OUTCOMES, "in_flight"))
        for counts in account["streams"].values()
    )


@given(st.lists(balanced()), st.lists(balanced()))
def test_a_sum_of_the_living_and_the_dead_is_balanced_and_misses_nothing(
    living: list[dict[str, Any]], dead: list[dict[str, Any]]
) -> None:
    total = accounts.total([accounts.empty("abc"), *living, *map(accounts.remains, dead)])
    assert is_balanced(total)
    everything = Counter[str]()
    for account in (*living, *dead):
        for counts in account["streams"].values():
            everything["read"] += counts["received"] + counts["returned"]
            everything["outcomes"] += sum(counts[name] for name in OUTCOMES)
    summed = total["streams"].values()
    assert sum(s["received"] + s["returned"] for s in summed) == everything["read"]
    assert sum(s[name] for s in summed for name in OUTCOMES) == everything["outcomes"]


@given(balanced())
def test_what_a_dead_process_held_is_returned_and_no_longer_in_flight(
    account: dict[str, Any],
) -> None:
    left = accounts.remains(account)
    for name, before in account["streams"].items():
        after = left["streams"][name]
        assert after["in_flight"] == 0
        assert after["returned"] == before["returned"] + before["in_flight"]
        assert after["received"] == before["received"] - before["in_flight"]


def test_an_input_that_a_process_lost_stays_visible_after_its_end() -> None:
    account = accounts.empty("a")
    account["streams"]["a"].update(received=5, published=3, in_flight=1)
    account["unaccounted"] = 1
    total = accounts.total([accounts.empty("a"), accounts.remains(account)])
    assert total["unaccounted"] == 1
    assert total["streams"]["a"]["received"] == 4


def test_a_stream_whose_process_has_said_nothing_yet_is_there_with_zeros() -> None:
    total = accounts.total([accounts.empty(["a", "b"]), accounts.empty("a")])
    assert list(total["streams"]) == ["a", "b"]
    assert set(total["streams"]["b"]) >= {"received", *OUTCOMES, "in_flight", "redelivered"}


def test_reasons_and_members_of_later_versions_are_summed_too() -> None:
    one, other = accounts.empty("a"), accounts.empty("a")
    one["streams"]["a"]["reasons"] = {"rejected": {"json": 1}}
    other["streams"]["a"]["reasons"] = {"rejected": {"json": 2, "id": 1}, "filtered": {"z": 4}}
    other["spilled"] = 7
    total = accounts.total([one, other])
    reasons = {"rejected": {"json": 3, "id": 1}, "filtered": {"z": 4}}
    assert total["streams"]["a"]["reasons"] == reasons
    assert total["spilled"] == 7
    assert one["streams"]["a"]["reasons"] == {"rejected": {"json": 1}}
