"""Inputs that travel together: a batch on its way in, a chunk on its way through a worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from geoweir.core.account import Ledger
from geoweir.core.lane import DURABLE, Headers
from geoweir.core.work import Sightings

__all__ = ["Parcel"]


@dataclass(slots=True, eq=False, kw_only=True)
class Parcel:
    """Inputs of one stream and one ledger, in order; every column has one entry per input.

    Attributes:
        flags: the flags of ``core.lane``.
        received: wall clock of arrival, Unix seconds.
        arrived: the monotonic clock when the oldest input came.
        open: 1 for an input that whoever holds the parcel still answers for, 0 once it is settled
            or voided.
        sightings: what a worker saw of the inputs, where somebody watches.
    """

    ledger: Ledger
    positions: list[int]
    payloads: list[bytes]
    addresses: list[str]
    headers: list[Headers]
    flags: bytes
    received: list[float]
    arrived: float
    payload_bytes: int
    open: bytearray
    sightings: Sightings | None = None

    def __repr__(self) -> str:
        return f"<Parcel {self.ledger.stream} n={len(self)} held={self.held}>"

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def held(self) -> int:
        """Inputs that still need an outcome."""
        return self.open.count(1)

    def void(self) -> None:
        """Lets go of the durable inputs: their lane reopened and sends them again."""
        for index, flags in enumerate(self.flags):
            if flags & DURABLE:
                self.open[index] = 0

    def release(self, indices: Iterable[int]) -> None:
        """Lets go of settled inputs."""
        if isinstance(indices, range) and len(indices) == len(self.open):
            self.open = bytearray(len(self.open))
            return
        for index in indices:
            self.open[index] = 0

    def without_released(self) -> Parcel:
        """What still needs an outcome, as a parcel of its own (itself where that is all)."""
        if self.held == len(self):
            return self
        return self.part([index for index, is_open in enumerate(self.open) if is_open])

    def split(self, count: int) -> tuple[Parcel, Parcel]:
        """The first ``count`` inputs, and the rest."""
        return self.part(range(count)), self.part(range(count, len(self)))

    def part(self, indices: range | list[int]) -> Parcel:
        """The inputs at ``indices`` as a parcel of their own."""
        if isinstance(indices, range):
            cut = slice(indices.start, indices.stop, indices.step)
            positions, payloads = self.positions[cut], self.payloads[cut]
            addresses, headers = self.addresses[cut], self.headers[cut]
            flags, received, still_open = self.flags[cut], self.received[cut], self.open[cut]
        else:
            positions = [self.positions[i] for i in indices]
            payloads = [self.payloads[i] for i in indices]
            addresses = [self.addresses[i] for i in indices]
            headers = [self.headers[i] for i in indices]
            flags = bytes(self.flags[i] for i in indices)
            received = [self.received[i] for i in indices]
            still_open = bytearray(self.open[i] for i in indices)
        return Parcel(
            ledger=self.ledger,
            positions=positions,
            payloads=payloads,
            addresses=addresses,
            headers=headers,
            flags=flags,
            received=received,
            arrived=self.arrived,
            payload_bytes=sum(map(len, payloads)),
            open=still_open,
        )

    def join(self, other: Parcel) -> None:
        """Appends a parcel of the same ledger."""
        self.positions += other.positions
        self.payloads += other.payloads
        self.addresses += other.addresses
        self.headers += other.headers
        self.flags += other.flags
        self.received += other.received
        self.payload_bytes += other.payload_bytes
        self.open += other.open
        self.arrived = min(self.arrived, other.arrived)
