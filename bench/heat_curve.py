"""Records a real service on a gateway that it warms itself, and draws it as SVG.

    python bench/heat_curve.py --seconds 420 -o docs/heat.svg

The gateway is a folder: a simulated board turns the workers' real busy time, read from the
service's own metrics each second, into the temperature that the service reads next. The demand is
more than the workers can do, and fits the board in the last quarter. Needs ``tests`` on the path.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from plants import Plant, Warmth
from support.brokers import open_broker
from support.gateway import Sysfs, cpu_gateway
from support.mischief import write_mischief
from support.outside import Sender, point
from support.service import Geoweir

_LIMIT: Final = 75.0
_WORKERS: Final = 2
_BOARD: Final = Plant("board", 40.0, ((6.0, 8.0), (45.0, 42.0)))
_FULL_PART: Final = 0.75  # of the time
_FITTING: Final = 0.5  # of what the workers can do
_FEATURE_S: Final = 0.004  # mischief:slower
_CONFIG: Final[dict[str, Any]] = {
    "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "mischief:slower"}]}},
    "pool": {"workers": _WORKERS},
    "thermal": {"root": "gateway"},
}
_WIDTH, _HEIGHT, _LEFT, _GAP = 900, 150, 70, 36
_BUSY: Final = "geoweir_worker_busy_seconds_total"


@dataclass(frozen=True, slots=True)
class Moment:
    """One second."""

    at_s: float
    celsius: float
    duty: float
    busy: float
    rate: float  # inputs settled a second


def record(folder: Path, seconds: float) -> list[Moment]:
    """Runs everything, and says how it went; the account is checked at the end."""
    write_mischief(folder)
    gateway = cpu_gateway(folder / "gateway", _BOARD.ambient)
    (folder / "broker").mkdir()
    with open_broker(folder / "broker") as broker:
        config = {"mqtt": {"url": broker.url, "protocol": broker.protocol}, **_CONFIG}
        with Geoweir(config, folder) as service, Sender(broker) as sender:
            end = threading.Event()
            thread = threading.Thread(target=_feed, args=(sender, end, _FULL_PART * seconds))
            thread.start()
            try:
                moments = _watch(service, gateway, seconds)
            finally:
                end.set()
                thread.join()
            time.sleep(5)  # what is under way settles
            unaccounted = service.account()["unaccounted"]
            if unaccounted or service.stop():
                raise SystemExit(f"{unaccounted} inputs are unaccounted for")
    return moments


def _feed(sender: Sender, end: threading.Event, full_s: float) -> None:
    began, sent = time.monotonic(), 0
    while not end.is_set():
        batch = 100
        sender.send((f"in/{n}", point(f"i{n}")) for n in range(sent, sent + batch))
        sent += batch
        if time.monotonic() - began > full_s:
            end.wait(batch * _FEATURE_S / _WORKERS / _FITTING)


def _watch(service: Geoweir, gateway: Sysfs, seconds: float) -> list[Moment]:
    warmth, moments = Warmth(_BOARD), list[Moment]()
    began = then = time.monotonic()
    busy_s, settled = service.metric(_BUSY), service.settled()
    while then - began < seconds:
        time.sleep(1.0)
        now, busy_now, settled_now = time.monotonic(), service.metric(_BUSY), service.settled()
        passed_s = now - then
        busy = min(1.0, (busy_now - busy_s) / passed_s / _WORKERS)
        warmth.work(busy, passed_s)
        gateway.warm(warmth.shown())
        rate = (settled_now - settled) / passed_s
        duty = service.metric("geoweir_duty_ratio")
        moments.append(Moment(now - began, warmth.celsius, duty, busy, rate))
        then, busy_s, settled = now, busy_now, settled_now
    return moments


def drawing(moments: list[Moment]) -> str:
    """The SVG: temperature, duty and what was done, one below the other."""
    height = 3 * (_HEIGHT + _GAP) + _GAP
    most = max(one.rate for one in moments)
    rows = [
        ("°C, simulated", 35.0, 85.0, [("#d1495b", [m.celsius for m in moments])], _LIMIT),
        (
            "duty (line), busy",
            0.0,
            1.1,
            [("#bbb", [m.busy for m in moments]), ("#00798c", [m.duty for m in moments])],
            None,
        ),
        ("inputs/s", 0.0, most * 1.1, [("#444", [m.rate for m in moments])], None),
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        "<style>text { font: 12px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for index, (name, low, high, lines, mark) in enumerate(rows):
        top = _GAP + index * (_HEIGHT + _GAP)
        parts += _panel(moments, name, (low, high), top, lines, mark)
    parts.append(f'<text x="{_WIDTH - 60}" y="{height - 8}">{moments[-1].at_s:.0f} s</text></svg>')
    return "\n".join(parts) + "\n"


def _panel(
    moments: list[Moment],
    name: str,
    bounds: tuple[float, float],
    top: float,
    lines: list[tuple[str, list[float]]],
    mark: float | None,
) -> list[str]:
    low, high = bounds

    def y(value: float) -> float:
        return top + _HEIGHT * (1 - (value - low) / (high - low))

    def path(values: list[float]) -> str:
        scale = (_WIDTH - _LEFT - 10) / moments[-1].at_s
        dots = zip(moments, values, strict=True)
        return "M" + "L".join(f"{_LEFT + m.at_s * scale:.1f} {y(v):.1f}" for m, v in dots)

    right = _WIDTH - 10
    frame = f'<path fill="none" stroke="#999" d="M{_LEFT} {top}V{top + _HEIGHT}H{right}"/>'
    texts = [
        f'<text x="{_LEFT}" y="{top - 8}">{name}</text>',
        f'<text x="{_LEFT - 8}" y="{top + 10}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{_LEFT - 8}" y="{top + _HEIGHT}" text-anchor="end">{low:.3g}</text>',
    ]
    if mark is not None:
        level = f"M{_LEFT} {y(mark):.1f}H{right}"
        texts.append(f'<path stroke="#999" stroke-dasharray="4" d="{level}"/>')
        texts.append(f'<text x="{right - 70}" y="{y(mark) - 4:.1f}">limit {mark:g}</text>')
    curves = [
        f'<path fill="none" stroke="{colour}" stroke-width="1.5" d="{path(values)}"/>'
        for colour, values in lines
    ]
    return [frame, *texts, *curves]


def main() -> int:
    """Runs from the command line; 1 where the temperature passed the limit by 2 °C for long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=420.0)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/heat.svg"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        moments = record(Path(folder), options.seconds)
    options.output.write_text(drawing(moments), encoding="utf-8")
    changes = sum(after.duty != before.duty for before, after in pairwise(moments))
    above = sum(one.celsius > _LIMIT + 2 for one in moments)
    hottest = max(one.celsius for one in moments)
    print(f"{options.output}: {changes} changes, {above} s above limit + 2, hottest {hottest:.1f}")
    return int(above > 60)


if __name__ == "__main__":
    sys.exit(main())
