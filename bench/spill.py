"""What the spill costs: one burst with it and without it, side by side.

    python bench/spill.py [--count 30000] [--rounds 3]

The same burst goes through the same chain on fresh brokers, in turn with reading that stops at a
full queue and with a spill on the disk. Both must publish every input once. "taken" is the time
until the broker had its last acknowledgement from the service: what a spill is for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from machine import describe
from support.brokers import open_mosquitto
from support.eventually import eventually
from support.outside import Listener, Sender, point
from support.service import Geoweir


def main() -> None:
    """Prints a line per round, and the medians of the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(describe())
    ratios = []
    for number in range(args.rounds):
        plain, spilled = (burst(args.count, queue) for queue in queues())
        ratios.append(plain["done_s"] / spilled["done_s"])
        print(
            f"round {number}: backpressure {args.count / plain['done_s']:,.0f}/s,"
            f" spill {args.count / spilled['done_s']:,.0f}/s (ratio {ratios[-1]:.2f});"
            f" on disk at most {spilled['most']:,}, taken after {spilled['taken_s']:.1f} s"
            f" instead of {plain['taken_s']:.1f} s"
        )
    print(f"throughput with the spill by that without, median: {statistics.median(ratios):.2f}")


def queues() -> Iterator[dict[str, Any]]:
    """Without, and with."""
    yield {"limit": 500}
    yield {"limit": 500, "when_full": "spill", "spill": {"path": "spill"}}


def burst(count: int, queue: dict[str, Any]) -> dict[str, float]:
    """One burst through a fresh service."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spill-", dir=".")))
        (folder / "broker").mkdir()
        broker = stack.enter_context(open_mosquitto((folder / "broker").resolve()))
        config = {
            "mqtt": {"url": broker.url, "session_expiry": "1h"},
            "streams": {"s": {"subscribe": "in/#", "steps": [{"reproject": {"to": "EPSG:32755"}}]}},
            "queue": queue,
            "pool": {"workers": 1},
        }
        listener = stack.enter_context(Listener(broker))
        sender = stack.enter_context(Sender(broker))
        service = stack.enter_context(Geoweir(config, folder.resolve()))
        # The broker has the whole burst, and hands it over as fast as it is taken.
        service.stop()
        sender.send([(f"in/{n}", point(n)) for n in range(count)])
        service.start()
        began = time.monotonic()
        most = taken_s = 0.0
        while True:
            state = json.loads(service.get("/api/state"))
            stream = state["account"]["streams"]["s"]
            waiting = stream["in_flight"] - state["spill"]["messages"]
            most = max(most, state["spill"]["messages"])
            if stream["received"] == count and not taken_s and waiting < 1000:
                taken_s = time.monotonic() - began
            if stream["published"] == count:
                break
            time.sleep(0.05)
        done_s = time.monotonic() - began
        eventually(lambda: len(listener.heard) >= count)
        return {"done_s": done_s, "taken_s": taken_s, "most": most}


if __name__ == "__main__":
    main()
