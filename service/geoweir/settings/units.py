"""Durations and sizes as the configuration writes them: a number with its unit."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "DURATION_PATTERN",
    "SIZE_PATTERN",
    "UnitError",
    "duration_text",
    "read_duration",
    "read_size",
    "size_text",
]

DURATION_PATTERN: Final = r"[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d)"
SIZE_PATTERN: Final = r"[0-9]{1,15}(?:\.[0-9]{1,9})?(?:B|[kK]B|[kK]iB|MB|MiB|GB|GiB)"

_SECONDS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES: Final = {
    "GB": 10**9,
    "MB": 10**6,
    "KB": 10**3,
    "GIB": 2**30,
    "MIB": 2**20,
    "KIB": 2**10,
    "B": 1,
}
_DECIMAL_UNITS: Final = ("GB", "MB", "KB", "B")
_PARTS: Final = re.compile(r"([0-9.]+)([A-Za-z]+)")


class UnitError(ValueError):
    """A text that is no duration or no size; ``help`` says how to write one."""

    def __init__(self, what: str, help: str) -> None:  # noqa: A002 - the word that faults use
        super().__init__(what)
        self.help = help


def read_duration(value: object) -> float:
    """Seconds of ``4s``, ``250ms``, ``10m``, ``1h`` or ``2d``.

    Raises:
        UnitError: anything else; a number without a unit is told so.
    """
    number, unit = _split(value, DURATION_PATTERN, "a duration", "ms, s, m, h or d, such as 4s")
    return round(number * _SECONDS[unit], 9)


def read_size(value: object) -> int:
    """Bytes of ``64KB`` (1 KB is 1000 bytes) or ``64KiB`` (1 KiB is 1024 bytes).

    Raises:
        UnitError: anything else; a number without a unit is told so.
    """
    units = "B, KB, MB, GB, KiB, MiB or GiB, such as 64KB"
    number, unit = _split(value, SIZE_PATTERN, "a size", units)
    return round(number * _BYTES[unit.upper()])


def _split(value: object, pattern: str, kind: str, units: str) -> tuple[float, str]:
    help_text = f"Write a number with one of the units {units}."
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UnitError(f"{kind} needs a unit, and this number has none.", help_text)
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if not re.fullmatch(pattern, text):
        raise UnitError(f"this is not {kind}.", help_text)
    parts = _PARTS.fullmatch(text)
    if parts is None:  # the patterns above are all of this shape
        raise UnitError(f"this is not {kind}.", help_text)
    return float(parts[1]), parts[2]


def duration_text(seconds: float) -> str:
    """A duration with the largest unit that gives a whole number."""
    for unit, size in _SECONDS.items():
        count = round(seconds / size, 6)
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{seconds * 1000:.6g}ms"


def size_text(size: int) -> str:
    """A size with the largest decimal unit that gives a whole number."""
    unit = next(u for u in _DECIMAL_UNITS if size % _BYTES[u] == 0 and (size or u == "B"))
    return f"{size // _BYTES[unit]}{unit}"
