"""Inputs as an inlet hands them over: batches with receipts.

A *lane* is an ordered source with its own acknowledged prefix, epoch and bound: one MQTT
connection, one Kafka partition. A receipt is ``(lane, epoch, position)``; positions of one epoch
count up from 0 without holes, so that a finished prefix is one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["DURABLE", "REPEATED", "RETAINED", "Batch", "Headers", "LaneClosed", "LaneOpened"]

#: Flags of an input, one byte each.
DURABLE: Final = 1  # comes again if it isn't settled (MQTT QoS 1)
REPEATED: Final = 2  # the source says that it was sent before (MQTT DUP)
RETAINED: Final = 4  # the source kept it for newcomers (MQTT retained)

#: Properties of one message that are passed on to what is made of it.
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs of one lane in order of receipt; every column has one entry per input."""

    lane: str
    epoch: int
    first: int  # position of the first input
    payloads: Sequence[bytes]
    addresses: Sequence[str]
    headers: Sequence[Headers]
    flags: bytes
    received: float  # wall clock of the read, Unix seconds

    def __len__(self) -> int:
        return len(self.payloads)


@dataclass(frozen=True, slots=True)
class LaneOpened:
    """A lane begins a new epoch; ``resumed``: unsettled durable inputs of before come again."""

    lane: str
    epoch: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class LaneClosed:
    """A lane's epoch ended; nothing of it can be settled any more."""

    lane: str
    epoch: int
    why: str
