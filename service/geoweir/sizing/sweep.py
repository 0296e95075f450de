"""Which settings are tried, in which order, and what is known at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from geoweir.sizing.budget import Budget
from geoweir.sizing.derived import Setting
from geoweir.sizing.results import Calm, Ceiling, Trial
from geoweir.sizing.rules import fewest_workers, plain_rate, queue_to_try, smallest_chunk
from geoweir.sizing.trial import Bench

__all__ = ["Findings", "Reporter", "Sweep"]

_CHUNKS: Final = (64, 32, 256, 128)  # the most telling first
_SHARES: Final = (0.1, 0.5)  # of the best rate, at which latency is measured
_NEEDED: Final = 3  # ceiling, the configured setting, latency


class Reporter(Protocol):
    """Shows how far it is."""

    def show(self, fraction: float, text: str) -> None:
        """A share of the whole, and a few words."""
        ...

    def say(self, text: str) -> None:
        """A line of its own."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was measured.

    Attributes:
        by_queue: None where no other queue was tried.
        skipped: settings that there was no time for.
    """

    ceiling: Ceiling
    by_workers: tuple[Trial, ...]
    by_chunk: tuple[Trial, ...]
    by_queue: Trial | None
    best: Trial
    calm: Calm
    skipped: tuple[Setting, ...]

    def trials(self) -> list[Trial]:
        """Every setting that was measured, once, in order."""
        found = {t.setting: t for t in (*self.by_workers, *self.by_chunk)}
        if self.by_queue is not None:
            found[self.by_queue.setting] = self.by_queue
        return [found[setting] for setting in sorted(found)]

    def notes(self) -> list[str]:
        """What a reader must know, each with where it was seen."""
        found = [f"{trial.setting}: {note}" for trial in self.trials() for note in trial.notes]
        return [*found, *(f"at part load: {note}" for note in self.calm.notes)]

    def faults(self) -> list[str]:
        """What makes an account wrong, each with where it was seen."""
        found = [f"{trial.setting}: {fault}" for trial in self.trials() for fault in trial.faults]
        return [*found, *(f"at part load: {fault}" for fault in self.calm.faults)]


class Sweep:
    """One run of the bench.

    Where time allows, every setting is measured twice, the settings in turn, and the better figure
    counts: what else a machine does only ever takes away from it.

    Args:
        bench: measures.
        configured: what the configuration says.
        workers: the most workers to try.
        seconds: for all of it, about.
        progress: told what is going on.
    """

    def __init__(
        self, bench: Bench, configured: Setting, workers: int, seconds: float, progress: Reporter
    ) -> None:
        self._bench = bench
        self._configured = configured
        self._workers = [n for n in range(1, workers + 1) if n != configured.workers]
        self._chunks = [n for n in _CHUNKS if n != configured.chunk]
        self._once = len(self._workers) + len(self._chunks) + 1
        self._twice = self._once + 1
        optional = self._once + self._twice
        self._budget = Budget(seconds, time.monotonic(), needed=_NEEDED, optional=optional)
        self._progress = progress
        self._rounds = 2
        self._skipped: list[Setting] = []

    async def run(self) -> Findings:
        """Measures everything that there is time for."""
        ceiling = await self._ceiling()
        first = await self._trial(self._configured, self._budget.needed_s(time.monotonic()))
        self._decide_rounds()
        by_workers = await self._compare(
            first, [replace(self._configured, workers=n) for n in self._workers]
        )
        chosen = fewest_workers(by_workers)
        by_chunk = await self._compare(
            chosen, [replace(chosen.setting, chunk=n) for n in self._chunks]
        )
        best = smallest_chunk(by_chunk)
        by_queue = await self._queue(best)
        if by_queue is not None and by_queue.rate > best.rate:
            best = by_queue
        return Findings(
            ceiling=ceiling,
            by_workers=tuple(by_workers),
            by_chunk=tuple(by_chunk),
            by_queue=by_queue,
            best=best,
            calm=await self._calm(best),
            skipped=tuple(self._skipped),
        )

    def _decide_rounds(self) -> None:
        """Each once before any twice."""
        if self._budget.room(time.monotonic()) < self._once + self._twice:
            self._rounds = 1
            self._budget.give_up(self._twice)

    async def _compare(self, known: Trial, settings: Sequence[Setting]) -> list[Trial]:
        """A known trial and those of other settings, as far as there is time."""
        found = {known.setting: known}
        for setting in settings:
            await self._optional(found, setting)
        if self._rounds > 1:
            for setting in list(found):
                await self._optional(found, setting)
        return list(found.values())

    async def _optional(self, found: dict[Setting, Trial], setting: Setting) -> None:
        seconds = self._budget.optional_s(time.monotonic())
        before = found.get(setting)
        if seconds is None:
            if before is None:
                self._skipped.append(setting)
            return
        trial = await self._trial(setting, seconds)
        found[setting] = trial if before is None else before.or_better(trial)

    async def _ceiling(self) -> Ceiling:
        self._show("feeder, broker and listener alone")
        seconds = min(3.0, self._budget.needed_s(time.monotonic()))
        ceiling = await self._bench.ceiling(seconds)
        self._progress.say(f"{self._bench.broker}; without the service {plain_rate(ceiling.rate)}")
        return ceiling

    async def _queue(self, best: Trial) -> Trial | None:
        wanted = queue_to_try(best)
        if wanted is None:
            self._budget.give_up(1)
            return None
        setting = replace(best.setting, queue=wanted)
        found: dict[Setting, Trial] = {}
        await self._optional(found, setting)
        return found.get(setting)

    async def _trial(self, setting: Setting, seconds: float) -> Trial:
        self._show(str(setting))
        begin = time.monotonic()
        trial = await self._bench.saturated(setting, seconds)
        self._budget.took(time.monotonic() - begin, trial.seconds)
        self._progress.say(f"{setting}: {plain_rate(trial.rate)}")
        return trial

    async def _calm(self, best: Trial) -> Calm:
        self._show("latency at part load")
        seconds = self._budget.needed_s(time.monotonic())
        return await self._bench.calm(best.setting, best.rate, _SHARES, seconds)

    def _show(self, text: str) -> None:
        self._progress.show(self._budget.fraction(time.monotonic()), text)
