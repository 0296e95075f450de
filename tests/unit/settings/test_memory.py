from pathlib import Path

import pytest

from geoweir.settings import budget as budgets
from geoweir.settings.machine import memory_limit
from geoweir.settings.memory import (
    LEAST_WORKER,
    MOST_WINDOW,
    MOST_WORKER,
    Demand,
    share_memory,
)
from geoweir.settings.plan import plan
from support.configurations import Folder


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("memory.max", "536870912\n", 536870912),
        ("memory.high", "400000000\n", 400000000),
        ("memory.max", "max\n", None),
        ("memory.max", "", None),
        ("memory/memory.limit_in_bytes", "536870912\n", 536870912),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
    ],
)
def test_both_versions_give_their_limit(
    tmp_path: Path, name: str, text: str, limit: int | None
) -> None:
    write(tmp_path, f"sys/fs/cgroup/{name}", text)

    assert memory_limit(tmp_path) == limit


@pytest.mark.parametrize(
    ("line", "tree", "name"),
    [("0::/a/b", "", "memory.max"), ("4:memory:/a/b", "memory/", "memory.limit_in_bytes")],
)
def test_the_smallest_limit_of_the_groups_around_counts(
    tmp_path: Path, line: str, tree: str, name: str
) -> None:
    write(tmp_path, "proc/self/cgroup", f"{line}\n")
    write(tmp_path, f"sys/fs/cgroup/{tree}a/b/{name}", "800000000")
    write(tmp_path, f"sys/fs/cgroup/{tree}a/{name}", "300000000")
    write(tmp_path, f"sys/fs/cgroup/{tree}{name}", "max")

    assert memory_limit(tmp_path) == 300_000_000


def test_where_there_is_plenty_everything_has_its_usual_size() -> None:
    shared = share_memory(
        24_000_000_000, Demand(streams=3, auto_workers=4, kept=8_000_000), is_enforced=True
    )

    assert (shared.workers, shared.worker, shared.window) == (4, MOST_WORKER, MOST_WINDOW)
    assert shared.fits


@pytest.mark.parametrize("limit", [256, 384, 512, 768, 1024, 2048])
@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize("cores", [1, 2, 4])
def test_what_is_left_to_us_fits(limit: int, streams: int, cores: int) -> None:
    demand = Demand(streams=streams, auto_workers=cores, kept=8_000_000)

    shared = share_memory(limit * 1_000_000, demand, is_enforced=True)

    assert shared.fits, shared.text()
    assert 1 <= shared.workers <= cores
    assert shared.worker >= LEAST_WORKER


def test_two_workers_fit_into_512_mb() -> None:
    shared = share_memory(512_000_000, Demand(streams=1, auto_workers=2), is_enforced=True)

    assert shared.workers == 2
    assert shared.worker >= 100_000_000


def test_what_is_given_is_kept_and_the_sum_is_shown() -> None:
    demand = Demand(streams=1, workers=4, worker=150_000_000, kept=8_000_000)

    shared = share_memory(512_000_000, demand, is_enforced=True)

    assert (shared.workers, shared.worker) == (4, 150_000_000)
    assert not shared.fits
    assert "4 workers 600MB" in shared.text()
    assert shared.text().endswith(f"= {shared.total / 1e6:.0f}MB")


STREAMS = "streams: {a: {subscribe: x}}\n"


def test_the_configured_limit_is_shared_and_said_not_to_be_enforced(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "memory_limit", lambda: None)
    loaded = folder.load(STREAMS + "memory: 400MB\npool: {workers: 2}")

    assert loaded.settings is not None
    assert loaded.settings.pool.memory < 150_000_000
    (line,) = [line for line in plan(loaded.settings) if line.startswith("memory")]
    assert line.endswith("of 400MB, limit not enforced here")


def test_a_smaller_control_group_goes_before_the_configured_limit(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "memory_limit", lambda: 300_000_000)
    loaded = folder.load(STREAMS + "memory: 900MB")

    assert loaded.settings is not None
    (line,) = [line for line in plan(loaded.settings) if line.startswith("memory")]
    assert line.endswith("of 300MB")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("pool: {memory: 64GB, workers: 64}", "pool.memory"),
        ("memory: 256MB\npool: {memory: 100MB, workers: 2}", "memory"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_sum(folder: Folder, text: str, path: str) -> None:
    loaded = folder.load(STREAMS + text)

    (fault,) = loaded.faults
    assert (fault.path, fault.code, fault.severity) == (path, "too-much-memory", "error")
    assert "service 90MB + " in fault.message
