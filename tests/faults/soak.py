"""Hours of ordinary work with ordinary faults, and whether the service grows by it."""

from __future__ import annotations

import json
import signal
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults.scene import Scene
from support.service import private_bytes

__all__ = ["Sample", "Vitals", "soak"]

_RATE = 220  # a second: half of what two workers do with ``mischief:slower``
_WORKER_EVERY_S = 10.0
_BROKER_EVERY_S = 60.0
_PIECE_S = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The service's process at a moment."""

    seconds: float
    private: int  # bytes
    descriptors: int
    threads: int
    settled: int
    unaccounted: int


@dataclass
class Vitals:
    """Samples in order."""

    samples: list[Sample] = field(default_factory=list)

    def settled(self) -> list[Sample]:
        """What comes after the first quarter, in which everything is used for the first time."""
        return self.samples[len(self.samples) // 4 :]

    def slope(self) -> float:
        """Growth of memory by least squares, in bytes an hour."""
        hours = [sample.seconds / 3600 for sample in self.settled()]
        return statistics.linear_regression(hours, [s.private for s in self.settled()]).slope

    def noise(self) -> float:
        """Standard deviation of memory, in bytes."""
        return statistics.pstdev([sample.private for sample in self.settled()])

    def summary(self) -> str:
        """For the table."""
        first, last = self.settled()[0], self.samples[-1]
        return (
            f"memory {first.private / 1e6:.1f} to {last.private / 1e6:.1f} MB "
            f"(slope {self.slope() / 1e6:+.2f} MB/h, noise {self.noise() / 1e6:.2f} MB), "
            f"descriptors {first.descriptors} to {last.descriptors}, "
            f"threads {first.threads} to {last.threads}"
        )


def soak(
    scene: Scene,
    seconds: float,
    mischief: Callable[[int], tuple[str, Mapping[str, Any]]],
    hit: Callable[[], None],
) -> Vitals:
    """Feeds a steady rate, kills a worker every ten seconds and ends the broker every minute.

    Args:
        scene: what runs.
        seconds: how long.
        mischief: makes some of the inputs poison; see ``Scene.inputs``.
        hit: does something to a worker.
    """
    vitals, done = Vitals(), threading.Event()
    begin = time.monotonic()
    helper = threading.Thread(target=_misbehave, args=(scene, done, hit, seconds), name="faults")
    helper.start()
    try:
        while (left := begin + seconds - time.monotonic()) > 0:
            piece = min(left, _PIECE_S)
            with scene.feeding(max(1, int(piece * _RATE)), piece, mischief=mischief):
                pass
            scene.results()  # so that what was heard is taken down and let go of
            vitals.samples.append(_sample(scene, time.monotonic() - begin))
            _note(scene.service.folder, vitals.samples[-1])
    finally:
        done.set()
        helper.join(60)
    return vitals


def _misbehave(
    scene: Scene, done: threading.Event, hit: Callable[[], None], seconds: float
) -> None:
    every_s = min(_WORKER_EVERY_S, seconds / 5)
    for turn in range(1, 1_000_000):
        if done.wait(every_s):
            return
        if turn % max(3, int(_BROKER_EVERY_S / every_s)) == 0:
            scene.broker.mosquitto.end(signal.SIGTERM)
            scene.broker.mosquitto.start()
        else:
            hit()
        scene.faults += 1


def _sample(scene: Scene, seconds: float) -> Sample:
    pid = scene.service.pid
    account = scene.service.account()
    return Sample(
        seconds,
        private_bytes(pid),
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        len(list(Path(f"/proc/{pid}/task").iterdir())),
        scene.service.settled(),
        account["unaccounted"],
    )


def _note(folder: Path, sample: Sample) -> None:
    with (folder / "soak.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(sample)) + "\n")
