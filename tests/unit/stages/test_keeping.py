from __future__ import annotations

from collections.abc import Sequence

import pytest

from geoweir.core.account import Account
from geoweir.core.kept import Drop, Kept, Selection
from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.parcel import Parcel
from geoweir.core.states import StateChange, StateRow
from geoweir.core.work import MessageKind, OutMessage
from geoweir.stages.keeping import Keeping
from support.parcels import working

PUBLISHED = outcome_of(Outcome.PUBLISHED)
JSON = outcome_of(Outcome.REJECTED, "json")
CRASH = outcome_of(Outcome.RECONCILED, "crash")


class Noting:
    """A store that notes what it is given."""

    def __init__(self) -> None:
        self.drops: list[Drop] = []

    async def keep(self, drops: Sequence[Drop]) -> int:
        self.drops += drops
        return len(drops)

    async def forget(self, ids: Sequence[str]) -> bool:
        raise AssertionError(ids)

    async def find(self, selection: Selection, *, most: int) -> list[Kept]:
        raise AssertionError(selection, most)

    async def load(self, selection: Selection, *, most: int, most_bytes: int) -> list[Kept]:
        raise AssertionError(selection, most, most_bytes)

    async def last_sequence(self) -> int:
        raise AssertionError

    async def save_states(self, changes: Sequence[StateChange]) -> bool:
        raise AssertionError(changes)

    async def load_states(self, stream: str, kind: str) -> list[StateRow]:
        raise AssertionError(stream, kind)


def parcel(count: int = 3) -> Parcel:
    account = Account(["s"])
    made = working(account, account.open_lane("s", "s", 1, resumed=False), count)
    made.headers = [(("n", str(n)),) for n in range(count)]
    return made


def keeping(store: Noting, *outcomes: Outcome) -> Keeping:
    return Keeping(
        store=store,
        outcomes=outcomes or tuple(Outcome),
        earlier=lambda _, index: index * 10,
        wall=lambda: 77.0,
    )


def rejection(index: int, body: bytes) -> OutMessage:
    return OutMessage(index, MessageKind.REJECTED, "t", body, "k")


async def test_dropped_inputs_are_kept_with_everything_that_a_retry_needs() -> None:
    store, inputs = Noting(), parcel()
    groups = {PUBLISHED: [0], JSON: [1], CRASH: [2]}
    messages = [
        OutMessage(0, MessageKind.RESULT, "t", b'{"detail": "no"}', "k"),
        rejection(1, b'{"detail": "not JSON", "more": [1]}'),
    ]
    await keeping(store).keep(inputs, groups, messages, {2: "killed"})
    json, crash = store.drops
    assert (json.topic, json.payload, json.headers) == ("in/1", b'{"n":1}', (("n", "1"),))
    assert (json.stream, json.received, json.dropped) == ("s", 1_790_000_000.0, 77.0)
    assert (json.outcome, json.reason, json.detail) == (Outcome.REJECTED, "json", "not JSON")
    assert (crash.outcome, crash.reason, crash.detail) == (Outcome.RECONCILED, "crash", "killed")
    assert [one.earlier for one in store.drops] == [10, 20]


async def test_a_shared_detail_is_for_those_that_have_none() -> None:
    store = Noting()
    groups = {outcome_of(Outcome.REJECTED, "refused"): [0, 1], JSON: [2]}
    told = [rejection(2, b'{"detail": "own"}')]
    await keeping(store).keep(parcel(), groups, told, {-1: "shared"})
    assert [one.detail for one in store.drops] == ["shared", "shared", "own"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"detail": 1}', b"\xff", b"[" * 70_000])
async def test_a_message_that_tells_nothing_leaves_the_detail_empty(body: bytes) -> None:
    store = Noting()
    await keeping(store).keep(parcel(1), {JSON: [0]}, [rejection(0, body)], {})
    assert [one.detail for one in store.drops] == [""]


@pytest.mark.parametrize(
    ("outcomes", "kept"),
    [
        ((Outcome.REJECTED,), ["json"]),
        ((Outcome.RECONCILED,), ["crash"]),
        ((Outcome.FILTERED,), []),
    ],
)
async def test_only_what_is_configured_is_kept(
    outcomes: tuple[Outcome, ...], kept: list[str]
) -> None:
    store = Noting()
    await keeping(store, *outcomes).keep(parcel(), {JSON: [1], CRASH: [2], PUBLISHED: [0]}, [], {})
    assert [one.reason for one in store.drops] == kept


async def test_what_was_voided_comes_again_and_is_not_kept() -> None:
    store, inputs = Noting(), parcel()
    inputs.release([1])
    await keeping(store).keep(inputs, {JSON: [0, 1, 2]}, [], {})
    assert [one.topic for one in store.drops] == ["in/0", "in/2"]
