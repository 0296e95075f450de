"""What this machine, or its container, lets us use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["auto_workers", "cpu_quota", "memory_bytes", "memory_limit"]

_MOST_AUTO_WORKERS: Final = 4
#: How version 1 names the trees of its controllers.
_CPU: Final = ("cpu", "cpu,cpuacct", "cpuacct,cpu")
_MEMORY: Final = ("memory",)
#: Version 1 writes the largest number of pages where there is no limit.
_UNLIMITED: Final = 1 << 62


def auto_workers(root: Path = Path("/"), *, processes: int = 1) -> int:
    """How many workers ``pool.workers: auto`` means: min(usable cores, 4), at least 1.

    Args:
        root: where ``sys`` and ``proc`` are.
        processes: services that share the cores evenly; the answer is for one of them.
    """
    cores = float(len(os.sched_getaffinity(0)))
    quota = cpu_quota(root)
    usable = cores if quota is None else min(cores, quota)
    return max(1, min(int(usable / processes), _MOST_AUTO_WORKERS))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores that the control groups of this process allow; None without a limit.

    The smallest limit counts, of the group itself and of those around it.

    Args:
        root: where ``sys`` and ``proc`` are.
    """
    limits = []
    for folder in _groups(root):
        limits += [_version_2(folder), _version_1(folder)]
    return min((limit for limit in limits if limit is not None), default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that the control groups of this process allow; None without a limit.

    The smallest limit counts, of the group itself and of those around it: a soft one
    (``memory.high``) as well, since beyond it everything crawls.

    Args:
        root: where ``sys`` and ``proc`` are.
    """
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    texts = [_text(folder / name).strip() for folder in _groups(root, _MEMORY) for name in names]
    limits = (int(text) for text in texts if text.isascii() and text.isdigit())
    return min((limit for limit in limits if 0 < limit < _UNLIMITED), default=None)


def _groups(root: Path, controllers_1: tuple[str, ...] = _CPU) -> list[Path]:
    """Folders of control groups: of this process, of those around it, and the mounted root.

    Args:
        root: where ``sys`` and ``proc`` are.
        controllers_1: names that version 1 has the tree under.
    """
    mount = root / "sys/fs/cgroup"
    folders = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers or controllers in controllers_1:
            # Version 2 has one tree, version 1 one for each controller.
            bases = [mount / name for name in controllers_1] if controllers else [mount]
            inner = Path(group.lstrip("/"))
            folders += [base / part for base in bases for part in (inner, *inner.parents)]
    return [*folders, mount, mount / controllers_1[0]]


def _version_2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    return _share(quota, period)


def _version_1(folder: Path) -> float | None:
    return _share(
        _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
    )


def _share(quota: str, period: str) -> float | None:
    """Cores of a quota per period; "max" and -1 are no limit."""
    if not (quota.isascii() and quota.isdigit() and period.isascii() and period.isdigit()):
        return None
    return int(quota) / int(period) if int(period) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def memory_bytes() -> int:
    """The machine's physical memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
