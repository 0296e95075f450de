"""What was measured, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from geoweir.sizing.derived import Setting

__all__ = ["Calm", "Ceiling", "Latency", "Load", "Memory", "StreamOutcomes", "Trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy each part was, in cores; ``machine`` is the share of those that are to be had."""

    tool: float  # feeder and listener
    broker: float
    service: float  # its event loop, and what else runs in its process
    workers: float  # all together
    others: float  # what else runs on the machine
    machine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Private bytes at most, while it was measured."""

    service: int
    worker: int  # of the largest


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOutcomes:
    """What became of the inputs of one stream, over a whole run of the service."""

    received: int
    published: int
    filtered: int
    rejected: int
    reconciled: int
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting at saturation.

    Attributes:
        rate: inputs with an outcome, a second.
        seconds: how long it was measured.
        cpu_us: of service and workers, for each of them.
        lag_p99_ms: how late the service's event loop came.
        limit: which part bounded the rate; see ``rules.limit``.
        faults: what makes the account wrong; empty when it balances.
        notes: what a reader must know of the figures.
    """

    setting: Setting
    rate: float
    seconds: float
    cpu_us: float
    lag_p99_ms: float | None
    load: Load
    memory: Memory
    limit: str
    streams: dict[str, StreamOutcomes]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def or_better(self, other: Trial) -> Trial:
        """The one with the higher rate, with the larger memory and the faults of both."""
        better = max(self, other, key=lambda trial: trial.rate)
        memory = Memory(
            service=max(self.memory.service, other.memory.service),
            worker=max(self.memory.worker, other.memory.worker),
        )
        faults = (*self.faults, *other.faults)
        return replace(better, memory=memory, faults=faults, notes=(*self.notes, *other.notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From sending to the result, at a share of the best rate; None without any result.

    Attributes:
        offered: inputs a second that were meant to be sent.
        rate: inputs with an outcome, a second.
    """

    share: float
    offered: float
    rate: float
    p50_ms: float | None
    p99_ms: float | None
    lag_p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """One setting at part load; ``faults`` and ``notes`` as in a trial."""

    latencies: tuple[Latency, ...]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Feeder, broker and listener without the service: messages a second."""

    rate: float
    tool: float  # cores
    broker: float  # cores
