"""A whole run: what a seed makes of settings, load and faults, and the judgement at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

from geoweir.core.spec import PoolSpec, StreamSpec, TopicSpec
from geoweir.settings.values import MqttSettings, Settings, SpillSettings, StateSettings
from simulation.broker import Broker, Habits
from simulation.clockwork import World
from simulation.disk import Disk
from simulation.files import Folder
from simulation.inputs import make_inputs
from simulation.life import Life, simulated
from simulation.network import Network
from simulation.oracle import Broken, Oracle
from simulation.workers import Workers

__all__ = ["Report", "simulate"]

STREAMS = ("a", "b")
_LOAD_S = 6.0  # of publishing and faults
_HEAL_S = 240.0  # for everything to come home afterwards


@dataclass
class Report:
    """What became of a seed; ``error`` says which promise was broken."""

    seed: int
    error: str | None = None
    trace: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Equal for equal runs."""
        return blake2b("\n".join(self.trace).encode(), digest_size=12).hexdigest()


def simulate(seed: int) -> Report:
    """Runs one seed."""
    logger = logging.getLogger("geoweir")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        return Run(seed).run()
    finally:
        logger.disabled = was_disabled


class Run:
    """One world, and the lives of the service in it.

    A fault is a method that ``_faults`` names: it does something and says when it is over.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.world = World()
        count = self.rng("size").randint(20, 80)
        self.inputs = make_inputs(self.rng("inputs"), list(STREAMS), count)
        self.disk = Disk(self.world, self.rng("disk"))
        self.folder = Folder(self.world, self.rng("folder"))
        self.oracle = Oracle(self.world, self.inputs, self.disk.safe, self.folder.holds)
        draw = self.rng("habits")
        settings = _settings(self.rng("settings"))
        settings = replace(settings, **_overflow(self.rng("overflow"), self.folder.path))
        self.settings = replace(settings, **_more(self.rng("more"), settings.streams))
        self.broker = Broker(
            self.world,
            self.rng("broker"),
            self.oracle,
            Habits(
                receive_maximum=draw.choice((1, 2, 5, 20)),
                overruns=draw.random() < 0.2,
                max_queued=30 if draw.random() < 0.1 else None,
            ),
        )
        self.network = Network(self.world, self.rng("network"), self.broker)
        self.workers = Workers(self.world, self.rng("workers"), STREAMS)
        self.life: Life | None = None
        self.lives = 0
        self.published = 0
        self.is_healed = False
        self.is_done = False

    def rng(self, part: str) -> Random:
        """Chance of its own for each part, so that a new one changes no other."""
        return Random(f"{self.seed}:{part}")

    def run(self) -> Report:
        """Loads, disturbs, heals, drains and judges."""
        error = None
        with simulated(self.world), self.folder.mounted():
            try:
                self._schedule()
                while not self._is_over():
                    self._live()
                self.oracle.finish()
            except Exception as broken:  # noqa: BLE001 - whatever it is, the seed has found it
                error = f"{type(broken).__name__}: {broken}"
                self.world.note(error)
            finally:
                self.folder.remove()
                self.disk.close()
        return Report(self.seed, error, self.world.trace)

    # The load, and the faults.

    def _schedule(self) -> None:
        draw = self.rng("load")
        last = 0.3 if draw.random() < 0.3 else _LOAD_S
        for when in sorted(draw.uniform(0.2, last) for _ in self.inputs):
            self.world.at(when, self._publish)
        draw = self.rng("faults")
        calm = draw.random() < 0.1
        self.network.slow = draw.choice((0.001, 0.01, 0.1))
        self.workers.slow_s = draw.choice((0.005, 0.05, 0.3))
        self.disk.slow_s = draw.choice((0.005, 0.1, 6.0) if not calm else (0.005,))
        if not calm:
            self.workers.deadly = draw.choice((0.0, 0.05, 0.4))
            self.disk.faulty = draw.choice((0.0, 0.0, 0.2))
            self.network.deaf = draw.choice((0.0, 0.1))
            for _ in range(draw.randint(0, 8)):
                fault = draw.choice(self._faults())
                self.world.at(draw.uniform(0.1, _LOAD_S), fault)
        draw = self.rng("folder's faults")
        self.folder.slow_s = draw.choice((0.002, 0.05, 1.0) if not calm else (0.002,))
        self.folder.faulty = 0.0 if calm else draw.choice((0.0, 0.0, 0.2))
        draw = self.rng("operator")
        for _ in range(draw.choice((0, 0, 0, 1, 3))):
            self.world.at(draw.uniform(1.0, _LOAD_S + 3), self._retry)
        self.world.at(_LOAD_S + 0.5, self._heal)
        self._every(0.7, self.broker.snapshot)
        self._every(1.0, self._end_when_done)

    def _faults(self) -> list[Callable[[], None]]:
        return [
            self._kill,
            self._kill,
            self._terminate,
            self._cut,
            self._cut,
            self._cut,
            self._half_open,
            self._restart_broker,
            self._restart_broker_hard,
            self._storm,
        ]

    def _publish(self) -> None:
        """The next input; nobody publishes before the subscriptions stand, or a later one first."""
        one = self.inputs[self.published]
        if not self.broker.is_subscribed(one.topic) or not self.broker.publish(
            one.topic, one.payload()
        ):
            self.world.after(0.05, self._publish)
            return
        self.published += 1

    def _kill(self) -> None:
        if self.life is not None:
            self.life.crash()
            self.oracle.cut()

    def _terminate(self) -> None:
        if self.life is not None:
            self.life.end()

    def _retry(self) -> None:
        if self.life is not None and self.life.retry():
            self.oracle.retries += 1

    def _cut(self) -> None:
        if self.network.connections:
            self.network.rng.choice(self.network.connections).cut()

    def _half_open(self) -> None:
        if self.network.connections:
            connection = self.network.rng.choice(self.network.connections)
            self.world.note(f"line {connection.number} is half open")
            connection.is_half_open = True
            self.oracle.is_lossy = True

    def _restart_broker(self) -> None:
        self._end_broker(hard=False)

    def _restart_broker_hard(self) -> None:
        self._end_broker(hard=True)

    def _end_broker(self, *, hard: bool) -> None:
        if self.broker.is_up:
            self.broker.end(hard=hard)
            self.world.after(self.network.rng.choice((0.01, 0.3, 3.0)), self.broker.start)

    def _storm(self) -> None:
        self.world.note("workers die in a row")
        self.workers.storm_until = self.world.now + 1.0

    # The end.

    def _heal(self) -> None:
        self.world.note("everything heals")
        self.is_healed = True
        self.workers.is_faultless = True
        self.disk.faulty = 0.0
        self.disk.slow_s = min(self.disk.slow_s, 0.1)
        self.network.deaf = 0.0
        self.folder.faulty = 0.0
        self.folder.slow_s = min(self.folder.slow_s, 0.05)

    def _end_when_done(self) -> None:
        if self.world.now > _HEAL_S:
            raise Broken(f"{self.broker.waiting()} inputs still wait at the broker")
        if self.is_healed and self.life is not None and self._is_drained() and self.life.is_idle():
            self.is_done = True
            self.life.end()

    def _is_drained(self) -> bool:
        return self.published == len(self.inputs) and not self.broker.waiting()

    def _is_over(self) -> bool:
        if self.settings.spill is not None:
            return self.is_done  # what nobody sees is on the disk
        return self.is_healed and self.lives > 0 and self._is_drained()

    def _live(self) -> None:
        """One life of the service, and the time until the next."""
        if self.lives:
            down_s = self.rng(f"down{self.lives}").choice((0.01, 1.0))
            self.world.pass_until(self.world.now + down_s)
        self.lives += 1
        self.life = Life(
            self.world,
            f"{self.seed}:{self.lives}",
            settings=self.settings,
            network=self.network,
            disk=self.disk,
            folder=self.folder,
            brought_back=self.oracle.brought_back,
            workers=self.workers,
        )
        self.life.run()
        self.life = None

    def _every(self, seconds: float, run: Callable[[], None]) -> None:
        def again() -> None:
            run()
            self.world.after(seconds, again)

        self.world.after(seconds, again)


def _overflow(draw: Random, folder: Path) -> dict[str, Any]:
    """What becomes of what the queue has no room for."""
    limit = draw.choice((2_000, 8_000, 1_000_000))
    when_full = draw.choice(("backpressure", "spill", "spill", "drop"))
    spill = SpillSettings(path=str(folder), limit=limit) if when_full == "spill" else None
    return {"when_full": when_full, "spill": spill}


def _more(draw: Random, streams: tuple[StreamSpec, ...]) -> dict[str, Any]:
    """Streams that are not as usual: at QoS 0, or without repeats."""
    kinds = [draw.choice(("", "", "", "", "qos 0", "dedupe")) for _ in streams]
    changed: dict[str, dict[str, Any]] = {
        "": {},
        "qos 0": {"qos": 0},
        "dedupe": {"dedupe_s": 3600.0},
    }
    made = tuple(replace(s, **changed[kind]) for s, kind in zip(streams, kinds, strict=True))
    # Where what was seen is to outlast a life.
    path = "simulated" if "dedupe" in kinds else None
    return {"streams": made, "state": StateSettings(path=path, states=10_000 if path else 0)}


def _settings(draw: Random) -> Settings:
    streams = tuple(
        StreamSpec(
            name=name,
            subscribe=(f"in/{name}/#",),
            priority=draw.choice(("high", "normal", "low")),
            publish=TopicSpec(topic="result/{stream}/{id}"),
            rejected=TopicSpec(topic="rejected/{stream}"),
            reconcile=TopicSpec(topic="reconcile/{stream}"),
        )
        for name in STREAMS
    )
    window = draw.choice((1, 3, 10, 40))
    queue_limit = draw.choice((4, 10, 100))
    pool = PoolSpec(
        workers=draw.choice((1, 2, 3)),
        chunk=draw.choice((1, 4, 16)),
        smallest_chunk=1,
        timeout_s=1.0,
        on_failure=draw.choice(("isolate", "isolate", "drop")),
    )
    grace_s = draw.choice((0.2, 2.0))
    expiry_s = draw.choice((3600.0, 3600.0, 3600.0, 0.5))
    return Settings(
        mqtt=MqttSettings(receive_window=window, session_expiry_s=expiry_s),
        streams=streams,
        queue_limit=queue_limit,
        pool=pool,
        shutdown_grace_s=grace_s,
    )
