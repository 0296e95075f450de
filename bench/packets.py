"""A workload's messages as PUBLISH packets, made by the block before they are sent.

Every message has a number of its own, ten digits long, so that each result can be traced to its
input whatever the count. The workload is a template that repeats: a block is a copy of a stretch
of it in which numbers, packet ids and marks are filled in, which numpy does for all at once.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wire import LAST_ID, publish_packet

__all__ = ["FIRST", "MARK", "NUMBER", "Packets", "read_messages"]

#: The first message's number; JSON allows no leading zeros.
FIRST: Final = 1_000_000_000
#: How number and mark stand in a template's payload.
NUMBER: Final = b'"seq":1000000000'
MARK: Final = b'"mark":0'

_DIGITS: Final = 10
_BLOCK: Final = 4096  # messages
_AHEAD: Final = 256_000_000  # bytes that are made before the clock starts, at most

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Block:
    data: bytes
    offsets: list[int]


class Packets:
    """Packets of the messages from ``first`` on.

    Args:
        folder: of the workload.
        prefix: of the topics; the device follows.
        first: where in the workload to begin.
        count: how many there are.
        mark_every: every so many messages one carries the mark; 0 for none.
    """

    def __init__(
        self, folder: Path, prefix: str, *, first: int, count: int, mark_every: int = 0
    ) -> None:
        self._template = _Template(folder, prefix)
        self._first, self._mark_every = first, mark_every
        self._starts = _starts(first, count, self._template.count)
        self._until = first + count
        self._blocks: dict[int, _Block] = {}
        ahead = _AHEAD // max(1, self._template.mean_length)
        for number, start in enumerate(self._starts):
            if start - first < ahead:
                self._blocks[number] = self._made(number)

    def take(self, start: int, stop: int) -> list[memoryview]:
        """The packets of some messages, counted from ``first``; each is taken once, in order."""
        taken: list[memoryview] = []
        at, stop = start + self._first, stop + self._first
        while at < stop:
            number = bisect_right(self._starts, at) - 1
            block = self._blocks.get(number)
            if block is None:
                block = self._blocks[number] = self._made(number)
            begin = self._starts[number]
            end = begin + len(block.offsets) - 1
            until = min(stop, end)
            data = memoryview(block.data)
            taken.append(data[block.offsets[at - begin] : block.offsets[until - begin]])
            if until == end:
                del self._blocks[number]
            at = until
        return taken

    def _made(self, number: int) -> _Block:
        begin = self._starts[number]
        after = self._starts[number + 1] if number + 1 < len(self._starts) else self._until
        return self._template.block(begin, after, self._mark_every)


class _Template:
    """The workload once, as packets in one piece of memory."""

    def __init__(self, folder: Path, prefix: str) -> None:
        packets, offsets, ids, numbers, marks = [], [0], [], [], []
        for device, payload in read_messages(folder):
            packet, packet_id = publish_packet(prefix + device, payload)
            ids.append(offsets[-1] + packet_id)
            numbers.append(offsets[-1] + packet.index(NUMBER) + len(NUMBER) - _DIGITS)
            marks.append(offsets[-1] + packet.index(MARK) + len(MARK) - 1)
            offsets.append(offsets[-1] + len(packet))
            packets.append(packet)
        self.count = len(packets)
        self.mean_length = offsets[-1] // max(1, self.count)
        self._data = np.frombuffer(b"".join(packets), dtype=np.uint8)
        self._offsets, self._ids = np.array(offsets), np.array(ids)
        self._numbers, self._marks = np.array(numbers), np.array(marks)

    def block(self, start: int, stop: int, mark_every: int) -> _Block:
        """The messages of a stretch that lies within one round of the template."""
        begin = start % self.count
        end = begin + stop - start
        base = self._offsets[begin]
        data: npt.NDArray[Any] = self._data[base : self._offsets[end]].copy()
        ordinal: _Ints = np.arange(start, stop)
        packet_id = ordinal % LAST_ID + 1
        at = self._ids[begin:end] - base
        data[at], data[at + 1] = packet_id >> 8, packet_id & 0xFF
        at, rest = self._numbers[begin:end] - base, ordinal + FIRST
        for digit in reversed(range(_DIGITS)):
            rest, figure = np.divmod(rest, 10)
            data[at + digit] = figure + ord("0")
        if mark_every:
            is_marked = ordinal % mark_every == mark_every - 1
            data[self._marks[begin:end][is_marked] - base] = ord("1")
        return _Block(data.tobytes(), (self._offsets[begin : end + 1] - base).tolist())


def read_messages(folder: Path) -> list[tuple[str, bytes]]:
    """Device and payload of every message of a template."""
    with (folder / "messages.tsv").open("rb") as file:
        lines = [line.rstrip(b"\n").split(b"\t", 1) for line in file]
    return [(device.decode(), payload) for device, payload in lines]


def _starts(first: int, count: int, round_: int) -> list[int]:
    """Where blocks begin: none reaches beyond the template's end."""
    starts, at, until = [], first, first + count
    while at < until:
        starts.append(at)
        at = min(at + _BLOCK, until, at - at % round_ + round_)
    return starts
