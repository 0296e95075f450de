"""The last stage, and the only one that confirms inputs to their lane.

Whoever has an outcome for inputs reports it here; the account decides what prefix is finished, and
this stage sends its acknowledgements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from geoweir.core.account import Account, Ledger
from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel

__all__ = ["Confirmed", "Settlement"]


class Confirmed(Protocol):
    """What inputs are confirmed to: the part of an inlet that this stage needs."""

    def settle(self, lane: str, epoch: int, position: int) -> None:
        """Confirms every input of the epoch up to and including ``position``."""

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """Confirms single inputs."""


class Settlement:
    """Counts outcomes and acknowledges finished prefixes.

    Args:
        account: the judge.
        inlets: the inlet of each lane.
        any_order: acknowledge each input at once, for brokers that forgive disorder.
        on_settled: told of every outcome, with the seconds since the parcel's oldest input came.
    """

    def __init__(
        self,
        *,
        account: Account,
        inlets: Mapping[str, Confirmed],
        any_order: bool,
        clock: Callable[[], float],
        on_settled: Callable[[str, Outcome, str, int, float], None],
    ) -> None:
        self._account = account
        self._inlets = inlets
        self._any_order = any_order
        self._clock = clock
        self._on_settled = on_settled

    def settle(self, parcel: Parcel, indices: Sequence[int], outcome: Outcome, reason: str) -> None:
        """Gives the inputs at ``indices`` of the parcel their outcome."""
        if not indices:
            return
        ledger = parcel.ledger
        is_whole = len(indices) == len(parcel)
        positions = parcel.positions if is_whole else [parcel.positions[index] for index in indices]
        counted = self._account.settle(ledger, positions, outcome, reason)
        parcel.release(indices)
        if counted:
            seconds = self._clock() - parcel.arrived
            self._on_settled(ledger.stream, outcome, reason, counted, seconds)
        if self._any_order and not ledger.is_closed:
            self._inlets[ledger.lane].settle_each(ledger.lane, ledger.epoch, positions)
        self.confirm(ledger)

    def confirm(self, ledger: Ledger) -> None:
        """Acknowledges the prefix of a ledger that is finished."""
        finished = self._account.confirm(ledger)
        if finished is not None:
            self._inlets[ledger.lane].settle(ledger.lane, ledger.epoch, finished)
