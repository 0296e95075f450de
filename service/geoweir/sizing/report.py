"""The report: a table and lines for the configuration, or the same as plain values."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from geoweir.sizing.results import Latency, Trial
from geoweir.sizing.rules import Suggestion, cautions, plain_rate
from geoweir.sizing.sweep import Findings

__all__ = ["Report", "yaml_block"]

_LIMITS: Final = {
    "tool": "feeder and listener",
    "broker": "broker",
    "service": "event loop",
    "workers": "workers",
    "machine": "all cores",
    "unclear": "-",
}
_COLUMNS: Final = ("workers", "chunk", "queue", "rate", "CPU/input", "lag p99", "memory", "limit")
_WIDTH: Final = 96  # of a comment line
_RARE: Final = 0.01  # a share of inputs that is not worth a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the command says.

    Attributes:
        about: lines about machine, broker and inputs.
        left_out: streams without inputs, and why.
    """

    about: tuple[str, ...]
    left_out: dict[str, str]
    findings: Findings
    suggestions: tuple[Suggestion, ...]

    def text(self) -> str:
        """For people; ends with what can be pasted."""
        found = self.findings
        parts = [
            [*self.about, *(f"left out: {name}: {why}" for name, why in self.left_out.items())],
            _table(found.trials(), found.best),
            [*_latencies(found), f"without the service: {plain_rate(found.ceiling.rate)}"],
            [*(f"note: {note}" for note in self._notes()), *_faults(found)],
            [yaml_block(self.suggestions).rstrip("\n")],
        ]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def json(self) -> str:
        """For machines."""
        found = self.findings
        return json.dumps(
            {
                "about": list(self.about),
                "left_out": self.left_out,
                "ceiling": asdict(found.ceiling),
                "trials": [asdict(trial) for trial in found.trials()],
                "best": asdict(found.best.setting) | {"rate": found.best.rate},
                "latency": [asdict(latency) for latency in found.calm.latencies],
                "skipped": [asdict(setting) for setting in found.skipped],
                "notes": self._notes(),
                "faults": found.faults(),
                "suggestions": [asdict(one) for one in self.suggestions],
                "yaml": yaml_block(self.suggestions),
            },
            ensure_ascii=False,
        )

    def _notes(self) -> list[str]:
        found = self.findings
        notes = [*cautions(found.best, found.ceiling), *found.notes()]
        notes += _unpublished(found.best)
        if found.skipped:
            skipped = "; ".join(map(str, found.skipped))
            notes.append(f"no time for {skipped}: a longer --duration tries them")
        return notes


def _table(trials: Sequence[Trial], best: Trial) -> list[str]:
    rows = [_COLUMNS, *(_row(trial, is_best=trial.setting == best.setting) for trial in trials)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _row(trial: Trial, *, is_best: bool) -> tuple[str, ...]:
    setting, memory = trial.setting, trial.memory
    return (
        f"{'* ' if is_best else ''}{setting.workers}",
        str(setting.chunk),
        str(setting.queue),
        plain_rate(trial.rate),
        f"{trial.cpu_us:.0f} us",
        _ms(trial.lag_p99_ms),
        f"{memory.service / 1e6:.0f} + {setting.workers} x {memory.worker / 1e6:.0f} MB",
        _LIMITS[trial.limit],
    )


def _latencies(found: Findings) -> list[str]:
    return [_latency(latency) for latency in found.calm.latencies]


def _latency(latency: Latency) -> str:
    return (
        f"latency at {latency.share:.0%} ({plain_rate(latency.rate)}): "
        f"p50 {_ms(latency.p50_ms)}, p99 {_ms(latency.p99_ms)}, "
        f"event loop late p99 {_ms(latency.lag_p99_ms)}"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _unpublished(best: Trial) -> list[str]:
    """Streams whose inputs often end in another way: their rate says little about their steps."""
    found = []
    for name, stream in best.streams.items():
        for outcome in ("filtered", "rejected", "reconciled"):
            count: int = getattr(stream, outcome)
            if count > _RARE * max(stream.received, 1):
                why = ", ".join(stream.reasons.get(outcome, {}))
                share = f"{count / stream.received:.0%}"
                found.append(f"stream {name}: {share} of the inputs were {outcome} ({why})")
    return found


def _faults(found: Findings) -> list[str]:
    faults = found.faults()
    return [f"FAULT: {fault}" for fault in faults] or ["the account balanced in every run"]


def yaml_block(suggestions: Sequence[Suggestion]) -> str:
    """Lines for the configuration, each with its reason; a comment alone where there are none."""
    if not suggestions:
        return "# nothing to change: the configuration fits what was measured\n"
    lines = ["# for the configuration, into the sections that are there:"]
    for section in dict.fromkeys(one.section for one in suggestions):
        lines.append(f"{section}:")
        for one in suggestions:
            if one.section == section:
                lines += [f"  # {text}" for text in _wrapped(one.reason)]
                lines.append(f"  {one.key}: {one.value}")
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)
