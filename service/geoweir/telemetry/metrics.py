"""The service's own numbers: counted here where nobody else counts them, read elsewhere if so.

Methods are named after events. What the account counts is not counted again: ``exposition`` takes
one ``Snapshot`` per scrape and exports the account from it, so ``/metrics`` and ``/api/account``
can't disagree. Labels come from the configuration and from closed lists only; every combination
exists from the start, or the first drop after a start would be invisible to ``increase``.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from geoweir.core.kept import BOUNDS, TROUBLES
from geoweir.core.outcome import Outcome
from geoweir.core.spec import Reference
from geoweir.telemetry.histogram import Histogram

__all__ = [
    "MESSAGE_KINDS",
    "RESTART_REASONS",
    "Direction",
    "Metrics",
    "Pause",
    "Recent",
    "StreamMeters",
    "step_labels",
]

Direction = Literal["in", "out"]

#: Why a worker is replaced. ``recycle`` is housekeeping between chunks, the rest are faults.
RESTART_REASONS: Final = ("timeout", "memory", "crash", "start", "recycle")
#: What a publish that the broker refused was meant to be.
MESSAGE_KINDS: Final = ("result", "rejected", "reconcile", "status")
_LATENCY_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CHUNK_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_STEP_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
_FEATURES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_LAG_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_Key = TypeVar("_Key")

_RECENT: Final = 20  # drops that the status page can show


@dataclass(frozen=True, slots=True)
class Recent:
    """A drop that a person may want to see: ``at`` is Unix seconds."""

    at: float
    stream: str
    outcome: Outcome
    reason: str
    n: int
    detail: str


class Pause:
    """How long the reading of one stream has stood still."""

    __slots__ = ("_since", "_total_s")

    def __init__(self) -> None:
        self._since: float | None = None
        self._total_s = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the stream is paused now."""
        return self._since is not None

    def turn(self, now: float, *, paused: bool) -> None:
        """Begins or ends a pause; saying the same twice changes nothing."""
        if paused and self._since is None:
            self._since = now
        elif not paused and self._since is not None:
            self._total_s += now - self._since
            self._since = None

    def seconds(self, now: float) -> float:
        """All pauses so far, the running one included."""
        return self._total_s + (now - self._since if self._since is not None else 0.0)


class StreamMeters:
    """What is counted for one stream."""

    __slots__ = (
        "chunk_features",
        "chunk_s",
        "gaps",
        "last_received",
        "latency_s",
        "missing",
        "pause",
        "steps",
    )

    def __init__(self, steps: Sequence[str]) -> None:
        self.last_received = 0.0
        self.gaps = 0
        self.missing = 0
        self.pause = Pause()
        self.chunk_s = Histogram(_CHUNK_S)
        self.chunk_features = Histogram(_FEATURES)
        self.latency_s = Histogram(_LATENCY_S)
        self.steps = {label: Histogram(_STEP_S) for label in step_labels(steps)}


class Metrics:
    """Counts events; ``exposition.render`` shows them beside a snapshot of what others own.

    Args:
        streams: the name of each stream and the names of its steps, in order.
        references: all layers and rasters.
        live: the name of each live layer and that of its lane.
        version: of geoweir.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        streams: Mapping[str, Sequence[str]],
        references: Sequence[Reference] = (),
        live: Mapping[str, str] = MappingProxyType({}),
        version: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version = version
        self.clock = clock
        self.streams = {name: StreamMeters(steps) for name, steps in streams.items()}
        self.lag_s = Histogram(_LAG_S)
        self.restarts = Counter(dict.fromkeys(RESTART_REASONS, 0))
        self.publish_failures = Counter(dict.fromkeys(MESSAGE_KINDS, 0))
        self.reconnects: Counter[Direction] = Counter({"in": 0, "out": 0})
        self.not_kept = Counter(dict.fromkeys(TROUBLES, 0))
        self.removed = Counter(dict.fromkeys(BOUNDS, 0))
        self.retried = {name: dict.fromkeys(Outcome, 0) for name in streams}
        self.store_is_up = True
        self.spill_is_up = True
        self.is_reload_good = True
        self.is_sandboxed = False
        self.spill_damages = 0
        self.store_damages = 0
        self.versions: dict[Reference, str] = {}  # of what is in use
        self.load_errors = Counter(dict.fromkeys(references, 0))
        self.fences_refused = Counter(dict.fromkeys(live, 0))
        self.recent: deque[Recent] = deque(maxlen=_RECENT)
        self._up: dict[tuple[Direction, str], bool] = {("out", ""): False}
        self._up.update({("in", name): False for name in (*streams, *live.values())})

    def received(self, stream: str, at: float) -> None:
        """Inputs of the stream were read at ``at``, Unix seconds; the account counts them."""
        self.streams[stream].last_received = at

    def sequence_gaps(self, stream: str, gaps: int, missing: int) -> None:
        """Sequence numbers are missing, in so many gaps."""
        self.streams[stream].gaps += gaps
        self.streams[stream].missing += missing

    def dropped(self, recent: Recent) -> None:
        """Inputs were rejected or reconciled; the account counts them, the page shows the last."""
        self.recent.append(recent)

    def chunk_done(
        self, stream: str, *, features: int, seconds: float, step_seconds: Sequence[float]
    ) -> None:
        """A worker finished a chunk; ``step_seconds`` are parallel to the stream's steps."""
        meters = self.streams[stream]
        meters.chunk_s.observe(seconds)
        meters.chunk_features.observe(features)
        # A worker is not trusted with the number of steps: what is over is not counted.
        for histogram, step_s in zip(meters.steps.values(), step_seconds, strict=False):
            histogram.observe(step_s)

    def latency(self, stream: str, seconds: float, n: int) -> None:
        """The output of ``n`` inputs was acknowledged ``seconds`` after they were received."""
        self.streams[stream].latency_s.observe(seconds, n)

    def worker_restarted(self, reason: str) -> None:
        """A slot got a new worker; KeyError when the reason is not in the closed list."""
        self.restarts[_known(reason, self.restarts)] += 1

    def lag(self, seconds: float) -> None:
        """The event loop came this much late."""
        self.lag_s.observe(seconds)

    def reading_paused(self, stream: str, *, paused: bool, now: float) -> None:
        """Reading stopped or went on at ``now``, on the clock given to the constructor."""
        self.streams[stream].pause.turn(now, paused=paused)

    def connected(self, direction: Direction, *, up: bool, stream: str = "") -> None:
        """A connection to the broker came up or went down; inputs have one for each stream."""
        self._up[_known((direction, stream), self._up)] = up

    def is_connected(self, direction: Direction) -> bool:
        """Whether every connection of the direction is up."""
        return all(up for (way, _), up in self._up.items() if way == direction)

    def reconnected(self, direction: Direction) -> None:
        """A connection came back after it was lost."""
        self.reconnects[direction] += 1

    def publish_refused(self, kind: str) -> None:
        """The broker refused a message; KeyError when the kind is not in the closed list."""
        self.publish_failures[_known(kind, self.publish_failures)] += 1

    def inputs_not_kept(self, why: str, n: int) -> None:
        """Dropped inputs are not kept; KeyError when the reason is not in the closed list."""
        self.not_kept[_known(why, self.not_kept)] += n

    def kept_removed(self, why: str, n: int) -> None:
        """Kept inputs left at a bound; KeyError when it is not in the closed list."""
        self.removed[_known(why, self.removed)] += n

    def retried_settled(self, stream: str, outcome: Outcome, n: int) -> None:
        """Retried inputs have an outcome; the account counts it as every other."""
        self.retried[stream][outcome] += n

    def reference_loaded(self, reference: Reference, version: str) -> None:
        """It is in use in this version; the series of the version before goes."""
        self.versions[_known(reference, self.load_errors)] = version

    def reference_failed(self, reference: Reference) -> None:
        """It could not be loaded."""
        self.load_errors[_known(reference, self.load_errors)] += 1

    def fence_refused(self, layer: str) -> None:
        """A Feature of a live layer was refused."""
        self.fences_refused[_known(layer, self.fences_refused)] += 1


def step_labels(steps: Sequence[str]) -> list[str]:
    """Step names made unique: the second ``join`` of a stream is ``join-2``."""
    seen: Counter[str] = Counter()
    labels = []
    for step in steps:
        seen[step] += 1
        labels.append(step if seen[step] == 1 else f"{step}-{seen[step]}")
    return labels


def _known(key: _Key, table: Mapping[_Key, object]) -> _Key:
    """The key itself; KeyError for one that would be a new label value."""
    if key not in table:
        raise KeyError(key)
    return key
