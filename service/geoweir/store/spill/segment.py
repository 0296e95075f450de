"""One file of a spill: records behind each other, each with its length and checksum.

A file begins with a magic and the sequence of its first record, little-endian. It only grows; what
was cut off while it was written, by a power cut or a full disk, ends at the last whole record.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from geoweir.core.lane import Headers
from geoweir.core.spilled import Spilled

__all__ = ["Segment", "UnfitSegmentError", "encode"]

_MAGIC: Final = b"GWSPILL1"
_HEAD: Final = struct.Struct("<8sQ")
_RECORD: Final = struct.Struct("<II")  # length and CRC-32 of what follows
#: No input is as long: a greater length is damage, and is not read into memory.
_LONGEST: Final = 64 * 1024 * 1024
_READ: Final = 1024 * 1024

_Body = tuple[bytes, bytes, list[tuple[bytes, bytes]], int, float]
_BODY: Final = msgspec.msgpack.Decoder(_Body)


class UnfitSegmentError(Exception):
    """A file that is no segment."""


def encode(topic: str, payload: bytes, headers: Headers, flags: int, received: float) -> bytes:
    """One input as a record."""
    body = msgspec.msgpack.encode(
        (
            _bytes(topic),
            payload,
            [(_bytes(name), _bytes(value)) for name, value in headers],
            flags,
            received,
        )
    )
    return _RECORD.pack(len(body), zlib.crc32(body)) + body


class Segment:
    """An open segment.

    Attributes:
        first: sequence of its first record.
        count: whole records.
        size: bytes up to the end of the last one.
        damaged: bytes behind it that ``open`` found and that are no record.
    """

    def __init__(self, path: Path, descriptor: int, first: int) -> None:
        self.path = path
        self.first = first
        self.count = 0
        self.size = _HEAD.size
        self.damaged = 0
        self._descriptor = descriptor

    def __repr__(self) -> str:
        return f"<Segment {self.path.name} n={self.count} {self.size} B>"

    @property
    def end(self) -> int:
        """The sequence behind its last record."""
        return self.first + self.count

    @classmethod
    def create(cls, path: Path, first: int) -> Segment:
        """A new file; durable once its folder is synced.

        Raises:
            OSError: it can't be written.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write(descriptor, _HEAD.pack(_MAGIC, first), 0)
            os.fsync(descriptor)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        return cls(path, descriptor, first)

    @classmethod
    def open(cls, path: Path) -> Segment:
        """A file as it was left; everything in it is looked through.

        Raises:
            UnfitSegmentError: it is no segment.
            OSError: it can't be read.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        head = os.pread(descriptor, _HEAD.size, 0)
        magic, first = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0)
        if magic != _MAGIC:
            os.close(descriptor)
            raise UnfitSegmentError(f"{path}: not a file of a spill")
        segment = cls(path, descriptor, first)
        for offset, body in _records(descriptor, segment.size):
            segment.count += 1
            segment.size = offset + len(body)
        segment.damaged = os.fstat(descriptor).st_size - segment.size
        return segment

    def append(self, records: Sequence[bytes]) -> None:
        """Writes records; when it returns they are durable.

        Raises:
            OSError: none of them is in the file.
        """
        data = b"".join(records)
        try:
            _write(self._descriptor, data, self.size)
            os.fdatasync(self._descriptor)
        except OSError:
            self.cut()
            raise
        self.size += len(data)
        self.count += len(records)

    def cut(self) -> None:
        """Cuts off what is behind the last whole record, as far as the disk lets us."""
        # Where it stays, the next opening cuts it off, or it comes a second time.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self.size)

    def read(self, offset: int, sequence: int, most: int, size: int) -> tuple[list[Spilled], int]:
        """Records from a place on, at least one where there is one; and the place behind them.

        Args:
            offset: 0 for the first record, or what an earlier call gave.
            sequence: of the record there.
            most: records at most.
            size: bytes of payload at most.
        """
        found: list[Spilled] = []
        offset = offset or _HEAD.size
        if most <= 0:
            return found, offset
        for start, body in _records(self._descriptor, offset, self.size):
            one = _decode(body, sequence + len(found))
            size -= len(one.payload)
            if found and size < 0:
                break
            found.append(one)
            offset = start + len(body)
            if len(found) == most:
                break
        return found, offset

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Closes and deletes it."""
        self.close()
        self.path.unlink(missing_ok=True)


def _records(descriptor: int, offset: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Bodies with their places, up to the first that is cut off or damaged."""
    buffer, at = b"", 0
    while end is None or offset < end:
        if len(buffer) - at < _RECORD.size:
            buffer, at = os.pread(descriptor, _READ, offset), 0
            if len(buffer) < _RECORD.size:
                return
        length, checksum = _RECORD.unpack_from(buffer, at)
        if length > _LONGEST:
            return
        whole = _RECORD.size + length
        if len(buffer) - at < whole:
            buffer, at = os.pread(descriptor, max(_READ, whole), offset), 0
            if len(buffer) < whole:
                return
        body = buffer[at + _RECORD.size : at + whole]
        if zlib.crc32(body) != checksum or not length:
            return
        yield offset + _RECORD.size, body
        offset += whole
        at += whole


def _decode(body: bytes, sequence: int) -> Spilled:
    topic, payload, headers, flags, received = _BODY.decode(body)
    return Spilled(
        sequence=sequence,
        topic=_text(topic),
        payload=payload,
        headers=tuple((_text(name), _text(value)) for name, value in headers),
        flags=flags & 0xFF,
        received=received,
    )


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
