"""One input that is sent again and again, each time with the moment of sending as its fix time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

__all__ = ["MARKER", "Moment", "Template", "split"]

Clock = Literal["iso", "unix"]

#: Stands in a made-up payload where the time goes.
MARKER: Final = "@geoweir-bench-time@"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as payloads write it."""

    iso: bytes
    unix: bytes

    @classmethod
    def of(cls, seconds: float) -> Moment:
        """Of Unix seconds."""
        text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
        return cls(f'"{text[:-6]}Z"'.encode(), str(int(seconds)).encode())


@dataclass(frozen=True, slots=True)
class Template:
    """A topic, and a payload in one part or with a gap for the time.

    Attributes:
        copies: how many streams get it.
        clock: how the time is written; None where there is none to write.
    """

    topic: str
    head: bytes
    tail: bytes = b""
    clock: Clock | None = None
    copies: int = 1

    def payload(self, now: Moment) -> bytes:
        """The payload at a moment."""
        if self.clock is None:
            return self.head
        return self.head + (now.iso if self.clock == "iso" else now.unix) + self.tail

    def size(self) -> int:
        """Bytes of the payload, about."""
        return len(self.head) + len(self.tail)


def split(topic: str, payload: bytes, clock: Clock) -> Template:
    """A template of a payload that may hold the marker."""
    head, found, tail = payload.partition(f'"{MARKER}"'.encode())
    return Template(topic, head, tail, clock if found else None)
