"""Watchers that misbehave: stopped, killed, too many. The service does not notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.brokers import Broker
from support.eventually import eventually
from support.outside import Sender, point
from support.service import Geoweir, clean_environment, private_bytes
from support.watching import Tap

PAD = "\N{PILE OF POO}" * 120  # long ids, so that the buffers on the way are soon full
FEATURES = 300  # in each input: all filtered, so that watchers have much to see and nobody else


def configuration(broker: Broker) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {
            "s": {"subscribe": "in/#", "steps": [{"where": {"field": "n", "equals": "last"}}]}
        },
        "pool": {"workers": 1},
    }


def many(number: int) -> bytes:
    """An input of many features."""
    features = ",".join(
        f'{{"type":"Feature","id":"{number} {n} {PAD}","geometry":null,"properties":{{"n":{n}}}}}'
        for n in range(FEATURES)
    )
    return f'{{"type":"FeatureCollection","features":[{features}]}}'.encode()


def flood(sender: Sender, service: Geoweir, count: int) -> None:
    """Sends inputs of many features, and waits until they have their outcome."""
    before = service.settled()
    sender.send((f"in/{n}", many(n)) for n in range(count))
    service.wait_settled(before + count)


def test_a_stopped_tap_costs_the_service_neither_outcomes_nor_memory(
    broker: Broker, tmp_path: Path
) -> None:
    with Sender(broker) as sender, Geoweir(configuration(broker), tmp_path) as service:
        arguments = ("s", "--json", "--rate", "10000")
        flood(sender, service, 20)  # what the inputs themselves need
        before = private_bytes(service.pid)
        with Tap(service, *arguments, name="stopped") as stopped:
            flood(sender, service, 5)
            stopped.wait_lines(5 * FEATURES)
            stopped.running.send_signal(signal.SIGSTOP)
            with Tap(service, *arguments, name="other") as other:
                flood(sender, service, 60)
                assert other.wait_lines(10_000)
            grown = private_bytes(service.pid) - before
            assert grown < 10_000_000, grown
            account = service.account()
            assert account["streams"]["s"]["filtered"] == 85
            assert account["unaccounted"] == 0
            # Awake again it sees what was kept, is told how much was not, and goes on.
            stopped.running.send_signal(signal.SIGCONT)
            sender.send([("in/last", point("last", n="last"))])
            eventually(lambda: '"id": "last"' in stopped.lines()[-1], why=stopped.errors)
            stopped.running.send_signal(signal.SIGINT)
            assert stopped.running.wait(10) == 0
            missed = sum(
                int(line.split()[1].replace(",", "")) for line in stopped.errors().splitlines()
            )
            assert missed > 0
            assert len(stopped.lines()) + missed == 65 * FEATURES + 1


def test_a_stopped_tap_does_not_hold_up_the_end(broker: Broker, tmp_path: Path) -> None:
    with (
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
        Tap(service, "s", "--rate", "10000") as stopped,
    ):
        stopped.running.send_signal(signal.SIGSTOP)
        flood(sender, service, 60)
        assert service.stop() == 0


def test_a_killed_tap_is_a_watcher_no_longer(broker: Broker, tmp_path: Path) -> None:
    with Geoweir(configuration(broker), tmp_path) as service, Tap(service, "s") as tap:
        tap.running.kill()
        eventually(lambda: service.watchers() == 0)


def test_a_tap_into_a_pipe_that_closes_ends_in_peace(broker: Broker, tmp_path: Path) -> None:
    with Sender(broker) as sender, Geoweir(configuration(broker), tmp_path) as service:
        reading, writing = os.pipe()
        with subprocess.Popen(
            [sys.executable, "-m", "geoweir", "tap", "s", "--url", service.url],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        ) as tap:
            os.close(writing)
            eventually(lambda: service.watchers() == 1)
            os.close(reading)
            sender.send((f"in/{n}", point(n + 1)) for n in range(10))
            assert tap.wait(30) == 0
            assert tap.stderr is not None
            assert tap.stderr.read() == b""
