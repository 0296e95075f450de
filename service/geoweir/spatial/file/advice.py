"""How a layer's file is to be read: ahead, or just what is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

__all__ = ["Advice", "advice_for", "memory_limit"]

Advice = Literal["random", "normal"]

#: A layer that takes more of the memory than this share won't stay in it beside all else.
_SHARE: Final = 0.5
_LIMITS: Final = ("memory.max", "memory.limit_in_bytes")  # control groups of version 2, of 1


def advice_for(size: int, room: int | None = None) -> Advice:
    """``random`` for a file that doesn't fit in memory: reading ahead would push it out again.

    Args:
        size: the file's bytes.
        room: bytes of memory that it may fill; by default half of ``memory_limit``.
    """
    room = int(_SHARE * memory_limit()) if room is None else room
    return "random" if size > room else "normal"


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes of memory that this process may use: the machine's, or less by its control groups.

    Args:
        root: where ``sys`` and ``proc`` are.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _groups(root):
        limits += [int(text) for name in _LIMITS if (text := _text(folder / name)).isdecimal()]
    return min(limits)


def _groups(root: Path) -> list[Path]:
    """Folders of this process's control groups that may limit memory, and of those around them."""
    mount = root / "sys/fs/cgroup"
    folders = [mount, mount / "memory"]
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        base = mount if not controllers else mount / "memory"
        inner = Path(group.lstrip("/"))
        if controllers in {"", "memory"}:
            folders += [base / part for part in (inner, *inner.parents)]
    return folders


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
