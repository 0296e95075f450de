from __future__ import annotations

import itertools

import pytest

from geoweir.core.account import (
    TRANSITIONS,
    Account,
    Event,
    IllegalTransitionError,
    Ledger,
    State,
)
from geoweir.core.lane import DURABLE, REPEATED
from geoweir.core.outcome import Outcome

ENDED = {State.PUBLISHED, State.FILTERED, State.REJECTED, State.RECONCILED, State.SPILLED}


def opened(flags: bytes = bytes([DURABLE]) * 4) -> tuple[Account, Ledger]:
    account = Account(["buses"])
    ledger = account.open_lane("buses", "buses", 1, resumed=False)
    account.receive(ledger, 0, flags, 1.0)
    return account, ledger


def publish(account: Account, ledger: Ledger, positions: list[int]) -> int:
    for event in (Event.QUEUE, Event.START, Event.DELIVER):
        account.advance(ledger, positions, event)
    return account.settle(ledger, positions, Outcome.PUBLISHED, "")


def test_an_outcome_is_final_for_every_event() -> None:
    for state, event in itertools.product(ENDED, Event):
        assert (state, event) not in TRANSITIONS


def test_every_state_in_flight_can_return_and_stays_returned() -> None:
    in_flight = set(State) - ENDED - {State.RETURNED}
    assert {TRANSITIONS[state, Event.RETURN] for state in in_flight} == {State.RETURNED}
    assert {TRANSITIONS[State.RETURNED, event] for event in Event} == {State.RETURNED}


def test_each_outcome_is_reached_from_received() -> None:
    reached, frontier = {State.RECEIVED}, {State.RECEIVED}
    while frontier:
        frontier = {
            to for (state, _), to in TRANSITIONS.items() if state in frontier and to not in reached
        }
        reached |= frontier
    assert reached == set(State)


def test_a_forgotten_input_shows_as_unaccounted() -> None:
    account, _ = opened()
    assert account.unaccounted({"buses": 4}) == 0
    assert account.unaccounted({"buses": 3}) == 1


def test_settling_twice_raises_and_counts_once() -> None:
    account, ledger = opened()
    publish(account, ledger, [0])
    with pytest.raises(IllegalTransitionError):
        account.settle(ledger, [0], Outcome.PUBLISHED, "")
    assert account.totals["buses"].of(Outcome.PUBLISHED) == 1


def test_an_illegal_move_moves_nothing() -> None:
    account, ledger = opened()
    account.advance(ledger, [0], Event.QUEUE)
    with pytest.raises(IllegalTransitionError):
        account.advance(ledger, [0, 1], Event.START)
    account.advance(ledger, [0], Event.START)


def test_an_unknown_reason_moves_nothing() -> None:
    account, ledger = opened()
    with pytest.raises(KeyError):
        account.settle(ledger, [0], Outcome.FILTERED, "because")
    assert account.settle(ledger, [0], Outcome.FILTERED, "bbox") == 1


def test_a_published_input_was_delivered_first() -> None:
    account, ledger = opened()
    account.advance(ledger, [0], Event.QUEUE)
    account.advance(ledger, [0], Event.START)
    with pytest.raises(IllegalTransitionError):
        account.settle(ledger, [0], Outcome.PUBLISHED, "")


def test_only_a_finished_prefix_is_confirmed() -> None:
    account, ledger = opened()
    publish(account, ledger, [1, 2])
    assert account.confirm(ledger) is None
    publish(account, ledger, [0])
    assert account.confirm(ledger) == 2
    assert account.confirm(ledger) is None
    publish(account, ledger, [3])
    assert account.confirm(ledger) == 3


def test_positions_follow_each_other_without_a_hole() -> None:
    account, ledger = opened()
    with pytest.raises(IllegalTransitionError):
        account.receive(ledger, 5, bytes([DURABLE]), 2.0)


def test_a_confirmed_position_is_gone() -> None:
    account, ledger = opened()
    publish(account, ledger, [0])
    account.confirm(ledger)
    with pytest.raises(IllegalTransitionError):
        account.advance(ledger, [0], Event.QUEUE)


def test_a_resumed_lane_voids_durable_inputs_and_keeps_the_others() -> None:
    account, ledger = opened(bytes([DURABLE, 0, DURABLE, 0]))
    publish(account, ledger, [0])
    account.close_lane(ledger)
    account.open_lane("buses", "buses", 2, resumed=True)
    totals = account.totals["buses"]
    assert (totals.received, totals.returned) == (3, 1)
    assert account.unaccounted({"buses": 2}) == 0
    # What a stage still reports of the voided one is history; the other two get their outcome.
    assert publish(account, ledger, [1, 2, 3]) == 2
    assert account.unaccounted({}) == 0


def test_a_lane_that_lost_its_session_keeps_what_is_in_hand() -> None:
    account, ledger = opened()
    account.close_lane(ledger)
    account.open_lane("buses", "buses", 2, resumed=False)
    assert publish(account, ledger, [0, 1, 2, 3]) == 4
    assert account.totals["buses"].returned == 0


def test_nothing_of_a_closed_epoch_is_confirmed() -> None:
    account, ledger = opened()
    account.close_lane(ledger)
    publish(account, ledger, [0, 1, 2, 3])
    assert account.confirm(ledger) is None


def test_redelivered_inputs_are_counted() -> None:
    account, _ = opened(bytes([DURABLE | REPEATED, DURABLE]))
    assert account.totals["buses"].redelivered == 1


def test_the_oldest_input_is_that_of_the_first_open_position() -> None:
    account, ledger = opened()
    account.receive(ledger, 4, bytes([DURABLE]), 7.0)
    assert account.oldest("buses") == 1.0
    publish(account, ledger, [0, 1, 2, 3])
    account.confirm(ledger)
    assert account.oldest("buses") == 7.0
    publish(account, ledger, [4])
    account.confirm(ledger)
    assert account.oldest("buses") is None


def test_inputs_given_back_are_never_confirmed() -> None:
    account, ledger = opened()
    account.give_back(ledger, [1])
    publish(account, ledger, [0, 2, 3])
    assert account.confirm(ledger) == 0
    assert account.confirm(ledger) is None


def test_a_stage_may_still_report_of_an_epoch_that_was_voided() -> None:
    account, ledger = opened()
    account.close_lane(ledger)
    account.open_lane("buses", "buses", 2, resumed=True)
    assert publish(account, ledger, [0, 1, 2, 3]) == 0
    assert account.unaccounted({}) == 0


def test_inputs_given_back_leave_received() -> None:
    account, ledger = opened()
    account.give_back(ledger, [2, 3])
    assert account.totals["buses"].received == 2
    assert account.snapshot({"buses": 2})["unaccounted"] == 0


def test_what_a_stage_reports_of_a_voided_input_is_history_whatever_was_confirmed() -> None:
    account, ledger = opened()
    for event in (Event.QUEUE, Event.START, Event.DELIVER):
        account.advance(ledger, [0, 1, 2, 3], event)
    account.close_lane(ledger)
    account.open_lane("buses", "buses", 2, resumed=True)
    assert account.settle(ledger, [0, 1], Outcome.PUBLISHED, "") == 0
    account.confirm(ledger)
    assert account.settle(ledger, [2, 3], Outcome.PUBLISHED, "") == 0
    assert account.totals["buses"].returned == 4


def test_an_input_that_was_given_back_is_never_confirmed() -> None:
    account, ledger = opened()
    account.advance(ledger, [0, 1, 2, 3], Event.QUEUE)
    account.advance(ledger, [0, 1, 3], Event.START)
    account.advance(ledger, [0, 1, 3], Event.DELIVER)
    account.give_back(ledger, [2])
    account.settle(ledger, [0, 1, 3], Outcome.PUBLISHED, "")
    assert account.confirm(ledger) == 1


def test_what_is_confirmed_leaves_nothing_behind() -> None:
    account = Account(["buses"])
    ledger = account.open_lane("buses", "buses", 1, resumed=False)
    for number in range(1000):
        account.receive(ledger, number, bytes([DURABLE]), float(number))
        account.advance(ledger, [number], Event.QUEUE)
        account.advance(ledger, [number], Event.START)
        account.advance(ledger, [number], Event.DELIVER)
        account.settle(ledger, [number], Outcome.PUBLISHED, "")
        account.confirm(ledger)
    # Nobody need ask for the oldest: a service whose metrics nobody reads must not grow.
    assert len(ledger._marks) <= 1
    assert not ledger._states
    assert not ledger._flags
