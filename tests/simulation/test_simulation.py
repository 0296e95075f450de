"""Seeds that must not fail, replays that must be exact, and planted faults that must be found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.planted import PLANTED, seeds_until_found
from simulation.scenario import simulate

_FOLDER = Path(__file__).parent
_STRETCH = 25
#: Of all planted faults the hardest took 22 seeds, but for one.
_MOST = 60
_RARE = {"the spill's note trusted unsynced": 1000}


def _found_seeds() -> list[int]:
    lines = (_FOLDER / "seeds.txt").read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("first", range(0, 500, _STRETCH))
def test_every_promise_holds_whatever_the_seed_does(first: int) -> None:
    for seed in range(first, first + _STRETCH):
        report = simulate(seed)
        assert report.error is None, f"seed {seed}: {report.error}\n" + "\n".join(report.trace)


@pytest.mark.parametrize("seed", _found_seeds())
def test_a_seed_that_once_found_a_fault_finds_none(seed: int) -> None:
    assert simulate(seed).error is None


def test_a_seed_replays_exactly() -> None:
    for seed in range(30):
        assert simulate(seed).trace == simulate(seed).trace


def test_a_seed_replays_exactly_in_another_process() -> None:
    code = (
        "from simulation.scenario import simulate\n"
        "print(*[simulate(seed).digest for seed in range(6)])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for salt in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in _RARE)) for name in PLANTED],
)
def test_a_planted_fault_is_found(name: str) -> None:
    assert seeds_until_found(name, _RARE.get(name, _MOST)) is not None
