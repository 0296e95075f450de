"""Simulated TCP: bytes on their way in both directions, cut anywhere, lost, late or swallowed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from simulation.clockwork import SimLoop, World

__all__ = ["Connection", "Network", "Server"]

#: Bytes written and under way beyond which the service is told to wait.
_HIGH = 3_000


class Server(Protocol):
    """Whoever listens at the other end."""

    is_up: bool

    def heard(self, connection: Connection, data: bytes) -> None:
        """Bytes arrived."""

    def gone(self, connection: Connection) -> None:
        """The other end hung up, or the line was cut."""


class Connection(asyncio.Transport):
    """One connection, as the service's transport and as the broker's handle.

    Attributes:
        is_half_open: swallows everything in both directions, and tells nobody.
    """

    def __init__(self, network: Network, loop: SimLoop, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self.number = network.count
        self.is_half_open = False
        self.is_open = True  # the service's end
        self.is_served = True  # the broker's end
        self._network = network
        self._loop = loop
        self._protocol = protocol
        self._up_at = self._down_at = 0.0  # when the last bytes of each direction arrive
        self._under_way = 0
        self._is_stuck = False
        self._received: deque[bytes] = deque()
        self._is_paused = False
        self._is_pumping = False

    # The service's end.

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Sends bytes; a dead service's go nowhere."""
        if not self.is_open or self._loop.is_ghost:
            return
        network, sent = self._network, bytes(data)
        self._under_way += len(sent)
        self._up_at = max(self._up_at, network.world.now + network.latency())
        network.world.at(self._up_at, lambda: self._reach_server(sent))
        if self._under_way > _HIGH and not self._is_stuck:
            self._is_stuck = True
            self._protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The simulation has its own."""

    def pause_reading(self) -> None:
        """Leaves what arrives where it is."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Takes it."""
        self._is_paused = False
        self._pump_soon()

    def abort(self) -> None:
        """Hangs up; the broker hears of it behind what is under way."""
        if self.is_open and not self._loop.is_ghost:
            self._end(None)
            self._tell_server()

    def close(self) -> None:
        """Likewise."""
        self.abort()

    def is_closing(self) -> bool:
        """Whether the service's end is closed."""
        return not self.is_open

    # The broker's end.

    def send(self, data: bytes) -> None:
        """Sends bytes to the service, in pieces that fall where they fall."""
        if not self.is_served:
            return
        network = self._network
        for piece in network.pieces(data):
            self._down_at = max(self._down_at, network.world.now + network.latency())
            network.world.at(self._down_at, lambda piece=piece: self._reach_client(piece))  # type: ignore[misc]

    def hang_up(self) -> None:
        """The broker closes; the service hears of it behind what is under way."""
        if self.is_served:
            self.is_served = False
            world = self._network.world
            if not self.is_half_open:
                world.at(max(self._down_at, world.now), lambda: self._lost(None))

    # The line between them.

    def cut(self) -> None:
        """A reset: what is under way is lost in both directions; both ends are told, some time."""
        network = self._network
        network.world.note(f"line {self.number} is cut")
        self.is_half_open = True
        self._tell_server(forced=True)
        reset = ConnectionResetError(104, "reset")
        network.world.after(network.latency(), lambda: self._lost(reset))

    def die(self) -> None:
        """The service's process is gone: its kernel tells the broker, or the power was cut."""
        self.is_open = False
        if not self.is_half_open:
            if self._network.rng.random() < 0.3:
                self.is_half_open = True
            else:
                self._tell_server()

    def _tell_server(self, *, forced: bool = False) -> None:
        world = self._network.world
        if forced or not self.is_half_open:
            world.at(max(self._up_at, world.now + self._network.latency()), self._server_gone)

    def _server_gone(self) -> None:
        if self.is_served:
            self.is_served = False
            self._network.server.gone(self)

    def _reach_server(self, data: bytes) -> None:
        self._under_way -= len(data)
        if self.is_served and not self.is_half_open:
            self._network.server.heard(self, data)
        if self._is_stuck and self._under_way < _HIGH // 4 and self.is_open:
            self._is_stuck = False
            if not self._loop.is_ghost:
                self._protocol.resume_writing()

    def _reach_client(self, data: bytes) -> None:
        if self.is_open and not self.is_half_open:
            self._received.append(data)
            self._pump()

    def _pump_soon(self) -> None:
        if not self._is_pumping and self._received and not self._loop.is_ghost:
            self._is_pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        while self._received and not self._is_paused and self.is_open and not self._loop.is_ghost:
            data = self._received.popleft()
            buffer = memoryview(self._protocol.get_buffer(-1))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            if count < len(data):
                self._received.appendleft(data[count:])
            self._protocol.buffer_updated(count)

    def _lost(self, error: Exception | None) -> None:
        if self.is_open and not self._loop.is_ghost:
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        self.is_open = False
        self._received.clear()
        self._network.forget(self)
        self._loop.call_soon(self._protocol.connection_lost, error)


class Network:
    """Between the service and one server.

    Attributes:
        slow: seconds that bytes take at most.
        deaf: share of connection attempts that are never answered.
    """

    def __init__(self, world: World, rng: Random, server: Server) -> None:
        self.world = world
        self.rng = rng
        self.server = server
        self.slow = 0.002
        self.deaf = 0.0
        self.count = 0
        self.connections: list[Connection] = []

    def latency(self) -> float:
        """How long bytes take."""
        return self.rng.uniform(0.00005, self.slow)

    def pieces(self, data: bytes) -> list[bytes]:
        """Bytes as they are cut on their way."""
        if len(data) < 2 or self.rng.random() < 0.6:
            return [data]
        at = self.rng.randrange(1, len(data))
        return [data[:at], data[at:]]

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        if connection in self.connections:
            self.connections.remove(connection)

    async def connect(
        self, loop: SimLoop, factory: Callable[[], asyncio.BufferedProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BufferedProtocol]:
        """Stands in for ``create_connection``."""
        await asyncio.sleep(self.latency())
        if self.rng.random() < self.deaf:
            await asyncio.sleep(3600)
        if not self.server.is_up:
            raise ConnectionRefusedError(111, "refused")
        self.count += 1
        protocol = factory()
        connection = Connection(self, loop, protocol)
        self.connections.append(connection)
        protocol.connection_made(connection)
        return connection, protocol
