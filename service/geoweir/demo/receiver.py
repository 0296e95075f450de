"""Reads NMEA 0183 as receivers write it: position fixes, from RMC sentences with their checksum.

Enough for the demo's logs; lines that are no sentence, are damaged or have no position yet are
passed over, as every reader of a serial line must.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["ReceiverFix", "clock_of", "read_fixes", "sentence_fields"]

_KNOT_MS: Final = 1852 / 3600
_SENTENCE: Final = re.compile(rb"\$([A-Z][A-Z0-9]{3,5},[\x20-\x7e]{0,120}?)\*([0-9A-Fa-f]{2})\s*")
_ANGLE: Final = re.compile(r"([0-9]{2,3})([0-9]{2}(?:\.[0-9]{1,12})?)")
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{0,9})?")
_CLOCK: Final = re.compile(r"([0-9]{6})(\.[0-9]{1,6})?")
_DATE: Final = re.compile(r"[0-9]{6}")
_RMC_FIELDS: Final = 10


@dataclass(frozen=True, slots=True)
class ReceiverFix:
    """One fix of a receiver.

    Attributes:
        lon: degrees, WGS 84.
        lat: degrees.
        speed_ms: metres per second over ground, None where the receiver says nothing.
        course: degrees from north, None likewise.
        time: Unix seconds as the receiver's own clock had them.
    """

    lon: float
    lat: float
    speed_ms: float | None
    course: float | None
    time: float


def sentence_fields(line: bytes) -> list[str] | None:
    """The fields of a sentence, the type first; None for no sentence or a wrong checksum."""
    match = _SENTENCE.fullmatch(line)
    if match is None:
        return None
    checksum = 0
    for byte in match[1]:
        checksum ^= byte
    return match[1].decode().split(",") if checksum == int(match[2], 16) else None


def clock_of(date: str, clock: str) -> float | None:
    """Unix seconds of ``ddmmyy`` and ``hhmmss.sss`` in UTC; None for what is no such time."""
    parts = _CLOCK.fullmatch(clock)
    if parts is None or not _DATE.fullmatch(date):
        return None
    try:
        whole = datetime.strptime(f"{date}{parts[1]}", "%d%m%y%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return whole.timestamp() + float(parts[2] or 0)


def read_fixes(path: Path) -> list[ReceiverFix]:
    """The fixes of a gzipped log, in its order."""
    with gzip.open(path, "rb") as file:
        return list(_fixes(file))


def _fixes(lines: Iterable[bytes]) -> Iterator[ReceiverFix]:
    for line in lines:
        fields = sentence_fields(line)
        if fields and fields[0][2:] == "RMC" and len(fields) >= _RMC_FIELDS and fields[2] == "A":
            lat, lon = _degrees(fields[3], fields[4]), _degrees(fields[5], fields[6])
            time = clock_of(fields[9], fields[1])
            if lat is not None and lon is not None and time is not None:
                knots, course = _number(fields[7]), _number(fields[8])
                speed = None if knots is None else knots * _KNOT_MS
                yield ReceiverFix(lon, lat, speed, course, time)


def _degrees(angle: str, side: str) -> float | None:
    parts = _ANGLE.fullmatch(angle)
    if parts is None or side not in {"N", "S", "E", "W"}:
        return None
    degrees = int(parts[1]) + float(parts[2]) / 60
    return -degrees if side in {"S", "W"} else degrees


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None
