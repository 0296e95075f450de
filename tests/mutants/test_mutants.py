"""What happens to the suite when a guard is taken away: it turns red, or the guard is not tested.

Each mutant is the package in a folder of its own with one guard removed, put before the real one on
the path; the tests named beside it must fail there (on the package as it is they pass, or the suite
is red anyway). A mutant whose place in the source is no longer there is a failure too: it must be
carried along.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import geoweir

pytestmark = [pytest.mark.mutants, pytest.mark.mosquitto, pytest.mark.timeout(300)]

PACKAGE = Path(geoweir.__file__).parent
TESTS = Path(__file__).parent.parent
_SERVICE, _CULPRITS = "faults/test_suite_service.py", "faults/test_service_culprits.py"
_SANDBOX = "unit/pool/test_sandbox.py"
_PORTS, _DISK = "contract/test_ports.py", "faults/test_store_disk.py"
_NOTHING, _GOES_ON = "loses_nothing_that_was_told_as_kept", "and_the_service_goes_on"
_FAILED = 1  # pytest's exit status; 2 and above: it could not even ask


@dataclass(frozen=True, slots=True)
class Mutant:
    """One guard, how it is removed, and who notices."""

    name: str
    file: str
    guard: str
    without: str
    killers: tuple[str, ...]


MUTANTS = [
    Mutant(
        "acknowledged before the broker has the result",
        "stages/delivery.py",
        "            refusals = await answers\n",
        "            refusals: list[Refusal | None] = [None] * len(messages)\n",
        (
            "unit/stages/test_delivery.py::test_nothing_is_settled_before_the_broker_answered",
            f"{_SERVICE}::test_l_a_window_that_is_full_of_unacknowledged_inputs_is_taken_up_again",
        ),
    ),
    Mutant(
        "acknowledged beyond the finished prefix",
        "core/account.py",
        "        finished = len(self._states) - len(self._states.lstrip(_FINISHED))\n",
        "        finished = len(self._states)\n",
        ("unit/core/test_account.py::test_only_a_finished_prefix_is_confirmed",),
    ),
    Mutant(
        "acknowledged before the store has the dropped input",
        "stages/delivery.py",
        "        await self._keep(parcel, leaving, messages, details)\n"
        "        self._settle_groups(parcel, leaving)\n",
        "        self._settle_groups(parcel, leaving)\n"
        "        await self._keep(parcel, leaving, messages, details)\n",
        ("unit/stages/test_delivery.py::test_what_is_dropped_is_not_settled_before_it_is_kept",),
    ),
    Mutant(
        "no bound of the queue",
        "stages/weir.py",
        "        return len(self._backlog) + self.piece > self.maxsize\n",
        "        return False\n",
        ("unit/stages/test_weir.py::test_it_never_holds_more_messages_than_its_limit",),
    ),
    Mutant(
        "no bound of what is unacknowledged",
        "mqtt/inlet.py",
        "            min(self._window - len(self._mids), _PENDING - self._pending),\n",
        "            _PENDING - self._pending,\n",
        ("contract/test_ports.py::test_an_unsettled_window_stops_reading_and_settling_goes_on",),
    ),
    Mutant(
        "no bound in bytes of what is unacknowledged",
        "mqtt/inlet.py",
        "            self._window_bytes - self._unsettled_bytes,\n",
        "            1 << 40,\n",
        (f"{_PORTS}::test_a_window_in_bytes_stops_reading_for_qos_0_too",),
    ),
    Mutant(
        "no fsync",
        "store/database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        (f"{_DISK}::test_a_power_cut_that_loses_every_unsynced_write_{_NOTHING}",),
    ),
    Mutant(
        "no isolation: a chunk goes with its culprit",
        "stages/dispatch.py",
        "        if self._budget.may_start(self._clocks.monotonic()):\n",
        "        if False:\n",
        (
            f"{_CULPRITS}::test_only_the_culprit_of_a_chunk_is_reconciled_by_its_id_{_GOES_ON}[kill]",
        ),
    ),
    Mutant(
        "no sandbox",
        "pool/sandbox.py",
        "    failed = libc.syscall(",
        "    failed = 0 and libc.syscall(",
        (f"{_SANDBOX}::test_t25_the_kernel_refuses_all_that_no_chunk_needs",),
    ),
]


def run(package: Path, *killers: str) -> subprocess.CompletedProcess[str]:
    """The tests, on the package in a folder."""
    path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line"]
        + [str(TESTS / killer) for killer in killers],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def copy_to(folder: Path) -> Path:
    """The package in a folder."""
    return Path(
        shutil.copytree(PACKAGE, folder / "geoweir", ignore=shutil.ignore_patterns("__pycache__"))
    )


def test_the_copy_comes_first_on_the_path(tmp_path: Path) -> None:
    copied = copy_to(tmp_path)
    command = [sys.executable, "-c", "import geoweir; print(geoweir.__file__)"]
    path = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run(command, env=path, capture_output=True, text=True, check=True).stdout
    assert Path(said.strip()).parent == copied


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_without_a_guard_each_test_that_watches_it_fails(mutant: Mutant, tmp_path: Path) -> None:
    source = copy_to(tmp_path) / mutant.file
    text = source.read_text(encoding="utf-8")
    assert text.count(mutant.guard) == 1, f"{mutant.file} has changed: carry the mutant along"
    source.write_text(text.replace(mutant.guard, mutant.without), encoding="utf-8")
    for killer in mutant.killers:
        done = run(tmp_path, killer)
        assert done.returncode == _FAILED, f"{killer} lives with it:\n{done.stdout[-3000:]}"
        assert "failed" in done.stdout
