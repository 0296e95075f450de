"""The hostile hour: one input in a hundred is meant to hurt, and the other ninety-nine go on.

``make hostile MINUTES=60 RATE=5000`` is the long form. Latencies are printed, never asserted.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from faults.scene import TABLES
from outside import Job
from phases import Costs, Source, faults_of, run_job
from support.brokers import Broker
from support.eventually import eventually
from support.hostility import KINDS
from support.outside import Heard, Listener, Sender
from support.service import Geoweir, private_bytes
from workload import Workload, prepare

MINUTES = float(os.environ.get("GEOWEIR_HOSTILE_MINUTES") or 0.2)
RATE = float(os.environ.get("GEOWEIR_HOSTILE_RATE") or 1000)
SHARE = 0.01
#: By turns, each for an equal part of the time: without, with, with, without.
TURNS = (False, True, True, False) * (1 if MINUTES < 1 else 4)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.mosquitto,
    pytest.mark.slow,
    pytest.mark.timeout(300 + 120 * MINUTES),
]


def configuration(broker: Broker, layer: Path) -> dict[str, Any]:
    join = {"layer": "areas", "predicate": "within", "attach": ["name"]}
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "layers": {"areas": {"path": str(layer)}},
        "streams": {
            "s": {
                "subscribe": ["bench/in/+", "hostile/+"],
                "fields": {"time": "properties.time"},
                "steps": [{"validate": {"repair": "structure"}}, {"join": join}],
                "publish": {"topic": "out/{topic[0]}/{id}"},
            }
        },
        "pool": {"workers": 2},
    }


@dataclass
class Attackers:
    """Sends the kinds by turns, and notes how each input ended.

    Attributes:
        sent: the kind of each number.
        ended: outcomes of each number, one when all is well.
    """

    sender: Sender
    sent: list[int] = field(default_factory=list)
    ended: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def at_work(self, rate: float) -> Iterator[None]:
        """Sends so many a second."""
        done = threading.Event()
        thread = threading.Thread(target=self._run, args=(rate, done), name="attackers")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _run(self, rate: float, done: threading.Event) -> None:
        due, turn = time.monotonic(), 0
        while True:
            for number, kind in enumerate(KINDS):
                if turn % kind.every:
                    continue
                due += 1 / rate
                if done.wait(max(0.0, due - time.monotonic())):
                    return
                n = len(self.sent)
                self.sent.append(number)
                self.sender.post([(f"hostile/{n}", kind.make(n))])
            turn += 1

    def hear(self, message: Heard) -> None:
        """Takes note of an outcome, and keeps nothing else."""
        body = message.body
        if message.topic.startswith("out/"):
            status = body["geoweir"]["status"]
            self.ended[body["properties"]["n"]].append(f"published/{status}")
        elif message.topic.startswith("geoweir/rejected/"):
            self.ended[_number(body["topic"])].append(f"rejected/{body['reason']}")
        else:
            for given in body["inputs"]:
                self.ended[_number(given["topic"])].append(f"reconciled/{body['reason']}")

    def table(self) -> list[str]:
        """One line for each kind: how many, and how they ended."""
        found: dict[int, Counter[str]] = defaultdict(Counter)
        for n, number in enumerate(self.sent):
            found[number].update(self.ended.get(n) or ["nothing"])
        rows = [
            f"| {kind.row} | {kind.what} | {sum(found[number].values())} | "
            + ", ".join(
                f"{count} {outcome.removesuffix('/valid')}"
                for outcome, count in found[number].items()
            )
            + " |"
            for number, kind in enumerate(KINDS)
        ]
        return ["| row | input | sent | outcomes |", "| --- | --- | --- | --- |", *rows]

    def wrong(self) -> list[str]:
        """Inputs that did not end as they have to, once."""
        return [
            f"{n}: {KINDS[number].what}: {self.ended.get(n)}, not {KINDS[number].due}"
            for n, number in enumerate(self.sent)
            if self.ended.get(n) != [KINDS[number].due]
        ]


class Ears(Listener):
    """A listener that hands on what it hears and keeps nothing."""

    def __init__(self, broker: Broker, *filters: str) -> None:
        super().__init__(broker, *filters)
        self.attackers: Attackers | None = None
        self.heard = _Handing(self)  # type: ignore[assignment]


class _Handing:
    """Stands for the list of what was heard."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears

    def append(self, message: Heard) -> None:
        if self._ears.attackers is not None:
            self._ears.attackers.hear(message)


def _number(topic: str) -> int:
    return int(topic.rpartition("/")[2])


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workload]:
    folder = tmp_path_factory.mktemp("workload")
    return folder, prepare(folder)


def test_hostile_inputs_have_their_outcomes_and_the_others_do_not_notice(
    broker: Broker, tmp_path: Path, workload: tuple[Path, Workload]
) -> None:
    folder, what = workload
    job = Job(port=broker.port, folder=str(folder), first=0, count=0, check="join")
    source = Source(job)
    seconds = MINUTES * 60 / len(TURNS)
    phases: list[tuple[bool, Mapping[str, Any]]] = []
    with (
        Ears(broker, "out/hostile/#", "geoweir/rejected/s", "geoweir/reconcile/s") as ears,
        Sender(broker) as sender,
        Geoweir(configuration(broker, what.layer), tmp_path) as service,
    ):
        attackers = ears.attackers = Attackers(sender)
        before, pid = private_bytes(service.pid), service.pid
        for is_hostile in TURNS:
            innocents = source.job(
                int(RATE * seconds),
                rate=RATE,
                outlet="out/bench/",
                stream="nobody",
                is_long=seconds > 60,
            )
            costs = Costs(pid, None)
            if is_hostile:
                with attackers.at_work(RATE * SHARE):
                    seen = run_job(innocents)
            else:
                seen = run_job(innocents)
            phases.append((is_hostile, seen | {"cpu_us": costs.since(seen)}))
            assert faults_of("innocents", seen) == []
        eventually(lambda: len(attackers.ended) >= len(attackers.sent), 60, attackers.wrong)
        grown = f"the service grew by {(private_bytes(pid) - before) / 1e6:.1f} MB"
        restarts = f"{service.metric('geoweir_worker_restarts_total'):.0f} workers restarted"
        TABLES.append(_report(what, phases, attackers, f"{grown}, {restarts}"))
        assert attackers.wrong() == []
        account = service.account()
        assert (service.pid, account["unaccounted"]) == (pid, 0)
        assert account["streams"]["s"]["reconciled"] == 0
        assert service.metric("geoweir_mqtt_reconnects_total") == 0
        assert service.stop() == 0


def _report(
    what: Workload,
    phases: list[tuple[bool, Mapping[str, Any]]],
    attackers: Attackers,
    service: str,
) -> list[str]:
    def p99(*, is_hostile: bool) -> list[float]:
        return sorted(seen["p99_ms"] for which, seen in phases if which is is_hostile)

    def cpu_us(*, is_hostile: bool) -> float:
        found = [seen["cpu_us"] for which, seen in phases if which is is_hostile]
        return min(float(one["parent"] + one["workers"]) for one in found)

    def line(*, is_hostile: bool) -> str:
        times = p99(is_hostile=is_hostile)
        return (
            f"{'with' if is_hostile else 'without'}: p99 {times[0]:.0f} to {times[-1]:.0f} ms, "
            f"median {statistics.median(times):.0f}; "
            f"{cpu_us(is_hostile=is_hostile):.0f} us of CPU a position"
        )

    return [
        f"{MINUTES:g} min at {RATE:g}/s, {SHARE:.0%} hostile; {what.about}",
        line(is_hostile=False),
        line(is_hostile=True),
        service,
        *attackers.table(),
    ]
