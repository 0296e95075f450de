"""What is under way stays bounded, and the account has the last word."""

from __future__ import annotations

from geoweir.sizing.flow import Flow


def test_results_make_room_and_the_account_counts_those_without_a_result() -> None:
    flow = Flow(300)
    flow.caused = room = flow.room()
    assert flow.room() == 0
    flow.saw(10)
    assert flow.room() == 10
    flow.confirm(room)  # the others were filtered
    assert (flow.under_way, flow.room()) == (0, room)


def test_nothing_is_answered_twice() -> None:
    flow = Flow(300)
    flow.caused = 20
    flow.confirm(10)
    flow.saw(30)
    assert flow.answered == 20
    flow.confirm(5)  # older than what is known
    assert flow.answered == 20


def test_the_bound_follows_the_rate() -> None:
    flow = Flow(300)
    flow.adapt(0.0)
    flow.caused = 2000
    flow.confirm(2000)
    flow.adapt(1.0)
    assert flow.room() == 1000
    flow.adapt(2.0)  # nothing came
    assert flow.room() == 64


def test_large_payloads_are_fewer() -> None:
    flow = Flow(1_000_000)
    flow.adapt(0.0)
    flow.caused = 1000
    flow.confirm(1000)
    flow.adapt(1.0)
    assert flow.room() == 16
    assert Flow(1e12).room() == 1


def test_what_qos_0_lost_is_written_off() -> None:
    flow = Flow(300)
    flow.caused = 64
    flow.confirm(60)
    assert flow.write_off() == 4
    assert (flow.under_way, flow.room()) == (0, 64)
