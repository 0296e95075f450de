"""The Spill port on files: a folder with one log per stream, worked on by a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from geoweir.core.parcel import Parcel
from geoweir.core.spilled import Carried, Spilled, SpilledTotals
from geoweir.errors import ConfigurationError, StateError
from geoweir.store.spill.log import SpillLog
from geoweir.store.spill.segment import encode

__all__ = ["FileSpill", "SpillEvents"]

T = TypeVar("T")

#: A spill is cut into so many files at least, so that room comes back piece by piece.
_SEGMENTS: Final = 16
_SEGMENT_BYTES: Final = 4_000_000
_WHY: Final = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "unwritable",
    errno.EACCES: "unwritable",
    errno.EPERM: "unwritable",
}


class SpillEvents(Protocol):
    """Who is told how the spill is."""

    def spill_damaged(self, detail: str, lost: int) -> None:
        """A file was damaged; so many inputs can't be found any more."""

    def spill_left(self, stream: str, n: int) -> None:
        """So many inputs wait for a stream that isn't configured any more."""


class FileSpill:
    """Inputs on the disk between ``async with`` and its end.

    Args:
        folder: of this service alone; made where it isn't there.
        limit: bytes of all files together.
        streams: the configured ones.

    Attributes:
        totals: what each stream has on the disk.
        carried: what of it was there at the start.
    """

    def __init__(
        self, folder: Path, limit: int, *, streams: Iterable[str], events: SpillEvents
    ) -> None:
        self.folder = folder
        self.limit = limit
        self.carried: dict[str, Carried] = {}
        self.totals: dict[str, SpilledTotals] = dict.fromkeys(streams, SpilledTotals())
        self._events = events
        self._logs: dict[str, SpillLog] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spill")
        self._lock = -1

    def __repr__(self) -> str:
        return f"<FileSpill {self.folder} {self.totals}>"

    async def __aenter__(self) -> Self:
        """Opens what is there, and looks through all of it.

        Raises:
            ConfigurationError: the folder can't hold a spill.
        """
        try:
            damages, left = await self._in_thread(self._open)
        except OSError as error:
            raise ConfigurationError(f"queue.spill.path: {self.folder}: {error.strerror}") from None
        for detail, lost in damages:
            self._events.spill_damaged(detail, lost)
        for stream, waiting in left:
            self._events.spill_left(stream, waiting)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finishes what is being written, and closes the files."""
        await self._in_thread(self._close)
        self._thread.shutdown(wait=False)

    async def append(self, stream: str, parcels: Sequence[Parcel]) -> int:
        """Puts inputs behind what waits; when it returns they are durable. The first's sequence.

        Raises:
            StateError: none of them is there; ``full`` where there is no room.
        """
        try:
            return await self._in_thread(self._append, stream, parcels)
        except OSError as error:
            why = _WHY.get(error.errno or 0, "io")
            raise StateError(why, f"{self.folder}: {error.strerror or error}") from None

    async def release(self, stream: str, sequence: int, passed_over: Collection[int]) -> None:
        """Notes, durably, that inputs up to this one may be confirmed to their lane.

        ``passed_over``: sequences of inputs that come again from their lane.

        Raises:
            StateError: they may not.
        """
        try:
            await self._in_thread(lambda: self._logs[stream].release(sequence, passed_over))
        except OSError as error:
            raise StateError("io", f"{self.folder}: {error.strerror or error}") from None

    async def read(self, stream: str, *, most: int, most_bytes: int, up_to: int) -> list[Spilled]:
        """The next inputs of a stream in order, each once; empty when there is none.

        Raises:
            StateError: they can't be read now.
        """
        try:
            return await self._in_thread(lambda: self._logs[stream].read(most, most_bytes, up_to))
        except OSError as error:
            raise StateError("io", f"{self.folder}: {error.strerror or error}") from None

    def settle(self, stream: str, sequence: int) -> None:
        """Inputs up to this one have their outcome: they needn't be kept any longer."""
        self._thread.submit(self._settle, stream, sequence)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    # In the thread.

    def _open(self) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Damages, and the streams that have inputs here and are not configured any more."""
        damages: list[tuple[str, int]] = []
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, "another service has it open") from None
        size = min(_SEGMENT_BYTES, self.limit // _SEGMENTS)

        def open_log(stream: str) -> SpillLog:
            return SpillLog(
                self.folder / stream,
                segment_bytes=size,
                on_damage=lambda detail, lost: damages.append((detail, lost)),
            )

        for stream in self.totals:
            log = self._logs[stream] = open_log(stream)
            self.carried[stream] = log.carried()
            self._count(stream)
        left: list[tuple[str, int]] = []
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and folder.name not in self._logs:
                log = open_log(folder.name)
                left.append((folder.name, log.totals.messages))
                log.close()
        return damages, [(stream, waiting) for stream, waiting in left if waiting]

    def _append(self, stream: str, parcels: Sequence[Parcel]) -> int:
        records = [
            encode(topic, payload, headers, flags, received)
            for parcel in parcels
            for topic, payload, headers, flags, received in zip(
                parcel.addresses,
                parcel.payloads,
                parcel.headers,
                parcel.flags,
                parcel.received,
                strict=True,
            )
        ]
        size = sum(map(len, records))
        if sum(one.bytes for one in self.totals.values()) + size > self.limit:
            raise OSError(errno.ENOSPC, f"its {self.limit / 1e6:g} MB are full")
        try:
            return self._logs[stream].append(records)
        finally:
            self._count(stream)

    def _settle(self, stream: str, sequence: int) -> None:
        log = self._logs.get(stream)
        if log is not None:
            with contextlib.suppress(OSError):  # they come again after a restart, with equal keys
                log.settle(sequence)
            self._count(stream)

    def _count(self, stream: str) -> None:
        self.totals = {**self.totals, stream: self._logs[stream].totals}

    def _close(self) -> None:
        logs, self._logs = self._logs, {}
        for log in logs.values():
            log.close()
        if self._lock >= 0:
            os.close(self._lock)
