"""The service's end of the socket to one worker, driven by the loop; nothing here blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from geoweir.errors import WorkerError
from geoweir.pool.frames import FrameReader, Reply, decode_reply

__all__ = ["Channel"]

_READ_BUFFER: Final = 131_072  # bytes of one read at most


class Channel(asyncio.BufferedProtocol):
    """Replies in, frames out; a worker that says anything else is not listened to any longer.

    Attributes:
        lost: done when everything that the worker said was heard and the socket is closed.
        is_unread: the worker died before it had read all that was sent to it (the kernel tells by
            a reset), so that it can't have begun on it.
    """

    def __init__(
        self, on_reply: Callable[[Reply], None], on_nonsense: Callable[[str], None]
    ) -> None:
        self._on_reply = on_reply
        self._on_nonsense = on_nonsense
        self._reader = FrameReader()
        self._buffer = memoryview(bytearray(_READ_BUFFER))
        self._transport: asyncio.Transport | None = None
        self.is_unread = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where a read goes: always here, so that none asks the system for memory."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hands on each reply that is complete."""
        try:
            for body in self._reader.feed(self._buffer[:nbytes]):
                self._on_reply(decode_reply(body))
        except WorkerError as error:
            self.abort()
            self._on_nonsense(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything that the worker said has been heard."""
        self.is_unread = isinstance(exc, (ConnectionResetError, BrokenPipeError))
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, frame: bytes) -> None:
        """Queues a frame; what a stopped worker doesn't take waits in the transport."""
        if self._transport is not None:
            self._transport.write(frame)

    def abort(self) -> None:
        """Stops listening."""
        if self._transport is not None:
            self._transport.abort()
