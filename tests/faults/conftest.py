"""The table of the fault suite, at the end of a run."""

from __future__ import annotations

import pytest

from faults.scene import ROWS, TABLES

_COLUMNS = {
    "fault": "fault",
    "ids": "ids",
    "published": "published",
    "filtered": "filtered",
    "rejected": "rejected",
    "reconciled": "reconciled",
    "at broker": "at broker",
    "lost": "lost",
    "doubles": "twice by key",
    "repeats": "twice on the wire",
    "recovery_s": "recovery s",
    "seconds": "whole s",
    "what": "what was done",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for table in TABLES:
        terminalreporter.section("table")
        for line in table:
            terminalreporter.write_line(line)
    if not ROWS:
        return
    terminalreporter.section("fault suite")
    for cells in (list(_COLUMNS.values()), ["---"] * len(_COLUMNS), *map(_cells, ROWS)):
        terminalreporter.write_line("| " + " | ".join(cells) + " |")


def _cells(row: dict[str, object]) -> list[str]:
    found = [row[column] for column in _COLUMNS]
    return [f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in found]
