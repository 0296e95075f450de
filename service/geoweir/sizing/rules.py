"""What the figures suggest: simple rules on plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from geoweir.core.deadline import SHORTEST_S, STALL_SHARE
from geoweir.settings.units import size_text
from geoweir.sizing.results import Ceiling, Load, Trial

__all__ = [
    "Configured",
    "Suggestion",
    "cautions",
    "fewest_workers",
    "limit",
    "plain_rate",
    "queue_to_try",
    "smallest_chunk",
    "suggestions",
]

_AS_GOOD: Final = 0.95  # of the best rate
_BUSY: Final = 0.9  # of a core: it can't do more
_WORKERS_BUSY: Final = 0.85  # of a core each: between two chunks they wait a little
_FULL: Final = 0.95  # of the whole machine
_NEAR_CEILING: Final = 0.7
_DISTURBING: Final = 0.15  # of a core
_USUAL_LOAD: Final = 0.5  # of the best rate: what a gateway should be built for
_MOST_WINDOW: Final = 65_535
_WINDOW_STEP: Final = 1000
_MEMORY_MARGIN: Final = 2
_TIGHT: Final = 0.6  # of its cap: from there on a worker spends time on giving memory back
_MOST_OF_MACHINE: Final = 0.5
_LEAST_MEMORY: Final = 64_000_000
_MEMORY_STEP: Final = 10_000_000
_THOUSANDS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What the configuration says, and the machine has."""

    workers: int
    chunk: int
    queue: int
    timeout_s: float
    memory: int  # bytes, of a worker
    receive_window: int
    receive_bytes: int
    busiest_share: float  # of all inputs, of the stream that gets most
    payload_bytes: float  # mean
    machine_bytes: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line for the configuration, and why."""

    section: str
    key: str
    value: int | str
    reason: str


def limit(load: Load, workers: int) -> str:
    """Which part could not do more: tool, broker, service, workers, machine, or unclear."""
    if load.tool >= _BUSY:
        return "tool"
    if load.broker >= _BUSY:
        return "broker"
    if load.service >= _BUSY:
        return "service"
    if load.workers >= workers * _WORKERS_BUSY:
        return "workers"
    return "machine" if load.machine >= _FULL else "unclear"


def cautions(best: Trial, ceiling: Ceiling) -> list[str]:
    """What a reader must know where not only the gateway was measured."""
    found = []
    if best.limit == "tool":
        found.append("the feeder and listener were the limit: the gateway may carry more")
    elif best.limit == "broker":
        found.append("the broker was the limit: with a faster one the gateway may carry more")
    elif best.rate >= _NEAR_CEILING * ceiling.rate:
        found.append(
            f"without the service, feeder, broker and listener carry {plain_rate(ceiling.rate)}: "
            "too near for them not to matter; the gateway may carry more"
        )
    elif best.limit == "machine":
        found.append(
            "all cores were busy, with feeder, listener and broker among them: with those on other "
            "machines it carries more"
        )
    if best.load.others >= _DISTURBING:
        found.append(
            f"other programs took {best.load.others:.1f} cores meanwhile: on a quiet machine the "
            "figures are higher and steadier"
        )
    return found


def fewest_workers(trials: Sequence[Trial]) -> Trial:
    """The trial with the fewest workers whose rate is within 5 % of the best."""
    return min(_as_good(trials), key=lambda trial: trial.setting.workers)


def smallest_chunk(trials: Sequence[Trial]) -> Trial:
    """The trial with the smallest chunk whose rate is within 5 % of the best."""
    return min(_as_good(trials), key=lambda trial: trial.setting.chunk)


def _as_good(trials: Sequence[Trial]) -> list[Trial]:
    best = max(trial.rate for trial in trials)
    return [trial for trial in trials if trial.rate >= _AS_GOOD * best]


def queue_to_try(best: Trial) -> int | None:
    """A queue that holds two chunks for each worker, where the one that is there does not."""
    wanted = 2 * best.setting.workers * best.setting.chunk
    return wanted if best.setting.queue < wanted else None


def suggestions(
    configured: Configured,
    by_workers: Sequence[Trial],
    by_chunk: Sequence[Trial],
    by_queue: Trial | None,
) -> list[Suggestion]:
    """Lines for the configuration, each only where it differs from what is there.

    Args:
        configured: what is there.
        by_workers: the trials of different workers.
        by_chunk: those of different chunks, at the best workers.
        by_queue: that of another queue, at the best of both.
    """
    best = smallest_chunk(by_chunk)
    found = [
        _workers(configured, by_workers),
        _chunk(configured, by_chunk),
        _memory(configured, [*by_workers, *by_chunk], best),
        _queue(configured, best, by_queue),
        _window(configured, best.rate),
    ]
    return [suggestion for suggestion in found if suggestion is not None]


def _workers(configured: Configured, trials: Sequence[Trial]) -> Suggestion | None:
    best = fewest_workers(trials).setting.workers
    if best == configured.workers:
        return None
    ordered = sorted(trials, key=lambda trial: trial.setting.workers)
    carried = [_carries(t.setting.workers, "worker", t.rate) for t in ordered]
    return Suggestion("pool", "workers", best, _sentence(carried))


def _chunk(configured: Configured, trials: Sequence[Trial]) -> Suggestion | None:
    best = smallest_chunk(trials).setting.chunk
    if best == configured.chunk:
        return None
    ordered = sorted(trials, key=lambda trial: trial.setting.chunk)
    carried = [f"chunks of {t.setting.chunk} carry {plain_rate(t.rate)}" for t in ordered]
    return Suggestion("pool", "chunk", best, _sentence(carried))


def _memory(configured: Configured, trials: Sequence[Trial], best: Trial) -> Suggestion | None:
    """Twice the peak: more where the cap is tight, less where all caps are too much together."""
    peak = max(trial.memory.worker for trial in trials)
    if not peak:
        return None
    wanted = max(_LEAST_MEMORY, _up(peak * _MEMORY_MARGIN, _MEMORY_STEP))
    reached = f"workers reached {_megabytes(peak)}"
    if peak > configured.memory * _TIGHT and wanted > configured.memory:
        reason = f"{reached} of {size_text(configured.memory)}; twice the peak leaves room"
        return Suggestion("pool", "memory", size_text(wanted), reason)
    together = configured.memory * best.setting.workers
    if together > configured.machine_bytes * _MOST_OF_MACHINE and wanted < configured.memory:
        reason = (
            f"{reached}; {_carries(best.setting.workers, 'worker', None)} of "
            f"{size_text(configured.memory)} could take more than half of this machine's memory"
        )
        return Suggestion("pool", "memory", size_text(wanted), reason)
    return None


def _queue(configured: Configured, best: Trial, tried: Trial | None) -> Suggestion | None:
    if tried is None or tried.rate * _AS_GOOD <= best.rate:
        return None
    if tried.setting.queue == configured.queue:
        return None
    reason = (
        f"a queue of {tried.setting.queue} carries {plain_rate(tried.rate)}, "
        f"one of {best.setting.queue} carries {plain_rate(best.rate)}"
    )
    return Suggestion("queue", "limit", tried.setting.queue, reason)


def _window(configured: Configured, best_rate: float) -> Suggestion | None:
    """Room for what comes while one input hangs until its deadlines have passed."""
    stall_s = min(SHORTEST_S, configured.timeout_s) + configured.timeout_s * STALL_SHARE
    rate = best_rate * _USUAL_LOAD * configured.busiest_share
    fitting = int(configured.receive_bytes / max(configured.payload_bytes, 1.0))
    wanted = min(_up(math.ceil(rate * stall_s), _WINDOW_STEP), _MOST_WINDOW, max(fitting, 1))
    if wanted <= configured.receive_window:
        return None
    reason = (
        f"{plain_rate(rate)} to one stream, half of what is carried, for the {stall_s:.2g} s that "
        "an input may hang: a smaller window stops reading"
    )
    return Suggestion("mqtt", "receive_window", wanted, reason)


def _sentence(parts: Sequence[str]) -> str:
    return ", ".join(parts)


def _carries(count: int, what: str, rate: float | None) -> str:
    named = f"{count} {what}{'' if count == 1 else 's'}"
    if rate is None:
        return named
    return f"{named} {'carries' if count == 1 else 'carry'} {plain_rate(rate)}"


def _up(value: float, step: int) -> int:
    return math.ceil(value / step) * step


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f}MB"


def plain_rate(rate: float) -> str:
    """Messages a second for people."""
    return f"{rate / 1000:.1f} k/s" if rate >= _THOUSANDS else f"{rate:,.0f}/s"
