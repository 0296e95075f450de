"""How this service's lives ended, in a small mapped file beside the state.

What is written here survives the death of the process (the pages are the kernel's), not that of the
machine: a power cut kills no service by an input. Nothing is synced, so it costs a memory write.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import Final

__all__ = ["Lives"]

#: Magic, is running, short lives, begun, seen, digest in hand, digest in hand at the death before.
_RECORD: Final = struct.Struct("<8sIIdd16s16s")
_MAGIC: Final = b"GWLIVES2"
_NONE: Final = bytes(16)
#: A life that ends sooner is a short one.
SHORT_S: Final = 120.0
#: Inputs that killed a service; beyond, the oldest are forgotten.
_MOST: Final = 1000


class Lives:
    """The file ``PATH.lives``, and the digests of inputs that killed a service in ``PATH.deadly``.

    Args:
        path: of the state.
        now: Unix seconds.

    Attributes:
        short: lives in a row that ended soon and without being asked to, before this one.
        deadly: digests of inputs that were alone in the hands of two lives in a row as they ended.

    Raises:
        OSError: the files can't be written, or another service has them.
    """

    def __init__(self, path: Path, now: float) -> None:
        self._deadly_path = path.with_name(f"{path.name}.deadly")
        self.deadly = self._read_deadly()
        # It stays open for its lock: a second service on the same state is no life of this one.
        self._file = open(f"{path}.lives", "a+b", opener=_private)  # noqa: SIM115
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.truncate(mmap.PAGESIZE)
            self._map = mmap.mmap(self._file.fileno(), mmap.PAGESIZE)
        except OSError:
            self._file.close()
            raise
        magic, was_running, short, begun, seen, digest, before = _RECORD.unpack_from(self._map)
        is_death = magic == _MAGIC and bool(was_running)
        is_short = is_death and 0.0 <= seen - begun < SHORT_S
        self.short = min(short + 1, 1000) if is_short else 0
        # One death may have come from outside; a second with the same input in hand has not.
        if is_death and digest != _NONE and digest == before:
            self._condemn(digest.decode("ascii", "replace"))
        self._suspect = digest if is_death else _NONE
        self._begun = self._seen = now
        self._digest = _NONE
        self._write(is_running=True)

    def lives(self, now: float) -> None:
        """The service is still there."""
        self._seen = now
        self._write(is_running=True)

    def takes(self, digest: str | None) -> None:
        """This input alone is in hand; None: nothing is known to be."""
        self._digest = _NONE if digest is None else digest.encode("ascii").ljust(16)[:16]
        self._write(is_running=True)

    def is_well(self) -> None:
        """What ended the lives before is over."""
        self.short = 0
        self._suspect = _NONE
        self.takes(None)

    def end(self) -> None:
        """The service ends as it should."""
        self.short = 0
        self._digest = self._suspect = _NONE
        self._write(is_running=False)
        self._map.close()
        self._file.close()

    def _write(self, *, is_running: bool) -> None:
        _RECORD.pack_into(
            self._map,
            0,
            _MAGIC,
            is_running,
            self.short,
            self._begun,
            self._seen,
            self._digest,
            self._suspect,
        )

    def _read_deadly(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            text = self._deadly_path.read_text(encoding="ascii", errors="replace")
            return [line for line in text.split() if len(line) == len(_NONE)][-_MOST:]
        return []

    def _condemn(self, digest: str) -> None:
        self.deadly = [*(one for one in self.deadly if one != digest), digest][-_MOST:]
        beside = self._deadly_path.with_name(f"{self._deadly_path.name}.new")
        with beside.open("w", encoding="ascii") as file:
            file.write("\n".join(self.deadly) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._deadly_path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
