"""A TCP proxy before a broker that does what networks do: cut, stall, delay, refuse.

A connection belongs to the MQTT client whose identifier stands in its first bytes; each fault may
be meant for one client, or for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Proxy", "proxy_to"]

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST


@dataclass(eq=False)
class _Way:
    """One client's connection."""

    client: bytes
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    is_deaf: bool = False


class Proxy:
    """Runs in a thread of its own; every method may be called from the test's.

    Args:
        port: the broker's, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self.resets = 0
        self.delay_s = 0.0
        self._target = port
        self._ways: set[_Way] = set()
        self._refused: set[bytes] = set()
        self._held: set[bytes] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def start(self) -> None:
        """Listens on ``port``."""
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Closes everything."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def reset(self, client: str = "") -> None:
        """Ends connections the way a router does that forgot them."""
        self._tell(lambda: self._each(client, self._reset))

    def deafen(self, client: str = "") -> None:
        """Half-open: the connections stay, and whatever is sent on them is gone."""

        def deafen(way: _Way) -> None:
            way.is_deaf = True

        self._tell(lambda: self._each(client, deafen))

    def hold(self, client: str = "") -> None:
        """Holds back, and doesn't lose, what goes either way, on new connections too."""

        def hold() -> None:
            self._held.add(client.encode())
            self._each(client, lambda way: way.flows.clear())

        self._tell(hold)

    def release(self, client: str = "") -> None:
        """Ends ``hold``."""

        def release() -> None:
            self._held.discard(client.encode())
            self._each(client, lambda way: way.flows.set())

        self._tell(release)

    def refuse(self, client: str = "") -> None:
        """Ends connections, and each new one at its first bytes."""

        def refuse() -> None:
            self._refused.add(client.encode())
            self._each(client, self._reset)

        self._tell(refuse)

    def allow(self, client: str = "") -> None:
        """Ends ``refuse``."""
        self._tell(lambda: self._refused.discard(client.encode()))

    def _tell(self, act: Callable[[], None]) -> None:
        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _each(self, client: str, act: Callable[[_Way], None]) -> None:
        for way in list(self._ways):
            if client.encode() in way.client:
                act(way)

    def _reset(self, way: _Way) -> None:
        for writer in (way.near, way.far):
            _abort(writer)
        way.flows.set()
        self.resets += 1

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(_quietly(self._connect(reader, writer)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            first = await near.read(4096)
            if any(client in first for client in self._refused):
                _abort(back)
                return
            far, forth = await asyncio.open_connection("127.0.0.1", self._target)
            way = _Way(first, back, forth)
            if not any(client in first for client in self._held):
                way.flows.set()
            self._ways.add(way)
            try:
                forth.write(first)
                await self._both(way, near, far)
            finally:
                self._ways.discard(way)
                forth.close()
        finally:
            back.close()

    async def _both(self, way: _Way, near: asyncio.StreamReader, far: asyncio.StreamReader) -> None:
        ends = [
            asyncio.ensure_future(self._pump(way, near, way.far)),
            asyncio.ensure_future(self._pump(way, far, way.near)),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _pump(
        self, way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1000)

        async def arrive() -> None:
            while True:
                due, data = await line.get()
                if not data:
                    return
                await asyncio.sleep(due - loop.time())
                await way.flows.wait()
                if not way.is_deaf:
                    writer.write(data)
                    await writer.drain()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(arrive())
            while data := await reader.read(65536):
                await line.put((loop.time() + self.delay_s, data))
            await line.put((0.0, b""))


async def _quietly(connection: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(OSError, ExceptionGroup):
        await connection


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@contextlib.contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """A running proxy before a port on loopback."""
    proxy = Proxy(port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
