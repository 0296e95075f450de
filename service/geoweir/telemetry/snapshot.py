"""What other rooms own and ``/metrics`` shows: read once per scrape, so that it is one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from geoweir.core.account import StreamTotals
from geoweir.core.outcome import REASONS, Outcome

__all__ = ["MEMORIES", "WORKER_STATES", "GatewayReading", "SlotReading", "Snapshot", "reasons_of"]

#: Every state that ``geoweir_workers`` can name; others are counted as ``other``.
WORKER_STATES: Final = ("starting", "idle", "busy", "backoff", "other")

#: What is remembered of each id, or of each input, and bounded by ``limits.ids``.
MEMORIES: Final = ("interval", "repeat", "sequence")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReading:
    """One worker slot, read at scrape time."""

    state: str
    busy_s: float  # time spent on chunks since the start, over all workers of the slot
    private_bytes: int  # of the worker that has the slot now


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayReading:
    """The machine itself; None where nobody says."""

    celsius: float | None = None
    limit: float | None = None  # degrees Celsius
    frequency_hz: float | None = None
    duty: float = 1.0  # share of the workers' time that may be used
    speed: float | None = None  # by the best seen
    is_undervolted: bool | None = None
    pressure: Mapping[str, float] = field(default_factory=dict)  # shares by resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The account and the gauges of one moment; ages are seconds, sizes bytes."""

    streams: Mapping[str, StreamTotals]
    in_flight: Mapping[str, int]
    unaccounted: int
    oldest_in_flight_s: Mapping[str, float] = field(default_factory=dict)
    queue_messages: int = 0
    queue_limit: int = 0
    receive_window: int = 0
    chunk_limit: int = 0
    slots: Sequence[SlotReading] = ()
    worker_memory_limit: int = 0
    kept_messages: int = 0
    kept_bytes: int = 0
    retrying: int = 0  # retried inputs without an outcome
    spill_messages: int = 0
    spill_bytes: int = 0
    spill_limit: int = 0  # 0: no spill
    gateway: GatewayReading = GatewayReading()
    forgotten: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by stream and memory
    certificates: Mapping[str, float] = field(default_factory=dict)  # seconds until each ends

    def workers(self) -> dict[str, int]:
        """Slots by state, every known state named."""
        states = dict.fromkeys(WORKER_STATES, 0)
        for slot in self.slots:
            states[slot.state if slot.state in states else "other"] += 1
        return states


def reasons_of(totals: StreamTotals) -> dict[str, dict[str, int]]:
    """Counts by outcome and reason, without those that never happened."""
    return {
        str(outcome): counts
        for outcome in Outcome
        if outcome is not Outcome.PUBLISHED
        and (counts := {r: n for r in REASONS[outcome] if (n := totals.outcomes[outcome, r])})
    }
