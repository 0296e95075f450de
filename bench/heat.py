"""The law of heat in closed loop with simulated gateways: ``python bench/heat.py``."""

from __future__ import annotations

import sys

from geoweir.core.heat import Governor
from plants import PLANTS, best_constant, good, lost, run, stuck
from table import markdown

_LIMIT = 75.0


def main() -> int:
    """Prints one row for each plant and sensor; 1 where a bar is missed."""
    rows, missed = [], False
    for plant in PLANTS:
        best = best_constant(plant, _LIMIT)
        sensors = {"good": good, "lost 5 min": lost(1200, 1500), "stuck 5 min": stuck(1200, 1500)}
        for name, sensor in sensors.items():
            governor = Governor(_LIMIT, _LIMIT - 5)
            hour = run(plant, _LIMIT, governor=governor, sensor=sensor)
            share = hour.work / best.work
            missed |= hour.changes > 30 or hour.above_s > 60 or share < 0.9
            cells = [plant.name, name, f"{hour.changes}", f"{hour.above_s:.0f}"]
            rows.append([*cells, f"{hour.hottest:.1f}", f"{share:.3f}"])
    head = [
        "plant",
        "sensor",
        "changes",
        "s above limit + 2",
        "hottest °C",
        "work by best constant",
    ]
    print(markdown(head, rows))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
