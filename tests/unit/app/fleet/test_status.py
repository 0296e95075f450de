"""Several processes as one service, out of what they said last."""

import time
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from geoweir.app.fleet import accounts
from geoweir.app.fleet.keeper import Keeper
from geoweir.app.fleet.life import Life
from geoweir.app.fleet.status import FleetStatus
from geoweir.app.fleet.wire import Assignment, Report
from geoweir.core.spec import StreamSpec
from geoweir.settings.values import MqttSettings, Settings
from geoweir.web.status import Condition, ConnectionView, Overview, State

FULL = Settings(
    mqtt=MqttSettings(), streams=(StreamSpec(name="s", subscribe=("in/#",)),), shutdown_grace_s=1.0
)
PAGE = (
    b"# HELP geoweir_in_flight A.\n# TYPE geoweir_in_flight gauge\n"
    b'geoweir_in_flight{stream="s"} 1.0\n'
)


@dataclass
class Lived:
    """What the supervisor knows of a process that is there."""

    report: Report | None
    reported: float = field(default_factory=time.monotonic)
    is_ready: bool = True
    pid: int = 1


def report(*, received: int = 3, unaccounted: int = 0, up: bool = True, alive: str = "") -> Report:
    account = accounts.empty("s")
    account["unaccounted"] = unaccounted
    account["streams"]["s"].update(
        received=received + 1 + unaccounted, published=received, in_flight=1
    )
    link: ConnectionView = {
        "direction": "in",
        "stream": "s",
        "address": "b:1",
        "up": up,
        "since": 5.0,
        "detail": "" if up else "cut",
    }
    overview = Overview(
        version="1",
        started=1.0,
        state="online",
        notice="",
        connections=[link],
        workers={"idle": 2, "busy": 1},
        queue={"messages": 4, "limit": 500},
        recent=[
            {"at": float(received), "stream": "s", "outcome": "rejected", "reason": "json", "n": 1,
             "detail": ""}
        ],
        loop_lag_p99_s=received / 1000,
    )  # fmt: skip
    state = State(
        version="1",
        started=1.0,
        up_s=9.0,
        state="online",
        account=account,
        spill={"messages": received, "bytes": 100 * received, "limit": 1_000_000},
        streams={
            "s": {
                "oldest_s": received / 10,
                "last_received": float(received),
                "is_paused": received > 4,
                "latency": [(0.1, received), (None, received + 1)],
            }
        },
        queue={"messages": 4, "limit": 500},
        connections=[link],
        workers=[
            {
                "worker": 0,
                "state": "idle",
                "pid": received,
                "busy_s": 1.0,
                "private_bytes": 1,
                "restarts": 0,
            }
        ],
        worker_memory_limit=150,
        loop_lag_p99_s=received / 1000,
        watchers=0,
        store={
            "path": f"/state-{received}",
            "works": not alive,
            "detail": alive,
            "messages": received,
            "bytes": 10,
            "retrying": 1,
            "retried": {"published": 2},
        },
    )
    alive_ = Condition("progress", not alive, 1.0, alive)
    ready = [Condition("connected-in-s", up, 1.0, "" if up else "cut")]
    return Report(account, overview, state, alive_, ready, PAGE)


def fleet(*lives: Lived | None, state: str = "online") -> FleetStatus:
    keepers = []
    for index, life in enumerate(lives):
        assignment = Assignment(index, FULL, "http://x", False)
        keeper = Keeper(assignment, debug=False, on_news=lambda: None)
        keeper.life = cast("Life | None", life)
        keepers.append(keeper)
    status = FleetStatus(keepers, streams=["s"], version="1")
    status.state = state
    return status


def conditions(status: FleetStatus) -> dict[str, tuple[bool, str]]:
    return {one.name: (one.ok, one.detail) for one in status.ready()}


def test_the_account_is_the_sum_and_names_each_process() -> None:
    account = fleet(Lived(report(received=3)), Lived(report(received=5)), None).account()
    stream = account["streams"]["s"]
    assert (stream["received"], stream["published"], stream["in_flight"]) == (10, 8, 2)
    assert [one["state"] for one in account["processes"]] == ["online", "online", "starting"]
    assert [one.get("received") for one in account["processes"]] == [4, 6, None]


def test_the_state_is_the_sum_with_every_worker_and_the_worst_of_each_stream() -> None:
    state = fleet(Lived(report(received=3)), Lived(report(received=5)), None).now()
    assert state["streams"]["s"] == {
        "oldest_s": 0.5,
        "last_received": 5.0,
        "is_paused": True,
        "latency": [(0.1, 8), (None, 10)],
    }
    assert [(worker["worker"], worker["pid"]) for worker in state["workers"]] == [(0, 3), (1, 5)]
    assert state["queue"] == {"messages": 8, "limit": 1000}
    assert state["account"]["streams"]["s"]["published"] == 8
    assert state["store"] == {
        "path": "/state-3, /state-5",
        "works": True,
        "detail": "",
        "messages": 8,
        "bytes": 20,
        "retrying": 2,
        "retried": {"published": 4},
    }


def test_the_state_before_any_process_is_up_is_empty() -> None:
    state = fleet(None, None).now()
    assert (state["workers"], state["streams"]["s"]["latency"]) == ([], [])


def test_the_overview_is_the_sum_with_the_newest_drops_and_the_worst_lag() -> None:
    view = fleet(Lived(report(received=3)), Lived(report(received=5))).overview()
    assert view["workers"] == {"idle": 4, "busy": 2}
    assert view["queue"] == {"messages": 8, "limit": 1000}
    assert [one["at"] for one in view["recent"]] == [5.0, 3.0]
    assert view["loop_lag_p99_s"] == 0.005
    assert view["notice"] == "2 processes, their sum: 0 online, 1 online."


def test_a_connection_is_up_when_it_is_up_in_every_process() -> None:
    (link,) = fleet(Lived(report()), Lived(report())).overview()["connections"]
    assert (link["up"], link["detail"]) == (True, "")
    (link,) = fleet(Lived(report()), Lived(report(up=False))).overview()["connections"]
    assert (link["up"], link["detail"]) == (False, "process 1: cut")


def test_all_are_ready_when_each_is() -> None:
    status = fleet(Lived(report()), Lived(report()))
    assert all(ok for ok, _ in conditions(status).values())


@pytest.mark.parametrize(
    ("life", "why"),
    [
        (None, "starting"),
        (Lived(None, is_ready=False), "starting"),
        (Lived(report(), is_ready=False), "starting"),
        (Lived(report(up=False)), "connected-in-s: cut"),
    ],
)
def test_one_that_is_not_ready_is_named_with_its_reason(life: Lived | None, why: str) -> None:
    found = conditions(fleet(Lived(report()), life))
    assert found["process-0"] == (True, "ready")
    assert found["process-1"] == (False, why)


def test_faults_of_opposite_sign_do_not_hide_each_other() -> None:
    status = fleet(Lived(report(unaccounted=2)), Lived(report(unaccounted=-2)))
    assert status.account()["unaccounted"] == 0
    assert conditions(status)["balanced"] == (False, "2 unaccounted")


def test_it_is_live_while_a_process_is_away_for_a_short_time_only() -> None:
    status = fleet(Lived(report()), None)
    assert status.alive().ok
    status._keepers[1].since -= 61
    assert (status.alive().ok, status.alive().detail) == (
        False,
        "process 1 has not come up for 61 s",
    )


def test_it_is_not_live_when_a_process_is_silent_or_makes_no_progress() -> None:
    silent = Lived(report(), reported=time.monotonic() - 11)
    assert fleet(Lived(report()), silent).alive().detail == "process 1 has not answered for 11 s"
    stuck = fleet(Lived(report(alive="7 inputs wait")), Lived(report()))
    assert (stuck.alive().ok, stuck.alive().detail) == (False, "process 0: 7 inputs wait")


def test_the_metrics_are_the_sum_and_say_who_is_up() -> None:
    text = fleet(Lived(report()), Lived(report()), None).metrics().decode()
    assert 'geoweir_in_flight{stream="s"} 2.0' in text
    assert 'geoweir_process_up{process="1"} 1.0' in text
    assert 'geoweir_process_up{process="2"} 0.0' in text
    assert 'geoweir_process_deaths_total{process="0"} 0.0' in text
    assert 'process_resident_memory_bytes{process="supervisor"}' in text


def test_since_is_when_a_condition_became_as_it_is() -> None:
    status: Any = fleet(Lived(report()))
    first = status.ready()[0].since
    assert status.ready()[0].since == first
    status._keepers[0].life.is_ready = False
    changed = status.ready()[0]
    assert not changed.ok
    assert changed.since > first
