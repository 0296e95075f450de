"""Bytes under keys, appended in pieces: in memory up to a budget, beyond it in one temporary file."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Spool"]

_PIECE: Final = 1 << 20
_LENGTH: Final = struct.Struct("<Q")
_Piece = tuple[int, int]  # offset and size in the file


class Spool:
    """Takes pieces for any number of keys and gives each key's back in the order they came.

    The file has no name from its first moment, so that nothing of it is left however the process
    ends.

    Args:
        folder: where the file is made, when it is needed.
        budget: bytes to be held in memory.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._budget = budget
        self._held = 0
        self._waiting: dict[str, bytearray] = {}
        self._written: dict[str, list[_Piece]] = {}
        self._file: int | None = None
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def spilled(self) -> int:
        """Bytes that went to the file."""
        return self._end

    def close(self) -> None:
        """Gives memory and file back."""
        self._waiting.clear()
        self._written.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def append(self, key: str, data: bytes | memoryview) -> None:
        """One piece more; OSError where the file's folder is full."""
        if len(data):
            self._waiting.setdefault(key, bytearray()).extend(data)
            self._held += len(data)
            if self._held > self._budget:
                self._spill()

    def size(self, key: str) -> int:
        """How many bytes a key has."""
        written = sum(size for _, size in self._written.get(key, ()))
        return written + len(self._waiting.get(key, b""))

    def pieces(self, key: str) -> Iterator[bytes]:
        """A key's bytes in pieces of at most 1 MiB, cut where they were appended or at a MiB."""
        for offset, size in self._written.get(key, ()):
            for at in range(offset, offset + size, _PIECE):
                yield self._read(at, min(_PIECE, offset + size - at))
        waiting = self._waiting.get(key, b"")
        for at in range(0, len(waiting), _PIECE):
            yield bytes(waiting[at : at + _PIECE])

    def records(self, key: str) -> Iterator[bytes]:
        """What ``append_record`` took for a key, one by one."""
        held = bytearray()
        for piece in self.pieces(key):
            held += piece
            while len(held) >= _LENGTH.size:
                end = _LENGTH.size + _LENGTH.unpack_from(held)[0]
                if len(held) < end:
                    break
                yield bytes(held[_LENGTH.size : end])
                del held[:end]

    def append_record(self, key: str, data: bytes) -> None:
        """One piece more that keeps its limits."""
        self.append(key, _LENGTH.pack(len(data)) + data)

    def forget(self, key: str) -> None:
        """Frees the memory of a key that was read; the file keeps its size."""
        self._held -= len(self._waiting.pop(key, b""))
        self._written.pop(key, None)

    def _read(self, offset: int, size: int) -> bytes:
        if self._file is None:
            raise ValueError("the spool is closed")
        read = bytearray()
        while len(read) < size:
            part = os.pread(self._file, size - len(read), offset + len(read))
            if not part:
                raise OSError("a temporary file was cut off while it was in use")
            read += part
        return bytes(read)

    def _spill(self) -> None:
        if self._file is None:
            self._file = _nameless(self._folder)
        for key, data in self._waiting.items():
            self._written.setdefault(key, []).append((self._end, len(data)))
            _write(self._file, data)
            self._end += len(data)
        self._waiting.clear()
        self._held = 0


def _nameless(folder: Path) -> int:
    """A new file without a name; where the file system has no such thing, unlinked at once."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        handle, name = tempfile.mkstemp(prefix=".geoweir-spool.", dir=folder)
        Path(name).unlink()
        return handle


def _write(file: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
