"""A pool of real processes for a test, and what is said to it."""

from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from unittest import mock

from faults.misbehaviour import CHAINS
from geoweir.core.spec import PoolSpec, Reference, ReferenceKind, WorkerSpec
from geoweir.core.work import ChunkWork
from geoweir.pool.shelf import Shelf, ShelfFile
from geoweir.pool.supervisor import Pool

__all__ = [
    "Restarts",
    "Shelved",
    "answers",
    "descriptors",
    "file_of",
    "pool_of",
    "processes_with",
    "work",
]


class Restarts:
    """Remembers what the pool tells."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, str]] = []
        self.sandbox = ""

    def restarted(self, worker: int, reason: str, detail: str) -> None:
        self.seen.append((worker, reason, detail))

    def sandboxed(self, how: str) -> None:
        self.sandbox = how

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.seen]


class Shelved:
    """Remembers what workers did with files."""

    def __init__(self) -> None:
        self.took: list[tuple[str, str]] = []
        self.nos: list[tuple[str, str, str]] = []

    def taken(self, reference: Reference, version: str) -> None:
        self.took.append((reference.name, version))

    def refused(self, reference: Reference, version: str, why: str) -> None:
        self.nos.append((reference.name, version, why))


@contextlib.asynccontextmanager
async def pool_of(
    workers: int = 2,
    *,
    memory: int = 150_000_000,
    layers: Sequence[ShelfFile] = (),
    restarts: Restarts | None = None,
    shelved: Shelved | None = None,
) -> AsyncIterator[Pool]:
    # A worker imports its parent's main module again; the test runner is none of its business.
    with mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
        shelf = Shelf(shelved or Shelved())
        for file in layers:
            shelf.put(file)
        pool = Pool(
            # Its acts are those of a worker that somebody else has taken over.
            PoolSpec(workers=workers, memory=memory, is_sandboxed=False),
            WorkerSpec(streams=()),
            events=restarts or Restarts(),
            shelf=shelf,
            chains=CHAINS,
        )
        await pool.start()
        try:
            yield pool
        finally:
            await pool.close(0.0)
            shelf.close()


def file_of(
    name: str, version: str, content: bytes = b"", kind: ReferenceKind = "layer"
) -> ShelfFile:
    """An open file, whose content says to ``misbehaviour`` what to do with it."""
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    return ShelfFile(Reference(kind, name), version, descriptor)


def work(*payloads: str) -> ChunkWork:
    count = len(payloads)
    return ChunkWork(0, [text.encode() for text in payloads], ["in"] * count, [0.0] * count)


async def answers(pool: Pool, *payloads: str) -> list[bytes]:
    slot = await pool.idle()
    ran = await slot.run(work(*payloads), deadline_s=20)
    assert ran.done is not None, ran
    return [message.payload for message in ran.done.messages]


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def processes_with(marker: str) -> list[int]:
    """Processes, other than this one and zombies, whose environment has the marker."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
    return found
