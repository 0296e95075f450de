"""An MQTT 5 broker in memory: sessions, redelivery, limits, refusals, and its own faults.

It speaks bytes and knows nothing of the service. QoS 0 and 1, one subscription at a time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from simulation.clockwork import World
from simulation.network import Connection, Network
from simulation.oracle import Broken, Oracle
from simulation.wire import (
    Connect,
    Packet,
    Publish,
    Wire,
    decode_connect,
    decode_publish,
    decode_subscribe,
    encode_publish,
    packet,
)

__all__ = ["Broker", "Habits"]

_TAKEN_OVER = packet(0xE0, b"\x8e")
_PINGRESP = packet(0xD0, b"")


@dataclass(frozen=True)
class Message:
    """An input on its way to the service."""

    topic: str
    payload: bytes
    qos: int


@dataclass
class Session:
    """What the broker remembers of a client."""

    filters: dict[str, int] = field(default_factory=dict)
    queue: deque[Message] = field(default_factory=deque)
    inflight: dict[int, Message] = field(default_factory=dict)  # by packet id, in order
    next_mid: int = 1
    expiry_s: int = 0
    ended_at: float | None = None

    def copy(self) -> Session:
        """As a snapshot has it."""
        return Session(
            dict(self.filters), deque(self.queue), dict(self.inflight), self.next_mid, self.expiry_s
        )

    def topics(self) -> list[str]:
        """Of the inputs that it holds."""
        return [m.topic for m in (*self.inflight.values(), *self.queue)]


@dataclass
class Client:
    """A connection that the broker has."""

    connection: Connection
    wire: Wire = field(default_factory=Wire)
    told: Connect | None = None
    heard_at: float = 0.0
    under_way: int = 0  # of its publishes, without an answer
    busy_until: float = 0.0
    aliases: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Habits:
    """How a broker behaves, apart from its faults."""

    receive_maximum: int = 20  # publishes of a client without an answer
    overruns: bool = False  # the client's Receive Maximum
    max_queued: int | None = None  # inputs of a session that wait; what is beyond is dropped
    closed_device: str = "closed"


class Broker:
    """The server of a ``Network``."""

    def __init__(self, world: World, rng: Random, oracle: Oracle, habits: Habits) -> None:
        self.is_up = True
        self.network: Network
        self._world = world
        self._rng = rng
        self._oracle = oracle
        self._habits = habits
        self._sessions: dict[str, Session] = {}
        self._clients: dict[Connection, Client] = {}
        self._by_id: dict[str, Client] = {}
        self._snapshot: dict[str, Session] = {}

    def waiting(self) -> int:
        """Inputs that no PUBACK has settled."""
        return sum(len(s.queue) + len(s.inflight) for s in self._sessions.values())

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> bool:
        """Takes an input from outside; False while the broker is down."""
        if not self.is_up:
            return False
        for name, session in self._takers(topic):
            granted = min(qos, max(session.filters.values()))
            if not granted and name not in self._by_id:
                self._oracle.lost([topic])  # nobody keeps QoS 0 for who is away
                continue
            limit = self._habits.max_queued
            if limit is not None and len(session.queue) >= limit:
                self._world.note(f"broker drops {topic}, its queue is full")
                self._oracle.lost([topic])
                continue
            session.queue.append(Message(topic, payload, granted))
            self._push(name)
        return True

    def is_subscribed(self, topic: str) -> bool:
        """Whether some session would get it."""
        return bool(self._takers(topic))

    def _takers(self, topic: str) -> list[tuple[str, Session]]:
        return [
            (name, session)
            for name, session in self._sessions.items()
            if any(topic.startswith(f.rstrip("#")) for f in session.filters)
        ]

    # Its own faults.

    def snapshot(self) -> None:
        """Writes down what a hard end leaves."""
        self._snapshot = {name: session.copy() for name, session in self._sessions.items()}

    def end(self, *, hard: bool) -> None:
        """Ends; a hard end loses what came since the last snapshot."""
        if not self.is_up:
            return
        self._world.note(f"broker ends{' hard' if hard else ''}")
        self.is_up = False
        for connection in list(self._clients):
            self._part(connection)
            connection.hang_up()
        if hard:
            self._roll_back()

    def start(self) -> None:
        """Is there again."""
        self._world.note("broker starts")
        self.is_up = True

    def _roll_back(self) -> None:
        before = {t for session in self._sessions.values() for t in session.topics()}
        self._sessions = {name: session.copy() for name, session in self._snapshot.items()}
        after = {t for session in self._sessions.values() for t in session.topics()}
        self._oracle.lost(sorted(before - after))

    # What the network tells.

    def heard(self, connection: Connection, data: bytes) -> None:
        """Bytes came."""
        if not self.is_up:
            return
        client = self._clients.get(connection)
        if client is None:
            client = self._clients[connection] = Client(connection)
        client.heard_at = self._world.now
        for got in client.wire.feed(data):
            if self._clients.get(connection) is not client:
                return
            self._handle(client, got)

    def gone(self, connection: Connection) -> None:
        """The client hung up."""
        self._part(connection)

    # Packets.

    def _handle(self, client: Client, got: Packet) -> None:
        match got.kind:
            case 1:
                self._connect(client, decode_connect(got.body))
            case 3:
                self._published(client, got)
            case 4:
                self._acknowledged(client, int.from_bytes(got.body[:2], "big"))
            case 8:
                self._subscribe(client, got.body)
            case 12:
                client.connection.send(_PINGRESP)
            case 14:
                self._part(client.connection)
                client.connection.hang_up()
            case _:
                raise Broken(f"the service sent a packet of type {got.kind}")

    def _connect(self, client: Client, told: Connect) -> None:
        client.told = told
        other = self._by_id.get(told.client_id)
        if other is not None:
            other.connection.send(_TAKEN_OVER)
            self._part(other.connection)
            other.connection.hang_up()
        self._expire(told.client_id)
        session = self._sessions.get(told.client_id)
        present = session is not None
        if session is None:
            session = self._sessions[told.client_id] = Session()
        session.expiry_s, session.ended_at = told.expiry_s, None
        self._by_id[told.client_id] = client
        self._world.note(
            f"{told.client_id} connects on line {client.connection.number}"
            f"{', resumed' if present else ''}"
        )
        maximum = self._habits.receive_maximum.to_bytes(2, "big")
        body = bytes((present, 0)) + b"\x06\x21" + maximum + b"\x22\x00\x04"
        client.connection.send(packet(0x20, body))
        for mid, message in session.inflight.items():
            self._deliver(client, message, mid, dup=True)
        self._push(told.client_id)
        self._watch(client)

    def _watch(self, client: Client) -> None:
        """Ends a connection that is silent for one and a half keep-alives."""
        if self._clients.get(client.connection) is not client or client.told is None:
            return
        limit = 1.5 * client.told.keepalive_s
        due = client.heard_at + limit
        if self._world.now >= due:
            self._world.note(f"{client.told.client_id} is silent")
            self._part(client.connection)
            client.connection.hang_up()
        else:
            self._world.at(due + 0.001, lambda: self._watch(client))

    def _subscribe(self, client: Client, body: bytes) -> None:
        assert client.told is not None
        mid, topic_filter, qos = decode_subscribe(body)
        self._sessions[client.told.client_id].filters[topic_filter] = qos
        client.connection.send(packet(0x90, mid.to_bytes(2, "big") + b"\0" + bytes((qos,))))

    def _published(self, client: Client, got: Packet) -> None:
        message = decode_publish(got)
        if message.alias:
            if message.topic:
                client.aliases[message.alias] = message.topic
            message.topic = client.aliases[message.alias]
        if not message.qos:
            self._oracle.published(message.topic, message.payload, message.key, refused=False)
            return
        client.under_way += 1
        if client.under_way > self._habits.receive_maximum:
            raise Broken(f"{client.under_way} publishes are under way, over Receive Maximum")
        # It takes messages over in order, and says so in order.
        client.busy_until = max(client.busy_until, self._world.now + self._rng.uniform(0, 0.003))
        self._world.at(client.busy_until, lambda: self._answer(client, message))

    def _answer(self, client: Client, message: Publish) -> None:
        """Takes a message over and says so; one whose line is gone by then was never read."""
        if self._clients.get(client.connection) is not client:
            return
        client.under_way -= 1
        is_refused = self._habits.closed_device in message.topic.split("/")
        self._world.note(f"publish {message.topic} {message.key}")
        self._oracle.published(message.topic, message.payload, message.key, refused=is_refused)
        body = message.mid.to_bytes(2, "big") + (b"\x87" if is_refused else b"")
        client.connection.send(packet(0x40, body))

    def _acknowledged(self, client: Client, mid: int) -> None:
        assert client.told is not None
        session = self._sessions[client.told.client_id]
        if mid not in session.inflight:
            raise Broken(f"the service acknowledged packet {mid}, which is not under way")
        if mid != next(iter(session.inflight)):  # MQTT 5, section 4.6: in order of receipt
            raise Broken(f"the service acknowledged packet {mid} before an earlier one")
        message = session.inflight.pop(mid)
        self._world.note(f"puback {message.topic}")
        self._oracle.acknowledged(message.topic)
        self._push(client.told.client_id)

    # Sending.

    def _push(self, name: str) -> None:
        """Sends what waits, as far as the client's Receive Maximum allows."""
        client, session = self._by_id.get(name), self._sessions[name]
        if client is None or client.told is None:
            return
        limit = 65_535 if self._habits.overruns else client.told.receive_maximum
        while session.queue and len(session.inflight) < limit:
            message = session.queue.popleft()
            mid = 0
            if message.qos:
                mid = session.next_mid
                session.next_mid = mid % 60_000 + 1
                session.inflight[mid] = message
            self._deliver(client, message, mid, dup=False)

    def _deliver(self, client: Client, message: Message, mid: int, *, dup: bool) -> None:
        self._oracle.delivered(message.topic, is_certain=bool(message.qos))
        client.connection.send(
            encode_publish(message.topic, message.payload, message.qos, mid, dup=dup)
        )

    # The end of a connection, and of a session.

    def _part(self, connection: Connection) -> None:
        client = self._clients.pop(connection, None)
        if client is None or client.told is None:
            return
        name = client.told.client_id
        self._oracle.cut(name.rpartition("-")[2])
        if self._by_id.get(name) is client:
            del self._by_id[name]
            session = self._sessions[name]
            session.ended_at = self._world.now
            if not session.expiry_s:
                self._forget(name)
        self._world.note(f"{name} parts from line {connection.number}")

    def _expire(self, name: str) -> None:
        session = self._sessions.get(name)
        if session is None or session.ended_at is None:
            return
        if self._world.now - session.ended_at > session.expiry_s:
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._oracle.lost(self._sessions.pop(name).topics())
