"""The spill of one stream: segments in a folder, written at the end and read from the head.

``head`` holds the sequence of the first input that has no outcome yet, with a checksum. It is
written in place and not synced: after a power cut it may be older, and inputs come a second time,
with the keys that their results had before.

``released.0`` and ``.1`` hold the last sequence that may have been confirmed to its lane, written
and synced before the confirmation leaves (``note``). What is behind it was not confirmed: its lane
sends it again.
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from geoweir.core.lane import DURABLE
from geoweir.core.spilled import Carried, Spilled, SpilledTotals
from geoweir.store.aside import MOST_ASIDE, sync_files, sync_folder
from geoweir.store.spill.note import ReleaseNote
from geoweir.store.spill.segment import Segment, UnfitSegmentError

__all__ = ["SpillLog"]

_SUFFIX: Final = ".spill"
_DAMAGED: Final = ".damaged"
_NUMBER: Final = struct.Struct("<QI")
_ALL: Final = 1 << 62


class SpillLog:
    """One stream's inputs on the disk, in order.

    Args:
        folder: of its own; made where it isn't there.
        segment_bytes: size from which on a new file is begun.
        on_damage: told of each file that is damaged, and how many inputs are lost by it.

    Raises:
        OSError: the folder can't be written or read.
    """

    def __init__(
        self, folder: Path, *, segment_bytes: int, on_damage: Callable[[str, int], None]
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        if not folder.exists():
            folder.mkdir(mode=0o700)
        sync_folder(folder.parent)  # also where an earlier life made it, and did not come so far
        self._segments = self._open(on_damage)
        self._is_named = True  # the last file's name is durable
        if self._segments:  # whole records that an earlier life wrote, and may not have synced
            sync_files([self._segments[-1].path])
        self._head_file = os.open(folder / "head", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._note = ReleaseNote(folder)
        self._head = _read_number(self._head_file) or 1
        if self._segments:
            self._head = min(max(self._head, self._segments[0].first), self._segments[-1].end)
        # One that can't be read: everything may have been confirmed.
        released = self._note.released
        known = self.end - 1 if released is None else min(released, self.end - 1)
        # What has its outcome needs no release: it came back because its lane was gone.
        self.released = max(known, self._head - 1)
        if released is None and not self._segments:
            self.release(self.end - 1, ())
        self._next = self._head  # the next one to read …
        self._place = (0, 0)  # … and where: the first of its segment, and the place in that
        self._let_go()

    def __repr__(self) -> str:
        return f"<SpillLog {self._folder.name} {self._segments}>"

    @property
    def totals(self) -> SpilledTotals:
        """What is here."""
        waiting = sum(max(0, one.end - max(one.first, self._head)) for one in self._segments)
        return SpilledTotals(waiting, sum(one.size for one in self._segments))

    @property
    def end(self) -> int:
        """The sequence of the next input that comes."""
        return self._segments[-1].end if self._segments else self._head

    def append(self, records: Sequence[bytes]) -> int:
        """Puts records behind everything; when it returns they are durable. The first's sequence.

        Raises:
            OSError: none of them is here.
        """
        first = self.end
        if not self._segments or self._segments[-1].size >= self._segment_bytes:
            segment = Segment.create(self._folder / f"{first:020}{_SUFFIX}", first)
            self._segments.append(segment)
            self._is_named = False
        if not self._is_named:  # also where that failed the last time
            sync_folder(self._folder)
            self._is_named = True
        self._segments[-1].append(records)
        return first

    def release(self, sequence: int, passed_over: Collection[int]) -> None:
        """Notes, durably, that inputs up to this one may be confirmed to their lane.

        Args:
            sequence: of the input.
            passed_over: sequences of inputs that come again from their lane.

        Raises:
            OSError: they may not.
        """
        sequence = max(self.released, sequence)
        self._note.write(sequence, [number for number in passed_over if number >= self._head])
        self.released = sequence

    def carried(self) -> Carried:
        """What an earlier life left here."""
        passed_over = {n for n in self._note.passed_over if self._head <= n <= self.released}
        durable, others = self._unreleased()
        waiting = self.totals.messages - len(durable) - others - len(passed_over)
        return Carried(waiting, durable, others, passed_over, self.released, self.end - 1)

    def _unreleased(self) -> tuple[list[int], int]:
        """Inputs that were not confirmed to their lane: sequences of durable ones, and others."""
        durable: list[int] = []
        others = 0
        for segment in self._segments:
            first = max(segment.first, self.released + 1)
            if first >= segment.end:
                continue
            _, place = segment.read(0, segment.first, first - segment.first, _ALL)
            found, _ = segment.read(place, first, segment.end - first, _ALL)
            again = [one.sequence for one in found if one.flags & DURABLE]
            durable += again
            others += len(found) - len(again)
        return durable, others

    def read(self, most: int, size: int, up_to: int) -> list[Spilled]:
        """The next inputs that were not read yet, in order; at least one where there is one.

        Args:
            most: inputs at most.
            size: bytes of payload at most.
            up_to: the last sequence that is wanted.
        """
        segment = next((one for one in self._segments if one.end > self._next), None)
        if segment is None or max(self._next, segment.first) > up_to:
            return []
        self._next = max(self._next, segment.first)  # what damage took is passed over
        first, place = self._place
        if first != segment.first:
            place = 0
            if behind := self._next - segment.first:
                _, place = segment.read(0, segment.first, behind, _ALL)
        most = min(most, up_to + 1 - self._next)
        found, place = segment.read(place, self._next, most, size)
        self._next += len(found)
        self._place = (segment.first, place)
        return found

    def settle(self, sequence: int) -> None:
        """Every input up to this one has its outcome: it needn't be here any longer.

        Raises:
            OSError: it can't be written; then they may come again after a restart.
        """
        self._head = max(self._head, sequence + 1)
        self._let_go()
        _write_number(self._head_file, self._head)

    def close(self) -> None:
        """Closes its files."""
        for segment in self._segments:
            segment.close()
        os.close(self._head_file)

    def _let_go(self) -> None:
        """Deletes the files whose inputs all have their outcome, the last one excepted.

        The last goes when it is full: its name keeps the count where nothing else is left.
        """
        while self._segments and self._segments[0].end <= self._head:
            segment = self._segments[0]
            if len(self._segments) == 1 and segment.size < self._segment_bytes:
                return
            if len(self._segments) == 1:
                # Begun before the old one goes, so that the count is never lost.
                following = Segment.create(
                    self._folder / f"{segment.end:020}{_SUFFIX}", segment.end
                )
                self._segments.append(following)
                self._is_named = False
                sync_folder(self._folder)
                self._is_named = True
            self._segments.popleft()
            segment.remove()
            # One by one, or a power cut may bring an early one back without those between.
            sync_folder(self._folder)

    def _open(self, on_damage: Callable[[str, int], None]) -> deque[Segment]:
        segments: deque[Segment] = deque()
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                segment = Segment.open(path)
            except UnfitSegmentError as error:
                path.rename(path.with_name(f"{path.name}{_DAMAGED}"))
                on_damage(str(error), 0)
                continue
            if segments and segment.first > segments[-1].end:
                on_damage(f"{segments[-1].path}: cut short", segment.first - segments[-1].end)
            segments.append(segment)
        for segment in segments:
            if segment.damaged:
                _copy_aside(segment.path)
                on_damage(
                    f"{segment.path}: {segment.damaged} bytes behind the last whole record", 0
                )
                segment.cut()  # what was being written when the power went
        return segments


def _write_number(descriptor: int, number: int) -> None:
    checksum = zlib.crc32(struct.pack("<Q", number))
    os.pwrite(descriptor, _NUMBER.pack(number, checksum), 0)


def _read_number(descriptor: int) -> int | None:
    """What ``_write_number`` wrote; None where that was never done, or is damaged."""
    data = os.pread(descriptor, _NUMBER.size, 0)
    if len(data) < _NUMBER.size:
        return None
    number, checksum = _NUMBER.unpack(data)
    return int(number) if zlib.crc32(data[:8]) == checksum else None


def _copy_aside(path: Path) -> None:
    """Keeps a damaged file as it was; not more of them than a small disk can bear."""
    if len(list(path.parent.glob(f"*{_DAMAGED}"))) < MOST_ASIDE:
        shutil.copyfile(path, path.with_name(f"{path.name}{_DAMAGED}"))
