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


def configuration(broker: Broker) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#"}},
        "pool": {"workers": 1},
    }


def send(sender: Sender, first: int, count: int) -> None:
    sender.send((f"in/{n}", point(f"{n} {PAD}")) for n in range(first, first + count))


def test_a_stopped_tap_costs_the_service_neither_outcomes_nor_memory(
    broker: Broker, tmp_path: Path
) -> None:
    with Sender(broker) as sender, Geoweir(configuration(broker), tmp_path) as service:
        arguments = ("s", "--json", "--rate", "10000")
        with Tap(service, *arguments, name="stopped") as stopped:
            send(sender, 0, 2000)
            service.wait_settled(2000)
            stopped.running.send_signal(signal.SIGSTOP)
            before = private_bytes(service.pid)
            with Tap(service, *arguments, name="other") as other:
                send(sender, 2000, 16_000)
                service.wait_settled(18_000)
                # The other one saw nearly all of it, and every feature was seen or told as missed.
                other.wait_lines(8_000)
            grown = private_bytes(service.pid) - before
            assert grown < 20_000_000, grown
            account = service.account()
            assert account["streams"]["s"]["published"] == 18_000
            assert account["unaccounted"] == 0
            # Awake again it sees what was kept, is told how much was not, and goes on.
            stopped.running.send_signal(signal.SIGCONT)
            send(sender, 18_000, 1)
            eventually(lambda: f'"{18_000} ' in stopped.lines()[-1], why=stopped.errors)
            stopped.running.send_signal(signal.SIGINT)
            assert stopped.running.wait(10) == 0
            missed = sum(
                int(line.split()[1].replace(",", "")) for line in stopped.errors().splitlines()
            )
            assert missed > 0
            assert len(stopped.lines()) + missed == 18_001


def test_a_stopped_tap_does_not_hold_up_the_end(broker: Broker, tmp_path: Path) -> None:
    with (
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
        Tap(service, "s", "--rate", "10000") as stopped,
    ):
        stopped.running.send_signal(signal.SIGSTOP)
        send(sender, 0, 12_000)
        service.wait_settled(12_000)
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
            send(sender, 0, 10)
            assert tap.wait(30) == 0
            assert tap.stderr is not None
            assert tap.stderr.read() == b""
