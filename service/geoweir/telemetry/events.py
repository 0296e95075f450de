"""One struct per event; ``emit`` logs and counts it in the same call.

What the account already counts is only remembered for the status page: nothing is counted twice.
Details may hold text from the network; ``log`` cleans every value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from geoweir.core.outcome import Outcome
from geoweir.core.spec import Reference
from geoweir.telemetry.log import write
from geoweir.telemetry.metrics import Direction, Metrics, Recent

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "FenceRefused",
    "InputsNotKept",
    "InputsReconciled",
    "InputsRejected",
    "KeptRemoved",
    "LaneClosed",
    "LaneOpened",
    "OutputRefused",
    "ReferenceCompiling",
    "ReferenceFailed",
    "ReferenceLoaded",
    "SequenceGaps",
    "ServiceDraining",
    "ServiceReady",
    "ServiceStopped",
    "StoreDamaged",
    "StoreFailed",
    "StoreWorks",
    "WorkerRestarted",
    "WorkersSandboxed",
]


class Event(Protocol):
    """Something that happened."""

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsRejected:
    """Inputs of one stream were rejected for one reason; ``detail`` is of one of them."""

    stream: str
    reason: str
    n: int
    detail: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs them and shows them on the status page."""
        write(
            log,
            logging.WARNING,
            "inputs-rejected",
            self.reason,
            stream=self.stream,
            n=self.n,
            detail=self.detail,
        )
        metrics.dropped(
            Recent(time.time(), self.stream, Outcome.REJECTED, self.reason, self.n, self.detail)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsReconciled:
    """Inputs of one chunk, or what waited for one, were reconciled for one reason."""

    stream: str
    reason: str
    ids: Sequence[str]
    n: int
    chunk: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs their ids and shows them on the status page."""
        write(
            log,
            logging.ERROR,
            "inputs-reconciled",
            self.reason,
            stream=self.stream,
            n=self.n,
            chunk=self.chunk,
            ids=self.ids,
        )
        detail = f"chunk {self.chunk}"
        metrics.dropped(
            Recent(time.time(), self.stream, Outcome.RECONCILED, self.reason, self.n, detail)
        )


@dataclass(frozen=True, slots=True)
class SequenceGaps:
    """Numbers of a stream's devices are missing; ``examples`` are some of the gaps."""

    stream: str
    gaps: int
    missing: int
    examples: Sequence[str]

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs them; they are counted where they are found."""
        del metrics
        write(
            log,
            logging.WARNING,
            "sequence-gaps",
            "missing",
            stream=self.stream,
            gaps=self.gaps,
            missing=self.missing,
            examples=self.examples,
            detail="these inputs never reached geoweir: look at the broker's queue and the network",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRestarted:
    """A slot got a new worker."""

    worker: int
    reason: str  # of RESTART_REASONS
    detail: str = ""

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts it; recycling is housekeeping."""
        level = logging.INFO if self.reason == "recycle" else logging.ERROR
        write(log, level, "worker-restarted", self.reason, worker=self.worker, detail=self.detail)
        metrics.worker_restarted(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersSandboxed:
    """What workers may do from their first chunk on; ``how``: see ``pool.sandbox.enter``."""

    how: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        metrics.is_sandboxed = self.how.startswith("seccomp")
        level = logging.INFO if metrics.is_sandboxed else logging.WARNING
        write(log, level, "sandbox", how=self.how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connection to the broker is up; ``address`` is host:port, ``stream`` empty for outputs."""

    direction: Direction
    address: str
    stream: str = ""
    again: bool = False  # it was up before

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it, sets the gauge, and counts a reconnect."""
        write(
            log,
            logging.INFO,
            "connected",
            direction=self.direction,
            broker=self.address,
            stream=self.stream,
            again=self.again,
        )
        metrics.connected(self.direction, up=True, stream=self.stream)
        if self.again:
            metrics.reconnected(self.direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """A connection to the broker was lost, could not be made, or was closed."""

    direction: Direction
    address: str
    why: str
    stream: str = ""

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        write(
            log,
            logging.WARNING,
            "disconnected",
            direction=self.direction,
            broker=self.address,
            stream=self.stream,
            why=self.why,
        )
        metrics.connected(self.direction, up=False, stream=self.stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOpened:
    """A lane began an epoch."""

    stream: str
    lane: str
    epoch: int
    resumed: bool
    returned: int = 0  # inputs of earlier epochs that come again

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - the account counts
        """Logs it."""
        write(
            log,
            logging.INFO,
            "lane-opened",
            stream=self.stream,
            lane=self.lane,
            epoch=self.epoch,
            resumed=self.resumed,
            returned=self.returned,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneClosed:
    """A lane's epoch ended."""

    stream: str
    lane: str
    epoch: int
    why: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - the account counts
        """Logs it."""
        write(
            log,
            logging.INFO,
            "lane-closed",
            stream=self.stream,
            lane=self.lane,
            epoch=self.epoch,
            why=self.why,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRefused:
    """The broker refused a message for good; ``code`` is its reason code."""

    kind: str  # of MESSAGE_KINDS
    topic: str
    code: int
    text: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts it."""
        write(
            log,
            logging.ERROR,
            "output-refused",
            self.kind,
            topic=self.topic,
            code=self.code,
            text=self.text,
        )
        metrics.publish_refused(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceLoaded:
    """A layer or raster is in use; ``size`` is what the file says of its size."""

    reference: Reference
    version: str
    size: Mapping[str, int]

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and shows its version."""
        kind, name = self.reference
        shown: dict[str, Any] = {kind: name, "version": self.version, **self.size}
        write(log, logging.INFO, f"{kind}-loaded", **shown)
        metrics.reference_loaded(self.reference, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFailed:
    """A layer or raster, or a new version of it, can't be used."""

    reference: Reference
    why: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts it."""
        kind, name = self.reference
        write(log, logging.ERROR, f"{kind}-failed", **{kind: name}, why=self.why)
        metrics.reference_failed(self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceRefused:
    """A Feature of a live layer can't be used; the one before it on its topic stays."""

    layer: str
    topic: str
    why: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts it."""
        write(
            log, logging.WARNING, "fence-refused", layer=self.layer, topic=self.topic, why=self.why
        )
        metrics.fence_refused(self.layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCompiling:
    """A plain source is being compiled, which may take a while."""

    reference: Reference
    source: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - nothing to count
        """Logs it."""
        kind, name = self.reference
        write(log, logging.INFO, f"{kind}-compiling", **{kind: name}, source=self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReady:
    """Everything that ``/readyz`` asks for is there."""

    version: str
    url: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - nothing to count
        """Logs it."""
        write(log, logging.INFO, "ready", version=self.version, url=self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivesBefore:
    """Earlier lives ended without being asked to; what comes again is let in one by one."""

    short: int
    deadly: int  # inputs that killed a service and are not read again

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002
        """Logs it."""
        write(log, logging.WARNING, "lives-before", short=self.short, deadly=self.deadly)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """The service goes on with a changed configuration."""

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        write(log, logging.INFO, "reloaded")
        metrics.is_reload_good = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadUnneeded:
    """A reload was asked for, and the configuration says what it said."""

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        write(log, logging.INFO, "reload-unneeded")
        metrics.is_reload_good = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRefused:
    """A changed configuration can't be taken up; the one before goes on."""

    why: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        write(log, logging.ERROR, "reload-refused", detail=self.why)
        metrics.is_reload_good = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDraining:
    """The service reads no more and finishes what it has."""

    why: str
    in_flight: int
    grace_s: float

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - nothing to count
        """Logs it."""
        write(
            log,
            logging.INFO,
            "draining",
            why=self.why,
            in_flight=self.in_flight,
            grace_s=self.grace_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStopped:
    """The service has ended."""

    unaccounted: int
    in_flight: int

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - nothing to count
        """Logs it; an account that does not balance is an error."""
        level = logging.ERROR if self.unaccounted else logging.INFO
        write(log, level, "stopped", unaccounted=self.unaccounted, in_flight=self.in_flight)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """The state store can't keep anything from now on; the service goes on without."""

    why: str  # of core.kept.TROUBLES
    detail: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        write(log, logging.ERROR, "store-failed", self.why, detail=self.detail)
        metrics.store_is_up = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWorks:
    """The state store keeps again."""

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        write(log, logging.INFO, "store-works")
        metrics.store_is_up = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDamaged:
    """The state's file was not fit; it lies under another name, and a fresh one was begun."""

    why: str
    aside: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts it."""
        write(log, logging.ERROR, "store-damaged", detail=self.why, aside=self.aside)
        metrics.store_damages += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpillFailed:
    """The spill can't take anything from now on: inputs wait at the broker."""

    why: str  # of core.kept.TROUBLES
    detail: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it; a full spill is a bound that was reached, the rest is a fault."""
        level = logging.WARNING if self.why == "full" else logging.ERROR
        write(log, level, "spill-failed", self.why, detail=self.detail)
        metrics.spill_is_up = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpillWorks:
    """The spill takes inputs again."""

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs it and sets the gauge."""
        write(log, logging.INFO, "spill-works")
        metrics.spill_is_up = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SpillDamaged:
    """A file of the spill is damaged; a copy of it stays."""

    detail: str
    lost: int  # inputs that can't be found any more

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts it."""
        write(log, logging.ERROR, "spill-damaged", detail=self.detail, lost=self.lost)
        metrics.spill_damages += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpillLeft:
    """Inputs wait on the disk for a stream that isn't configured; they stay."""

    stream: str
    n: int

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002
        """Logs it."""
        write(log, logging.WARNING, "spill-left", stream=self.stream, n=self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsNotKept:
    """Dropped inputs have their outcome, and can't be sent through again from here."""

    why: str  # of core.kept.TROUBLES
    n: int

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts them."""
        write(log, logging.WARNING, "inputs-not-kept", self.why, n=self.n)
        metrics.inputs_not_kept(self.why, self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRemoved:
    """The oldest kept inputs left, because a bound was reached."""

    why: str  # of core.kept.BOUNDS
    n: int

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:
        """Logs and counts them."""
        write(log, logging.INFO, "kept-removed", self.why, n=self.n)
        metrics.kept_removed(self.why, self.n)
