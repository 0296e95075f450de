"""The table of kept inputs: what goes in, what is found, and what leaves first."""

import sqlite3
from dataclasses import replace

import pytest

from geoweir.core.kept import Kept, KeptTotals, Selection, kept_id
from geoweir.core.outcome import Outcome
from geoweir.store.kept import Bounds, KeptTable
from geoweir.store.schema import UnfitError, migrate
from support.keeping import BOUNDS, NOW, drop

pytestmark = pytest.mark.usefixtures("closed_databases")


def table(bounds: Bounds = BOUNDS) -> KeptTable:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, 0)
    return KeptTable(connection, bounds)


def everything(kept: KeptTable) -> list[Kept]:
    return kept.load(Selection(), 10_000, 10**9)


def test_what_is_kept_comes_back_byte_for_byte() -> None:
    kept = table()
    payload = bytes(range(256))
    given = drop("ünï\0\ud800", payload=payload, headers=(("a", "b"), ("a", "c")))
    assert kept.keep([given]) == 1
    (one,) = everything(kept)
    assert (one.topic, one.payload, one.headers) == (given.topic, payload, given.headers)
    assert (one.stream, one.outcome, one.reason, one.detail) == ("s", "rejected", "json", "why")
    assert (one.received, one.dropped, one.attempts, one.size) == (NOW - 1.0, NOW, 1, 256)
    assert one.id == kept_id("s", given.topic, payload)
    assert len(one.id) == 24


def test_a_description_has_no_payload() -> None:
    kept = table()
    kept.keep([drop()])
    (one,) = kept.find(Selection(), 10)
    assert (one.payload, one.size) == (None, 7)


def test_equal_inputs_are_one_that_counts_its_drops_and_was_dropped_last() -> None:
    kept = table()
    kept.keep([drop("a"), drop("b"), drop("a", dropped=NOW + 5, reason="shape", received=NOW)])
    first, second = everything(kept)
    assert [first.topic, second.topic] == ["in/b", "in/a"]
    assert (second.attempts, second.reason, second.dropped) == (2, "shape", NOW + 5)
    assert second.received == NOW - 1.0
    assert kept.totals.inputs == 2


@pytest.mark.parametrize(
    "other",
    [
        drop(stream="t"),
        drop(payload=b"payload2"),
        drop("2"),
        drop(stream="s\0in/1", topic="", payload=b"x"),
    ],
)
def test_different_inputs_have_different_names(other: object) -> None:
    kept = table()
    kept.keep([drop(), other])  # type: ignore[list-item]
    assert kept.totals.inputs == 2


def test_a_retry_whose_row_left_meanwhile_still_counts_on() -> None:
    kept = table()
    kept.keep([drop(earlier=3)])
    assert everything(kept)[0].attempts == 4


def test_what_is_forgotten_is_gone_and_unknown_names_are_no_fault() -> None:
    kept = table()
    kept.keep([drop("a"), drop("b")])
    name = everything(kept)[0].id
    kept.forget([name, name, "0" * 24])
    assert [one.topic for one in everything(kept)] == ["in/b"]
    kept.forget([name[:8]])  # only whole names
    kept.forget([everything(kept)[0].id[:8]])
    assert kept.totals.inputs == 1


def test_beyond_the_count_the_oldest_leave() -> None:
    kept = table(replace(BOUNDS, messages=3))
    for n in range(200):
        kept.keep([drop(n)])
    assert [one.topic for one in everything(kept)] == ["in/197", "in/198", "in/199"]
    assert kept.removed == {"messages": 197}


def test_beyond_the_size_the_oldest_leave_and_what_alone_is_larger_is_not_taken() -> None:
    kept = table(replace(BOUNDS, size=100_000))
    assert kept.keep([drop(n, payload=b"x" * 20_000) for n in range(10)]) == 10
    assert [one.topic for one in everything(kept)] == ["in/6", "in/7", "in/8", "in/9"]
    assert kept.removed == {"size": 6}
    assert kept.totals.bytes <= 100_000
    assert kept.keep([drop("huge", payload=b"x" * 100_000), drop("small")]) == 1
    assert [one.topic for one in everything(kept)][-1] == "in/small"


def test_what_is_too_old_leaves() -> None:
    kept = table()
    kept.keep([drop("old", dropped=NOW - 3601), drop("young", dropped=NOW - 3599), drop("now")])
    assert [one.topic for one in everything(kept)] == ["in/young", "in/now"]
    kept.sweep(NOW + 2)
    assert [one.topic for one in everything(kept)] == ["in/now"]
    assert kept.removed == {"age": 2}


def test_a_clock_that_was_not_set_makes_nothing_old() -> None:
    kept = table()
    kept.keep([drop("boot", dropped=1000.0)])
    kept.sweep(NOW)
    kept.sweep(5.0)
    assert kept.totals.inputs == 1


def test_a_selection_means_what_fits_all_of_it() -> None:
    kept = table()
    kept.keep(
        [
            drop("a", dropped=NOW + 1),
            drop("b", dropped=NOW + 2, reason="shape"),
            drop("c", dropped=NOW + 3, outcome=Outcome.RECONCILED, reason="timeout"),
            drop("d", dropped=NOW + 4, stream="t"),
        ]
    )
    sequences = {one.topic[-1]: one.sequence for one in everything(kept)}

    def found(**given: object) -> str:
        selection = Selection(**given)  # type: ignore[arg-type]
        return "".join(one.topic[-1] for one in kept.find(selection, 10))

    assert found() == "abcd"
    assert found(stream="t") == "d"
    assert found(outcome="rejected") == "abd"
    assert found(reason="timeout") == "c"
    assert found(since=NOW + 2, until=NOW + 4) == "bc"
    assert found(after=sequences["b"]) == "cd"
    assert found(up_to=sequences["b"]) == "ab"
    assert found(stream="s", outcome="rejected", reason="json") == "a"
    names = [one.id for one in everything(kept)]
    assert found(ids=(names[0],)) == "a"
    assert found(ids=(names[0][:10], names[3][:10])) == "ad"
    assert kept.find(Selection(), 2)[-1].topic == "in/b"


def test_payloads_are_read_up_to_a_size_but_always_one() -> None:
    kept = table()
    kept.keep([drop(n, payload=b"x" * 100) for n in range(5)])
    assert len(kept.load(Selection(), 10, 250)) == 2
    assert len(kept.load(Selection(), 10, 1)) == 1
    assert len(kept.load(Selection(), 3, 10**6)) == 3
    # No statement is left half-read: the table can be changed.
    kept.forget([kept.find(Selection(), 1)[0].id])


def test_sequences_are_never_given_twice() -> None:
    kept = table()
    assert kept.last_sequence() == 0
    kept.keep([drop("a"), drop("b")])
    kept.forget([one.id for one in everything(kept)])
    assert kept.last_sequence() == 2
    kept.keep([drop("c")])
    assert everything(kept)[0].sequence == 3


def test_totals_are_what_a_recount_finds() -> None:
    kept = table(replace(BOUNDS, messages=5))
    kept.keep([drop(n, payload=b"x" * n) for n in range(9)])
    before = kept.totals
    kept.recount()
    assert kept.totals == before
    assert before != KeptTotals()


def test_a_row_that_is_not_as_it_was_written_is_damage_and_nothing_else() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, 0)
    kept = KeptTable(connection, BOUNDS)
    kept.keep([drop()])
    connection.execute("UPDATE kept SET headers = x'c1'")
    with pytest.raises(UnfitError, match="not as it was written"):
        everything(kept)


def test_texts_that_are_no_unicode_are_kept_readable() -> None:
    kept = table()
    kept.keep([drop(headers=(("\ud800", "v"),), detail="\udfff" * 2)])
    (one,) = everything(kept)
    assert (one.headers, one.detail) == ((("?", "v"),), "??")
