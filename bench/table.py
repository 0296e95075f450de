"""A report as one table, and the ratios that may be claimed from it."""

from __future__ import annotations

from statistics import median
from typing import Any, Final

__all__ = ["ratios", "table"]

_COLUMNS: Final = (
    ("messages/s", ("saturated", "rate"), "{:.0f}"),
    ("p50 ms", ("saturated", "p50_ms"), "{:.0f}"),
    ("p99 ms", ("saturated", "p99_ms"), "{:.0f}"),
    ("p50 ms at 1/10", ("calm", "p50_ms"), "{:.1f}"),
    ("p99 ms at 1/10", ("calm", "p99_ms"), "{:.1f}"),
    ("CPU µs", ("cpu_us",), "{:.0f}"),
    ("peak RSS MB", ("peak_rss_mb",), "{:.0f}"),
    ("PSS MB", ("pss_mb",), "{:.0f}"),
    ("loop lag p99 ms", ("lag_p99_ms",), "{:.1f}"),
    ("account", ("balance",), "{}"),
)
#: What is claimed, if at all: ours by theirs.
_PAIRS: Final = (
    ("geoweir-5-2w", "plain-5-2w"),
    ("geoweir-3.1.1-2w", "plain-3.1.1-2w"),
    ("geoweir-5-2w", "echo-5"),
    ("geoweir-3.1.1-2w", "echo-3.1.1"),
)


def table(report: dict[str, Any]) -> str:
    """Markdown: the median over the rounds and, in brackets, the least and the most."""
    names = list(dict.fromkeys(run["candidate"] for run in report["runs"]))
    head = [f"| candidate | {' | '.join(name for name, _, _ in _COLUMNS)} |"]
    head.append("|---" * (len(_COLUMNS) + 1) + "|")
    return "\n".join(head + [_row(name, _runs(report, name)) for name in names])


def ratios(report: dict[str, Any]) -> list[str]:
    """One line per pair: messages/s and CPU of ours by theirs, within each round."""
    lines = []
    for ours, theirs in _PAIRS:
        pairs = list(zip(_runs(report, ours), _runs(report, theirs), strict=False))
        if not pairs:
            continue
        rate = [a["saturated"]["rate"] / b["saturated"]["rate"] for a, b in pairs]
        cpu = [a["cpu_us"] / b["cpu_us"] for a, b in pairs]
        lines.append(
            f"{ours} by {theirs}: messages/s x {_spread(rate, '{:.2f}')}, "
            f"CPU per message x {_spread(cpu, '{:.2f}')}"
        )
    return lines


def _runs(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = [run for run in report["runs"] if run["candidate"] == name]
    return sorted(found, key=lambda run: int(run["round"]))


def _row(name: str, runs: list[dict[str, Any]]) -> str:
    cells = [_cell(runs, path, form) for _, path, form in _COLUMNS]
    return f"| {name} | {' | '.join(cells)} |"


def _cell(runs: list[dict[str, Any]], path: tuple[str, ...], form: str) -> str:
    if path == ("balance",):
        return _balance(runs)
    values = [value for run in runs if (value := _at(run, path)) is not None]
    return _spread(values, form) if values else "-"


def _balance(runs: list[dict[str, Any]]) -> str:
    faults = [fault for run in runs for fault in run["faults"]]
    if faults:
        return f"{len(faults)} faults"
    return "balanced" if all("account" in run for run in runs) else "-"


def _at(run: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = run
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else float(value)


def _spread(values: list[float], form: str) -> str:
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(median(values))} ({form.format(min(values))}-{form.format(max(values))})"
