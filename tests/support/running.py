"""A broker, a service, and clients outside, for the tests of one module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.brokers import Broker, open_broker
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Heard, Listener, Sender
from support.service import Geoweir

__all__ = ["Running", "run_service"]


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that runs."""

    broker: Broker
    service: Geoweir
    listener: Listener
    sender: Sender

    def result(self, topic: str, seconds: float = 30) -> Heard:
        """The first message on a topic."""
        found = eventually(
            lambda: next((m for m in list(self.listener.heard) if m.topic == topic), None),
            seconds,
            lambda: (topic, self.listener.heard[-5:], self.service.log()[-2000:]),
        )
        assert found is not None
        return found

    def give(self, topic: str, payload: bytes, answer: str) -> dict[str, Any]:
        """Publishes an input, and waits for what comes on a topic that nothing else comes on."""
        self.sender.send([(topic, payload)])
        return self.result(answer).body

    def reasons(self, stream: str, outcome: str) -> dict[str, int]:
        """How many inputs ended so, by reason."""
        found = self.service.stream(stream)["reasons"].get(outcome, {})
        return {reason: n for reason, n in found.items() if n}


@contextlib.contextmanager
def run_service(
    folder: Path, config: Mapping[str, Any], arguments: Sequence[str] = ()
) -> Iterator[Running]:
    """Runs a service with the module ``mischief`` beside its configuration."""
    write_mischief(folder)
    (folder / "broker").mkdir()
    with open_broker(folder / "broker") as broker:
        config = {"mqtt": {"url": broker.url, "protocol": broker.protocol}} | dict(config)
        with (
            Listener(broker) as listener,
            Sender(broker) as sender,
            Geoweir(config, folder, arguments=arguments) as service,
        ):
            yield Running(broker, service, listener, sender)
