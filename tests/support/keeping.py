"""Dropped inputs, and a store whose events are noted, for the tests of what is kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geoweir.core.kept import Drop
from geoweir.core.outcome import Outcome
from geoweir.store.kept import Bounds
from geoweir.store.sqlite import SqliteStore

__all__ = ["BOUNDS", "NOW", "StoreNotes", "drop", "open_store"]

NOW = 1_790_000_000.0
BOUNDS = Bounds(messages=10_000, size=10_000_000, age_s=3600.0)


def drop(name: object = "1", **more: Any) -> Drop:
    """A dropped input on the topic ``in/NAME``."""
    given: dict[str, Any] = {
        "stream": "s",
        "topic": f"in/{name}",
        "payload": b"payload",
        "headers": (("h", "v"),),
        "received": NOW - 1.0,
        "dropped": NOW,
        "outcome": Outcome.REJECTED,
        "reason": "json",
        "detail": "why",
    }
    return Drop(**(given | more))


@dataclass
class StoreNotes:
    """Notes what a store tells."""

    failed: list[tuple[str, str]] = field(default_factory=list)
    works: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)

    def store_failed(self, why: str, detail: str) -> None:
        self.failed.append((why, detail))

    def store_works(self) -> None:
        self.works += 1

    def store_damaged(self, why: str, aside: str) -> None:
        self.damaged.append((why, aside))

    def not_kept(self, why: str, n: int) -> None:
        self.lost[why] += n

    def removed(self, counts: Mapping[str, int]) -> None:
        self.gone.update(counts)


def open_store(
    path: Path | None, notes: StoreNotes | None = None, bounds: Bounds = BOUNDS
) -> SqliteStore:
    """A store, to be entered."""
    return SqliteStore(path, bounds, events=notes or StoreNotes(), wall=time.time)
