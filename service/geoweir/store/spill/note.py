"""What of a stream's spill may have been confirmed to its lane, durably noted.

Two files are written in turn, each with a generation and a checksum: a write that a power cut tore
leaves the note before it, whose confirmations have left, while those of the torn one have not.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec

from geoweir.store.aside import sync_files, sync_folder

__all__ = ["ReleaseNote"]

_CHECKSUM_BYTES: Final = 4
_LONGEST: Final = 4_000_000
#: Generation, last sequence that was released, and ranges that are passed over.
_Content = tuple[int, int, list[tuple[int, int]]]
_CONTENT: Final = msgspec.msgpack.Decoder(_Content)


class ReleaseNote:
    """The note of one stream.

    Args:
        folder: where its two files stand.

    Attributes:
        released: the last sequence that may have been confirmed; None where nothing is known.
        passed_over: sequences whose inputs come again from their lane.

    Raises:
        OSError: it can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = (folder / "released.0", folder / "released.1")
        self._folder = folder
        # Readable is not yet durable: an earlier life may have ended, or failed, before its sync.
        sync_files(self._paths)
        self._named = {path for path in self._paths if path.exists()}  # durably
        found = [content for path in self._paths if (content := _read(path)) is not None]
        self._generation = 0
        self.released: int | None = None
        ranges: list[tuple[int, int]] = []
        if found:
            self._generation, self.released, ranges = max(found)
        self.passed_over = {n for first, last in ranges for n in range(first, last + 1)}

    def write(self, released: int, passed_over: Collection[int]) -> None:
        """Notes it; when it returns it is durable.

        Raises:
            OSError: what was noted before counts.
        """
        generation = self._generation + 1
        body = msgspec.msgpack.encode((generation, released, list(_ranges(passed_over))))
        path = self._paths[generation % 2]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") + body)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if path not in self._named:  # it may have been made by a write that failed
            sync_folder(self._folder)
            self._named.add(path)
        self._generation, self.released = generation, released


def _read(path: Path) -> _Content | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST)
    except FileNotFoundError:
        return None
    body = data[_CHECKSUM_BYTES:]
    if zlib.crc32(body) != int.from_bytes(data[:_CHECKSUM_BYTES], "little"):
        return None
    try:
        content: _Content = _CONTENT.decode(body)
    except msgspec.MsgspecError:
        return None
    return content


def _ranges(numbers: Collection[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run without holes."""
    ordered = sorted(numbers)
    start = 0
    for at, number in enumerate(ordered):
        if at + 1 == len(ordered) or ordered[at + 1] != number + 1:
            yield ordered[start], number
            start = at + 1
