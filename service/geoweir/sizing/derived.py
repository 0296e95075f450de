"""The user's settings as they are measured: another broker, and what is tried instead."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, Self

from geoweir.demo.broker import EmbeddedBroker
from geoweir.settings.values import HttpSettings, LogSettings, MqttSettings, Settings

__all__ = ["CLIENT_ID", "Derivation", "Setting", "setting_of"]

CLIENT_ID: Final = "geoweir-bench"
_LONGEST_GRACE_S: Final = 5.0

_Protocol = Literal["auto", "5", "3.1.1"]


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """What is tried: workers, features in a chunk, messages in the queue."""

    workers: int
    chunk: int
    queue: int

    def __str__(self) -> str:
        plural = "" if self.workers == 1 else "s"
        return f"{self.workers} worker{plural}, chunk {self.chunk}, queue {self.queue}"


def setting_of(settings: Settings) -> Setting:
    """What the configuration says."""
    return Setting(settings.pool.workers, settings.pool.chunk, settings.queue_limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How a configuration is changed for one measurement; it holds no secret.

    Attributes:
        streams: the names of those that are measured; the others are left out.
    """

    streams: tuple[str, ...]
    workers: int
    chunk: int
    queue: int
    host: str
    port: int
    protocol: _Protocol

    @classmethod
    def make(
        cls,
        setting: Setting,
        broker: EmbeddedBroker,
        configured: _Protocol,
        streams: Iterable[str],
    ) -> Self:
        """For a setting at the bench's own broker; what that broker can speak goes first."""
        protocol = configured if broker.protocol == "auto" else broker.protocol
        return cls(
            **asdict(setting),
            host=broker.host,
            port=broker.port,
            protocol=protocol,
            streams=tuple(streams),
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Reads what ``text`` wrote."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """As an argument of a command."""
        return json.dumps(asdict(self))

    def apply(self, settings: Settings) -> Settings:
        """The settings to run with: no address, name or secret of the user's broker is left."""
        mqtt = settings.mqtt
        grace_s = min(settings.shutdown_grace_s, _LONGEST_GRACE_S)
        return replace(
            settings,
            # The inputs of a trial are few and sent again and again: each is to be worked on.
            streams=tuple(
                replace(one, dedupe_s=None) for one in settings.streams if one.name in self.streams
            ),
            mqtt=MqttSettings(
                host=self.host,
                port=self.port,
                protocol=self.protocol,
                client_id=CLIENT_ID,
                receive_window=mqtt.receive_window,
                receive_bytes=mqtt.receive_bytes,
                # A broker that speaks 3.1.1 only may not forgive disorder.
                ack_order="received" if self.protocol == "3.1.1" else mqtt.ack_order,
            ),
            pool=replace(settings.pool, workers=self.workers, chunk=self.chunk),
            queue_limit=self.queue,
            state=replace(settings.state, path=None),
            http=HttpSettings(host="127.0.0.1", port=0),
            log=LogSettings(level="warning"),
            shutdown_grace_s=grace_s,
        )
