"""Publishes recordings: reads, paces, sends with many under way, and counts what became of each."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from geoweir.cli.recordings import Record, Recording, Skipped, SourceError
from geoweir.codec.topics import TopicTemplate
from geoweir.errors import BrokerError, UsageError
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.ports import Outgoing, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from geoweir.cli.progress import Progress
    from geoweir.mqtt.options import BrokerOptions

__all__ = ["Plan", "Publisher", "Tally"]

_WINDOW: Final = 100  # publishes under way at the broker
_MOST_WAITING: Final = 1000  # messages without an answer; beyond, nothing is read
_BATCH: Final = 50  # messages handed over at once
_TOO_SHORT_S: Final = 0.002  # a wait that is not worth a turn of the loop; the mean rate stays
_LOOK_AHEAD: Final = 1000  # messages in which a recording must show a time
_SILENCE_S: Final = 60.0
_DRAIN_S: Final = 10.0  # for the last answers after Ctrl-C


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to publish, where and how fast.

    Attributes:
        topic: a template; ``{id}`` is the device's id, percent-encoded.
        rate: messages a second; None for the records' own times, ``speed`` times as fast.
        limit: messages at most; None for all.
        id_field: the column or property that is the id; None for what is found.
    """

    paths: list[Path]
    topic: str
    rate: float | None = None
    speed: float = 1.0
    qos: int = 1
    loops: bool = False
    limit: int | None = None
    id_field: str | None = None


@dataclass(slots=True)
class Tally:
    """What became of each part of the recordings; its text is the command's last line."""

    qos: int
    sent: int = 0
    acknowledged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether the broker took every message."""
        return self.acknowledged == self.sent

    def __str__(self) -> str:
        taken = "acknowledged" if self.qos else "handed to the connection (QoS 0)"
        parts = [
            f"sent {self.sent}",
            f"{taken} {self.acknowledged}",
            f"refused {_listed(self.refused)}",
            f"skipped {_listed(self.skipped)}",
        ]
        unanswered = self.sent - self.acknowledged - self.refused.total()
        if unanswered:
            parts.append(f"without an answer {unanswered}")
        return f"{', '.join(parts)} in {self.seconds:.1f} s"


class Pace:
    """When each message is due, in seconds since the start.

    Args:
        rate: messages a second; None for the records' own times.
        speed: how many times as fast as these.
    """

    def __init__(self, rate: float | None, speed: float) -> None:
        self._rate = rate
        self._speed = speed
        self._count = 0
        self._due = 0.0
        self._before: float | None = None

    def due(self, record_time: float | None) -> float:
        """When the next message is due; a time that steps back, or none, is due at once."""
        if self._rate is not None:
            self._due = self._count / self._rate
            self._count += 1
        elif record_time is not None:
            if self._before is not None and record_time > self._before:
                self._due += (record_time - self._before) / self._speed
            self._before = max(record_time, self._before or record_time)
        return self._due

    def new_file(self) -> None:
        """The next record's time has nothing to do with the ones before."""
        self._before = None


class Publisher:
    """One replay, run once.

    Args:
        options: the broker.
        progress: where to show how far it is.
        silence_s: so long without any answer, and the broker is given up.
    """

    def __init__(
        self,
        plan: Plan,
        options: BrokerOptions,
        progress: Progress,
        *,
        silence_s: float = _SILENCE_S,
    ) -> None:
        self._silence_s = silence_s
        self._plan = plan
        self._progress = progress
        self._template = TopicTemplate.parse(plan.topic)
        self._tally = Tally(plan.qos)
        self._pace = Pace(plan.rate, plan.speed)
        self._was_connected = False
        self._stop = asyncio.Event()
        self._batch: list[Outgoing] = []
        self._waiting: deque[tuple[int, asyncio.Future[list[Refusal | None]]]] = deque()
        self._under_way = 0
        self._outlet = MqttOutlet(
            client_id=f"geoweir-replay-{os.getpid()}-{secrets.token_hex(3)}",
            options=options,
            window=_WINDOW,
            on_link=self._link,
        )

    async def run(self) -> Tally:
        """Publishes everything, or until SIGINT or SIGTERM.

        Raises:
            BrokerError: the broker can't be reached at the start, or no longer answers.
            SourceError: a recording can't be read; what was sent before stays sent.
            UsageError: a recording has no times, and no rate was given.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        await self._outlet.connect_once()
        began = time.monotonic()
        connection = asyncio.ensure_future(self._outlet.run())
        try:
            await self._publish()
            await self._drain()
            await self._outlet.disconnect()
            await connection
        finally:
            connection.cancel()
            await asyncio.wait([connection])
            self._tally.seconds = time.monotonic() - began
        return self._tally

    async def _publish(self) -> None:
        began = asyncio.get_running_loop().time()
        for path, recording, record in self._records():
            if isinstance(record, Skipped):
                self._tally.skipped[record.reason] += 1
                continue
            message = self._message(path, record)
            if isinstance(message, Skipped):
                self._tally.skipped[message.reason] += 1
                continue
            await self._until(began + self._pace.due(record.time))
            if self._stop.is_set():
                break
            self._batch.append(message)
            if len(self._batch) >= _BATCH:
                await self._flush()
            self._progress.show(recording.fraction, f"{self._tally.sent} sent")
            if self._tally.sent + len(self._batch) == self._plan.limit:
                break
        await self._flush()

    def _records(self) -> Iterator[tuple[Path, Recording, Record | Skipped]]:
        """All records of all files, again and again where the plan loops."""
        while True:
            before = self._tally.sent + len(self._batch)
            for path in self._plan.paths:
                recording = Recording(path)
                self._pace.new_file()
                for record in self._with_times(path, recording.read()):
                    yield path, recording, record
            if not self._plan.loops:
                return
            if self._tally.sent + len(self._batch) == before:
                raise SourceError("the recordings hold no message to repeat.")

    def _with_times(
        self, path: Path, records: Iterator[Record | Skipped]
    ) -> Iterable[Record | Skipped]:
        """The records, when there is something to pace them by."""
        if self._plan.rate is not None:
            return records
        head = list(itertools.islice(records, _LOOK_AHEAD))
        messages = [record for record in head if isinstance(record, Record)]
        if messages and all(record.time is None for record in messages):
            raise UsageError(f"{path}: its messages have no times. Say how fast with --rate N.")
        return itertools.chain(head, records)

    def _message(self, path: Path, record: Record) -> Outgoing | Skipped:
        ident = record.id or path.name.split(".")[0]
        if self._plan.id_field is not None:
            value = (record.fields or {}).get(self._plan.id_field)
            if value is None or value == "":
                return Skipped(f"a record without {self._plan.id_field}")
            ident = str(value)
        topic = self._template.render("replay", ident, "")
        return Outgoing(topic, record.payload, qos=self._plan.qos)

    async def _until(self, moment: float) -> None:
        """Waits for a moment of the loop's clock, or the end."""
        wait = moment - asyncio.get_running_loop().time()
        if wait <= _TOO_SHORT_S:
            return
        await self._flush()
        try:
            async with asyncio.timeout_at(moment):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _flush(self) -> None:
        """Hands the batch over, and waits while too many have no answer."""
        if self._batch:
            self._tally.sent += len(self._batch)
            self._under_way += len(self._batch)
            future = asyncio.ensure_future(self._outlet.send(self._batch))
            self._waiting.append((len(self._batch), future))
            self._batch = []
        while self._waiting and (self._under_way > _MOST_WAITING or self._waiting[0][1].done()):
            await self._oldest(self._silence_s)
        await asyncio.sleep(0)

    async def _drain(self) -> None:
        """Waits for the last answers."""
        while self._waiting:
            try:
                await self._oldest(_DRAIN_S if self._stop.is_set() else self._silence_s)
            except BrokerError:
                if self._stop.is_set():
                    return
                raise

    async def _oldest(self, patience_s: float) -> None:
        count, future = self._waiting[0]
        try:
            async with asyncio.timeout(patience_s):
                answers = await asyncio.shield(future)
        except TimeoutError:
            raise BrokerError(
                f"the broker gave no answer for {patience_s:g} s. {self._tally}"
            ) from None
        self._waiting.popleft()
        self._under_way -= count
        for refusal in answers:
            if refusal is None:
                self._tally.acknowledged += 1
            else:
                self._tally.refused[refusal.text] += 1

    def _link(self, *, up: bool, why: str) -> None:
        if not up and self._was_connected and self._waiting:
            self._progress.say(f"connection lost ({why}); trying again")
        self._was_connected = up


def _listed(reasons: Counter[str]) -> str:
    """The number of all, and of each reason."""
    if not reasons:
        return "0"
    each = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    return f"{reasons.total()} ({each})"
