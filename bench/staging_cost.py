"""What staging mode costs: the service's own processor time for each input, side by side.

    python bench/staging_cost.py

One service after the other, in turns; the best of each kind counts. Needs ``tests`` on the path.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from support.brokers import open_broker
from support.outside import Sender, point
from support.service import Geoweir

_KINDS: Final = ("production", "staging")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


def cost_s(folder: Path, kind: str, inputs: int) -> float:
    """Processor seconds that the service's own process takes for each input."""
    (folder / "broker").mkdir()
    with open_broker(folder / "broker") as broker:
        config = {
            "mqtt": {"url": broker.url, "protocol": broker.protocol},
            "streams": {"s": {"subscribe": "in/#", "steps": [{"validate": {}}]}},
            "pool": {"workers": 1},
        }
        service = Geoweir(config, folder, environment={"GEOWEIR_ENV": kind})
        with service, Sender(broker) as sender:
            before = _used_s(service.pid)
            sender.send((f"in/{n}", point(f"i{n}")) for n in range(inputs))
            service.wait_settled(inputs, 300)
            used_s = _used_s(service.pid) - before
            service.stop()
    return used_s / inputs


def _used_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    best = dict.fromkeys(_KINDS, float("inf"))
    for _ in range(options.rounds):
        for kind in _KINDS:
            with tempfile.TemporaryDirectory() as folder:
                best[kind] = min(best[kind], cost_s(Path(folder), kind, options.inputs))
    for kind, seconds in best.items():
        print(f"{kind}: {seconds * 1e6:.0f} µs an input")
    print(f"ratio {best['staging'] / best['production']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
