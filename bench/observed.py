"""What geoweir says of itself over HTTP: its account and the lag of its event loop."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["LoopLag", "account_faults", "final_account"]

_METRIC: Final = "geoweir_loop_lag_seconds_bucket{"
_SETTLED_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class LoopLag:
    """The lag histogram of a moment: how many observations up to each bound, in seconds."""

    counts: dict[float, float]

    @classmethod
    def read(cls, url: str) -> LoopLag:
        """The histogram now."""
        counts = {}
        for line in _get(url, "/metrics").decode().splitlines():
            if line.startswith(_METRIC):
                bound = line.partition('le="')[2].partition('"')[0]
                counts[float(bound)] = float(line.rpartition(" ")[2])
        return cls(counts)

    def p99_ms(self, before: LoopLag) -> float:
        """The 99th percentile since another moment, in ms, straight within its bucket.

        It is the lower bound where the bucket has no end, and nan where nothing was observed.
        """
        since = {bound: n - before.counts.get(bound, 0.0) for bound, n in self.counts.items()}
        target, below, floor = 0.99 * max(since.values(), default=0.0), 0.0, 0.0
        for bound, count in sorted(since.items()):
            if count >= target > 0:
                width = 0.0 if bound == float("inf") else bound - floor
                return 1000 * (floor + width * (target - below) / max(count - below, 1e-9))
            below, floor = count, bound
        return float("nan")


def final_account(url: str) -> dict[str, Any]:
    """The account when nothing is in flight any more, or as it is after some seconds."""
    deadline = time.monotonic() + _SETTLED_S
    while True:
        account: dict[str, Any] = json.loads(_get(url, "/api/account"))
        in_flight = sum(stream["in_flight"] for stream in account["streams"].values())
        if not in_flight or time.monotonic() > deadline:
            return account
        time.sleep(0.1)


def account_faults(account: dict[str, Any] | None) -> list[str]:
    """Where a final account does not balance."""
    if account is None:
        return []
    in_flight = sum(stream["in_flight"] for stream in account["streams"].values())
    if not account["unaccounted"] and not in_flight:
        return []
    return [f"the account does not balance: {json.dumps(account)}"]


def _get(url: str, path: str) -> bytes:
    with urllib.request.urlopen(url.rstrip("/") + path, timeout=10) as answer:  # noqa: S310
        body: bytes = answer.read()
    return body
