"""Clients from outside: what devices and consumers of the service see."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from support.brokers import Broker
from support.eventually import eventually

__all__ = ["Heard", "Listener", "Sender", "point"]

_SESSION_S = 3600


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as a consumer gets it."""

    topic: str
    payload: bytes
    retain: bool
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The payload as JSON."""
        found: dict[str, Any] = json.loads(self.payload)
        return found


def point(
    ident: object,
    x: float = 145.7,
    y: float = -16.9,
    *,
    also: Mapping[str, object] | None = None,
    **properties: object,
) -> bytes:
    """A GeoJSON Feature at a place; ``also``: more properties."""
    return json.dumps(
        {
            "type": "Feature",
            "id": ident,
            "geometry": {"type": "Point", "coordinates": [x, y]},
            "properties": {**properties, **(also or {})},
        }
    ).encode()


class _Client:
    """A paho client in its own thread that comes back after every cut."""

    def __init__(self, broker: Broker, client_id: str) -> None:
        self.is_v5 = broker.is_v5
        self.up = threading.Event()
        self.connected: list[float] = []  # when, in Unix seconds
        more: dict[str, Any] = {} if self.is_v5 else {"clean_session": False}
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if self.is_v5 else paho.MQTTv311,
            **more,
        )
        self.client.max_inflight_messages_set(1000)
        self.client.reconnect_delay_set(0.1, 0.5)  # type: ignore[arg-type]
        if broker.username is not None:
            self.client.username_pw_set(broker.username, broker.password)
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda *_: self.up.clear()
        self._where = broker.host, broker.port

    def open(self) -> None:
        if self.is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = _SESSION_S
            self.client.connect(*self._where, clean_start=False, properties=properties)
        else:
            self.client.connect(*self._where)
        self.client.loop_start()
        assert self.up.wait(10), "no connection from outside"

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
        del client, data, flags, properties
        assert not code.is_failure, code
        self.connected.append(time.time())
        self.up.set()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Listener(_Client):
    """A consumer with a persistent session that keeps everything it hears, in order.

    Args:
        keeps_filters: subscribes to nothing, for a session that has its subscriptions already.
    """

    def __init__(
        self,
        broker: Broker,
        *filters: str,
        client_id: str = "listener",
        qos: int = 1,
        keeps_filters: bool = False,
    ) -> None:
        super().__init__(broker, client_id)
        self.heard: list[Heard] = []
        self._filters = () if keeps_filters else filters or ("geoweir/#",)
        self._qos = qos
        self._subscribed = threading.Event()
        self.client.on_message = self._message
        self.client.on_subscribe = lambda *_: self._subscribed.set()

    def open(self) -> None:
        super().open()
        for topic in self._filters:
            self._subscribed.clear()
            if self.is_v5:
                self.client.subscribe(topic, options=SubscribeOptions(qos=self._qos))
            else:
                self.client.subscribe(topic, self._qos)
            assert self._subscribed.wait(10)

    def on(self, prefix: str) -> list[Heard]:
        """What came on topics that begin so."""
        return [message for message in list(self.heard) if message.topic.startswith(prefix)]

    def wait(self, count: int, prefix: str = "", seconds: float = 30) -> list[Heard]:
        """Waits for so many messages on topics that begin so."""
        return eventually(
            lambda: found if len(found := self.on(prefix)) >= count else [],
            seconds,
            lambda: f"{len(self.on(prefix))} of {count} on {prefix}: {self.heard[-3:]}",
        )

    def _message(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        del client, data
        properties = message.properties
        self.heard.append(
            Heard(
                message.topic,
                bytes(message.payload),
                message.retain,
                tuple(getattr(properties, "UserProperty", None) or ()),
                getattr(properties, "ContentType", None),
            )
        )


@dataclass
class _Count:
    value: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self) -> None:
        with self.lock:
            self.value += 1


class Sender(_Client):
    """Devices: publishes and knows when the broker has taken everything.

    Attributes:
        topics: of messages by packet id, at QoS 1.
        acknowledged: when the broker last took a packet id, in Unix seconds.
    """

    def __init__(self, broker: Broker, *, client_id: str = "sender") -> None:
        super().__init__(broker, client_id)
        self._sent = _Count()
        self._taken = _Count()
        self.client.on_publish = self._published
        self.topics: dict[int, str] = {}
        self.acknowledged: dict[int, float] = {}

    @property
    def sent(self) -> int:
        """Messages so far."""
        return self._sent.value

    @property
    def taken(self) -> int:
        """Messages that the broker has acknowledged."""
        return self._taken.value

    def send(
        self,
        messages: Iterable[tuple[str, bytes]],
        *,
        qos: int = 1,
        retain: bool = False,
        headers: Sequence[tuple[str, str]] = (),
        seconds: float = 60,
    ) -> None:
        """Publishes (topic, payload) in order; returns when the broker has acknowledged all."""
        self.post(messages, qos=qos, retain=retain, headers=headers)
        eventually(
            lambda: self._taken.value >= self._sent.value,
            seconds,
            lambda: f"{self._taken.value} of {self._sent.value} taken",
        )

    def post(
        self,
        messages: Iterable[tuple[str, bytes]],
        *,
        qos: int = 1,
        retain: bool = False,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Publishes without waiting."""
        properties = _user_properties(headers) if headers and self.is_v5 else None
        for topic, payload in messages:
            self._sent.add()
            self.topics[self.client.publish(topic, payload, qos, retain, properties).mid] = topic

    def _published(self, client: Any, data: Any, mid: int, *_: object) -> None:
        del client, data
        self.acknowledged[mid] = time.time()
        self._taken.add()


def _user_properties(headers: Sequence[tuple[str, str]]) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = list(headers)
    return properties


def headers_of(message: Heard) -> Mapping[str, str]:
    """A message's user properties by name; each name once."""
    found = dict(message.headers)
    assert len(found) == len(message.headers), message.headers
    return found
