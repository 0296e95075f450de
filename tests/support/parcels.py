"""Parcels for tests of the stages, with an account that has received them."""

from __future__ import annotations

from geoweir.core.account import Account, Event, Ledger
from geoweir.core.lane import DURABLE
from geoweir.core.parcel import Parcel


def received(
    account: Account, ledger: Ledger, count: int, *, flags: int = DURABLE, now: float = 0.0
) -> Parcel:
    """A parcel of so many inputs that the account has just received."""
    first = ledger.next_position
    account.receive(ledger, first, bytes([flags]) * count, now)
    payloads = [f'{{"n":{first + n}}}'.encode() for n in range(count)]
    return Parcel(
        ledger=ledger,
        positions=list(range(first, first + count)),
        payloads=payloads,
        addresses=[f"in/{n}" for n in range(count)],
        headers=[()] * count,
        flags=bytes([flags]) * count,
        received=[1_790_000_000.0] * count,
        arrived=now,
        payload_bytes=sum(map(len, payloads)),
        open=bytearray(b"\1") * count,
    )


def working(account: Account, ledger: Ledger, count: int, *, flags: int = DURABLE) -> Parcel:
    """A parcel that a worker has."""
    parcel = received(account, ledger, count, flags=flags)
    account.advance(ledger, parcel.positions, Event.QUEUE)
    account.advance(ledger, parcel.positions, Event.START)
    return parcel
