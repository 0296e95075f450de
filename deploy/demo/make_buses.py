"""Writes ``buses.csv.gz``: ten minutes of the demo's buses, a fix of each every ten seconds.

python deploy/demo/make_buses.py
"""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from geoweir.demo.config import DATA_DIR
from geoweir.demo.fleet import Fleet

_TARGET: Final = Path(__file__).parent / "buses.csv.gz"
_STARTED_AT: Final = datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp()
_LENGTH_S: Final = 600
_EVERY_S: Final = 10


def main() -> None:
    """Writes the file; twice the same bytes."""
    fleet = Fleet.load(DATA_DIR, seed=1, started_at=_STARTED_AT)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("time", "id", "lon", "lat", "speed"))
    for second in range(_LENGTH_S):
        for number, bus in enumerate(fleet.active(second)):
            if (number + second) % _EVERY_S == 0:
                fix = fleet.fix(bus, second)
                moment = datetime.fromtimestamp(fix.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                place = (f"{fix.lon:.5f}", f"{fix.lat:.5f}", f"{fix.speed_ms:.1f}")
                rows.writerow((moment, fix.id, *place))
    with _TARGET.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(text.getvalue().encode())


if __name__ == "__main__":
    main()
