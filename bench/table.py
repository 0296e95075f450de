"""A report as one table, and the ratios that may be claimed from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

__all__ = ["claims", "headroom", "markdown", "spread", "table"]

_Path = tuple[str | int, ...]
_COLUMNS: Final[tuple[tuple[str, _Path, str], ...]] = (
    ("messages/s", ("saturated", "rate"), "{:.0f}"),
    ("CPU µs: service", ("cpu_us", "parent"), "{:.1f}"),
    ("workers", ("cpu_us", "workers"), "{:.1f}"),
    ("broker", ("cpu_us", "broker"), "{:.1f}"),
    ("outside", ("cpu_us", "outside"), "{:.1f}"),
    ("net ms at 10%: p50", ("loads", 0, "net", "p50_ms"), "{:.1f}"),
    ("p99", ("loads", 0, "net", "p99_ms"), "{:.1f}"),
    ("net ms at 50%: p50", ("loads", 1, "net", "p50_ms"), "{:.1f}"),
    ("p99", ("loads", 1, "net", "p99_ms"), "{:.1f}"),
    ("loop lag p99 ms", ("lag_p99_ms",), "{:.1f}"),
    ("service MB: peak RSS", ("peak_rss_mb",), "{:.0f}"),
    ("PSS", ("pss_mb",), "{:.0f}"),
    ("workers PSS", ("workers_pss_mb",), "{:.0f}"),
    ("idle CPU %", ("idle_cpu_percent",), "{:.1f}"),
)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A ratio of messages/s that is to hold in every round."""

    ours: str
    theirs: str
    least: float


_CLAIMS: Final = (
    _Claim("geoweir-5-2w", "raw-echo-5", 0.7),
    _Claim("geoweir-5-2w", "plain-5-2w", 10),
    _Claim("geoweir-5-2w", "geoweir-3.1.1-2w", 3),
    _Claim("geoweir-5-2w", "node-red", 1),
    _Claim("geoweir-5-2w", "echo-5", 1),
)
_ROOMY: Final = 1.2  # the ceiling by the fastest candidate


def table(report: dict[str, Any]) -> str:
    """Markdown: the median over the rounds and, in brackets, the least and the most."""
    names = list(dict.fromkeys(run["candidate"] for run in report["runs"]))
    rows = []
    for name in names:
        runs = _runs(report, name)
        cells = [_cell(runs, path, form) for _, path, form in _COLUMNS]
        rows.append([name, *cells, _balance(runs)])
    return markdown(["candidate", *(name for name, _, _ in _COLUMNS), "account"], rows)


def claims(report: dict[str, Any]) -> str:
    """Messages/s and CPU of ours by theirs, within each round, and what was asked of it."""
    rows = []
    for claim in _CLAIMS:
        pairs = _pairs(report, claim.ours, claim.theirs)
        if not pairs:
            continue
        rate = [a["saturated"]["rate"] / b["saturated"]["rate"] for a, b in pairs]
        cpu = [_cpu_us(a) / max(_cpu_us(b), 1e-9) for a, b in pairs]
        rows.append(
            [
                f"{claim.ours} by {claim.theirs}",
                spread(rate, "{:.2f}"),
                f"{claim.least:g}",
                "yes" if median(rate) >= claim.least else "no",
                spread(cpu, "{:.2f}"),
            ]
        )
    return markdown(["ratio", "messages/s", "asked", "reached", "CPU per message"], rows)


def headroom(report: dict[str, Any]) -> str:
    """Whether those who measure leave the candidates room."""
    ceiling = [run["saturated"]["rate"] for run in _runs(report, "ceiling")]
    rivals = [run for run in report["runs"] if run["candidate"] != "ceiling"]
    if not ceiling or not rivals:
        return "Whether the measurement itself is the limit is unknown without the ceiling."
    rates: dict[str, float] = {
        run["candidate"]: median(r["saturated"]["rate"] for r in _runs(report, run["candidate"]))
        for run in rivals
    }
    fastest = max(rates, key=rates.__getitem__)
    room = median(ceiling) / rates[fastest]
    share = max(run["saturated"]["cpu_s"] / run["saturated"]["elapsed_s"] for run in rivals)
    others = max(run["others_percent"] for run in report["runs"])
    verdict = "" if room >= _ROOMY else " - TOO LITTLE: the measurement itself is the limit"
    return (
        f"Feeder, broker and sink alone carry {median(ceiling):.0f} messages/s, {room:.1f} times"
        f" the fastest candidate ({fastest}){verdict}; feeder and sink use {share:.0%} of a core"
        f" at most. Other processes used up to {others:.0f}% of the machine meanwhile."
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well unrendered, too."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(text.ljust(width) for text, width in zip(line, widths, strict=True))} |"
        for line in lines
    )


def spread(values: Sequence[float], form: str) -> str:
    """The median and, in brackets, the least and the most."""
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(median(values))} ({form.format(min(values))}-{form.format(max(values))})"


def _pairs(
    report: dict[str, Any], ours: str, theirs: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Runs of the same round."""
    others = {run["round"]: run for run in _runs(report, theirs)}
    return [(run, others[run["round"]]) for run in _runs(report, ours) if run["round"] in others]


def _cpu_us(run: dict[str, Any]) -> float:
    return float(run["cpu_us"]["parent"] + run["cpu_us"]["workers"])


def _runs(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = [run for run in report["runs"] if run["candidate"] == name]
    return sorted(found, key=lambda run: int(run["round"]))


def _cell(runs: list[dict[str, Any]], path: _Path, form: str) -> str:
    values = [value for run in runs if (value := _at(run, path)) is not None]
    return spread(values, form) if values else "-"


def _balance(runs: list[dict[str, Any]]) -> str:
    faults = [fault for run in runs for fault in run["faults"]]
    if faults:
        return f"{len(faults)} faults"
    return "balanced" if all("account" in run for run in runs) else "-"


def _at(run: dict[str, Any], path: _Path) -> float | None:
    value: Any = run
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError):
            return None
    return float(value)
