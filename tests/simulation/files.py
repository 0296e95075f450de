"""A folder of real files that loses, at a crash, what was not yet synced; and the spill on it.

The spill's code is the real one. Its modules get ``os`` with a memory: what a file held at its last
sync, and which names a folder had at its own. A crash leaves of each file what was synced, or what
was written, or a beginning of that; a name that was not synced may be there or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from geoweir.core.parcel import Parcel
from geoweir.store import aside
from geoweir.store.spill import files, log, note, segment
from geoweir.store.spill.files import FileSpill, SpillEvents
from simulation.clockwork import SimLoop, World
from simulation.oracle import Broken

__all__ = ["Folder", "SimSpill"]

#: Behind a topic, so that none is found at the beginning of another.
_PAYLOAD_FOLLOWS = b"\xc4"
_SHARED_MEMORY = Path("/dev/shm")  # quick


class Folder:
    """What outlives a service, in files.

    Attributes:
        path: the folder.
        slow_s: seconds that an operation takes at most.
        faulty: share of syncs for which there is no room.
    """

    def __init__(self, world: World, rng: Random) -> None:
        self.world = world
        self.rng = rng
        self.slow_s = 0.005
        self.faulty = 0.0
        home = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
        self.path = Path(tempfile.mkdtemp(prefix="geoweir-sim-", dir=home))
        self._synced: dict[Path, bytes] = {}
        self._names: dict[Path, set[str]] = {}
        self._open: dict[int, Path] = {}
        self._is_failing = False  # power is gone: nothing is synced any more

    def remove(self) -> None:
        """Deletes it."""
        shutil.rmtree(self.path, ignore_errors=True)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Within it the spill's files are on this disk."""
        with contextlib.ExitStack() as stack:
            for module in (aside, files, log, note, segment):
                stack.enter_context(mock.patch.object(module, "os", self))
            yield

    def holds(self, topic: str) -> bool:
        """Whether some file would have an input after a crash now."""
        wanted = topic.encode() + _PAYLOAD_FOLLOWS
        return any(
            wanted in content
            for path, content in self._synced.items()
            if path.name in self._names.get(path.parent, set())
        )

    # What the modules call ``os``.

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str | Path, flags: int, mode: int = 0o777) -> int:
        """As ``os.open``."""
        descriptor = os.open(path, flags, mode)
        self._open[descriptor] = Path(path)
        return descriptor

    def close(self, descriptor: int) -> None:
        """As ``os.close``; what the end of its process closed already is left alone."""
        if self._open.pop(descriptor, None) is not None:
            os.close(descriptor)

    def close_all(self) -> None:
        """As the end of a process does."""
        while self._open:
            os.close(self._open.popitem()[0])

    def fdatasync(self, descriptor: int) -> None:
        """Makes a file's content durable, or finds no room."""
        if self._is_failing:
            return
        if self.rng.random() < self.faulty:
            raise OSError(errno.ENOSPC, "No space left on device")
        path = self._open[descriptor]
        self._synced[path] = path.read_bytes()

    def fsync(self, descriptor: int) -> None:
        """Likewise, or a folder's names."""
        path = self._open[descriptor]
        if not path.is_dir():
            self.fdatasync(descriptor)
        elif not self._is_failing:
            self._names[path] = {one.name for one in path.iterdir()}

    # The end of the power.

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """What is written within it is not synced any more."""
        self._is_failing = True
        try:
            yield
        finally:
            self._is_failing = False

    def crash(self) -> None:
        """The process ends; where the power does too, some of what was not synced is lost."""
        self.close_all()
        if self.rng.random() < 0.3:
            return
        for folder in [self.path, *sorted(p for p in self.path.iterdir() if p.is_dir())]:
            self._crash(folder)

    def _crash(self, folder: Path) -> None:
        durable = self._names.get(folder, set())
        there = {one.name for one in folder.iterdir() if one.is_file()}
        for name in sorted(there | durable):
            path = folder / name
            synced = self._synced.get(path)
            if name not in there:
                if synced is not None and self.rng.random() < 0.5:
                    path.write_bytes(synced)  # its deletion was not
                continue
            if name not in durable and self.rng.random() < 0.5:
                path.unlink()
                self._synced.pop(path, None)
                continue
            written = path.read_bytes()
            if written != synced:
                path.write_bytes(self._some(synced or b"", written))

    def _some(self, synced: bytes, written: bytes) -> bytes:
        """What of a change is there afterwards."""
        which = self.rng.randrange(3)
        if which < 2:
            return written if which else synced
        same = 0
        while same < min(len(synced), len(written)) and synced[same] == written[same]:
            same += 1
        cut = self.rng.randint(same, len(written)) if written else 0
        return written[:cut] + synced[cut:]


class SimSpill(FileSpill):
    """The real spill on such a folder; its thread is simulated."""

    def __init__(
        self,
        folder: Folder,
        limit: int,
        *,
        streams: Iterable[str],
        events: SpillEvents,
        brought_back: Callable[[str], None],
    ) -> None:
        super().__init__(folder.path, limit, streams=streams, events=_Told(events))
        self._disk = folder
        self._brought_back = brought_back
        self._jobs: deque[tuple[Callable[[], Any], asyncio.Future[Any] | None]] = deque()
        self._is_busy = False
        self._loop: SimLoop | None = None

    async def read(self, stream: str, *, most: int, most_bytes: int, up_to: int) -> Any:
        """Tells whoever watches from outside which inputs are worked on again."""
        found = await super().read(stream, most=most, most_bytes=most_bytes, up_to=up_to)
        self._note("brings back", stream, [one.sequence for one in found])
        for one in found:
            self._brought_back(one.topic)
        return found

    def settle(self, stream: str, sequence: int) -> None:
        """Behind what the thread has to do."""
        self._note("is settled", stream, sequence)
        self._jobs.append((lambda: self._settle(stream, sequence), None))
        self._go()

    async def append(self, stream: str, parcels: Sequence[Parcel]) -> int:
        """Notes it."""
        first = await super().append(stream, parcels)
        self._note("takes", stream, first, [a for one in parcels for a in one.addresses])
        return first

    async def release(self, stream: str, sequence: int, passed_over: Collection[int]) -> None:
        """Notes it."""
        await super().release(stream, sequence, passed_over)
        self._note("releases", stream, sequence, sorted(passed_over))

    def _note(self, *what: object) -> None:
        if self._loop is not None and not self._loop.is_ghost:
            self._disk.world.note(f"spill {' '.join(map(str, what))}")

    def die(self) -> None:
        """The power goes: what was being done may be half done."""
        if self._is_busy and self._disk.rng.random() < 0.7:
            with self._disk.failing(), contextlib.suppress(OSError):
                self._jobs[0][0]()
        self._jobs.clear()

    async def _in_thread(self, work: Callable[..., Any], *arguments: object) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        if loop.is_ghost:
            return work(*arguments)  # it closes what it has open
        self._loop = loop
        answer: asyncio.Future[Any] = loop.create_future()
        self._jobs.append((lambda: work(*arguments), answer))
        self._go()
        return await answer

    def _go(self) -> None:
        if self._jobs and not self._is_busy:
            self._is_busy = True
            seconds = self._disk.rng.uniform(0.0001, self._disk.slow_s)
            self._disk.world.after(seconds, self._turn)

    def _turn(self) -> None:
        if self._loop is None or self._loop.is_ghost:
            return
        work, answer = self._jobs.popleft()
        self._is_busy = False
        try:
            result, error = work(), None
        except OSError as failed:
            result, error = None, failed
        if answer is not None and not answer.done():
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)
        self._go()


class _Told:
    """Hears of damage: a crash tears tails, and nothing else."""

    def __init__(self, events: SpillEvents) -> None:
        self._events = events

    def spill_damaged(self, detail: str, lost: int) -> None:
        """Passes it on."""
        if lost:
            raise Broken(f"the spill lost {lost} inputs: {Path(detail).name}")
        self._events.spill_damaged(detail, lost)

    def spill_left(self, stream: str, n: int) -> None:
        """Passes it on."""
        self._events.spill_left(stream, n)
