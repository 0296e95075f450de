"""What this machine, or its container, lets us use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["auto_workers", "cpu_quota", "memory_bytes"]

_MOST_AUTO_WORKERS: Final = 4


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


def _groups(root: Path) -> list[Path]:
    """Folders of control groups: of this process, of those around it, and the mounted root."""
    mount = root / "sys/fs/cgroup"
    folders = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers in {"", "cpu", "cpu,cpuacct", "cpuacct,cpu"}:
            # Version 2 has one tree, version 1 one for each controller.
            bases = [mount / "cpu", mount / "cpu,cpuacct"] if controllers else [mount]
            inner = Path(group.lstrip("/"))
            folders += [base / part for base in bases for part in (inner, *inner.parents)]
    return [*folders, mount, mount / "cpu"]


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
