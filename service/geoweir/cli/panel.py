"""A view of ``top`` as lines of text: tables for a terminal, plain lines elsewhere; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from geoweir.cli.escaping import escaped
from geoweir.cli.readings import StreamView, Totals, View

__all__ = ["panel", "plain"]

_NARROWEST: Final = 12  # columns of a stream's name
_THOUSANDS: Final = ("", "k", "M", "G", "T")
_MINUTE_S: Final = 60

#: Headings and their widths; the name before them takes what is left.
_NOW: Final = (
    ("in/s", 8), ("out/s", 8), ("filt/s", 8), ("rej/s", 7), ("rec/s", 7), ("oldest", 8),
    ("p50", 8), ("p99", 8),
)  # fmt: skip
_TOTALS: Final = (
    ("received", 11), ("published", 11), ("filtered", 11), ("rejected", 10), ("reconciled", 11),
    ("in flight", 10),
)  # fmt: skip
_WORKERS: Final = (("state", 10), ("busy", 6), ("memory", 16), ("restarts", 10))


def panel(view: View, where: str, width: int, height: int) -> list[str]:
    """Lines that fit a terminal of this size."""
    lines = [
        *_head(view, where),
        "",
        _row("now", [name for name, _ in _NOW], _NOW, width),
        *(_row(name, _now(stream), _NOW, width) for name, stream in view.streams.items()),
        "",
        _row("account", [name for name, _ in _TOTALS], _TOTALS, width),
        *(_row(name, _counts(of), _TOTALS, width) for name, of in view.account.streams.items()),
        "",
        _row("worker", [name for name, _ in _WORKERS], _WORKERS, width),
        *(_row(name, cells, _WORKERS, width) for name, cells in _workers(view)),
    ]
    lines = [_cut(line, width) for line in lines]
    if len(lines) > height:
        lines = [*lines[: max(0, height - 1)], _cut("… the terminal is too low for more", width)]
    return lines


def plain(view: View) -> list[str]:
    """One line for the service and one for each stream, for logs and pipes."""
    service = {
        "state": escaped(view.state),
        "unaccounted": view.account.unaccounted,
        "queue": f"{view.queue.messages}/{view.queue.limit}",
        "workers": ",".join(escaped(worker.state) for worker in view.workers),
        "loop_lag_p99": _span(view.loop_lag_p99_s),
        "down": ",".join(_down(view)) or "none",
    }
    lines = [" ".join(f"{key}={value}" for key, value in service.items())]
    for name, stream in view.streams.items():
        values = {
            "stream": escaped(name),
            **{f"{key}/s": _rate(rate) for key, rate in stream.per_second.items()},
            "in_flight": view.account.streams[name].in_flight,
            "oldest": _span(stream.oldest_s),
            "p50": _span(stream.latency_p50_s),
            "p99": _span(stream.latency_p99_s),
        }
        lines.append(" ".join(f"{key}={value}" for key, value in values.items()))
    return lines


def _head(view: View, where: str) -> Iterable[str]:
    yield f"geoweir {escaped(view.version)}  {where}  {escaped(view.state)}  up {_up(view.up_s)}"
    balance = (
        "balanced, unaccounted 0"
        if not view.account.unaccounted
        else f"UNACCOUNTED {view.account.unaccounted}: this is a bug of geoweir"
    )
    queue = f"queue {view.queue.messages}/{view.queue.limit}"
    yield f"{balance}  {queue}  loop lag p99 {_span(view.loop_lag_p99_s)}"
    down = _down(view)
    yield f"DOWN: {', '.join(down)}" if down else f"{len(view.connections)} connections up"


def _down(view: View) -> list[str]:
    return [
        escaped(f"{link.direction} {link.stream}".strip())
        for link in view.connections
        if not link.up
    ]


def _now(stream: StreamView) -> list[str]:
    return [
        *(_rate(rate) for rate in stream.per_second.values()),
        "paused" if stream.is_paused else _span(stream.oldest_s or None),
        _span(stream.latency_p50_s),
        _span(stream.latency_p99_s),
    ]


def _counts(totals: Totals) -> list[str]:
    counts = (
        totals.received, totals.published, totals.filtered, totals.rejected, totals.reconciled,
        totals.in_flight,
    )  # fmt: skip
    return [_count(count) for count in counts]


def _workers(view: View) -> Iterable[tuple[str, list[str]]]:
    for worker in view.workers:
        busy = "-" if worker.busy is None else f"{worker.busy:.0%}"
        memory = f"{_bytes(worker.private_bytes)} of {_bytes(view.worker_memory_limit)}"
        yield str(worker.worker), [escaped(worker.state), busy, memory, _count(worker.restarts)]


def _row(name: str, cells: Sequence[str], columns: Sequence[tuple[str, int]], width: int) -> str:
    """A name, and cells to the right of it."""
    room = max(_NARROWEST, width - sum(wide for _, wide in columns))
    head = _cut(escaped(name), room).ljust(room)
    return head + "".join(cell.rjust(wide) for cell, (_, wide) in zip(cells, columns, strict=True))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _rate(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if 0 < value < 10 else _count(round(value))  # noqa: PLR2004 - one digit


def _count(value: float) -> str:
    """At most eight characters."""
    if value < 1_000_000:  # noqa: PLR2004 - what is read at a glance
        return f"{value:,.0f}"
    for unit in _THOUSANDS:
        if value < 1000:  # noqa: PLR2004 - a unit's step
            return f"{value:.2f}{unit}"
        value /= 1000
    return "many"


def _bytes(value: int) -> str:
    return f"{value / 1e6:.0f} MB"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.1f}ms"
    return f"{seconds:.1f}s" if seconds < _MINUTE_S else _up(seconds)


def _up(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
