import os
from pathlib import Path

import pytest

from geoweir.settings.machine import auto_workers, cpu_quota


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert auto_workers(tmp_path) == max(1, min(4, len(os.sched_getaffinity(0))))


@pytest.mark.parametrize(
    ("text", "quota"),
    [("max 100000", None), ("150000 100000", 1.5), ("50000 100000", 0.5), ("x", None)],
)
def test_version_2_gives_quota_and_period(tmp_path: Path, text: str, quota: float | None) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu.max", text + "\n")
    assert cpu_quota(tmp_path) == quota


def test_version_1_gives_quota_and_period(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert cpu_quota(tmp_path) == 2.0


def test_minus_one_is_no_limit_in_version_1(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert cpu_quota(tmp_path) is None


def test_the_smallest_limit_of_the_groups_around_counts(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/a/b\n")
    write(tmp_path, "sys/fs/cgroup/a/b/cpu.max", "max 100000")
    write(tmp_path, "sys/fs/cgroup/a/cpu.max", "50000 100000")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "400000 100000")
    assert cpu_quota(tmp_path) == 0.5


def test_a_quota_below_one_core_still_gives_a_worker(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu.max", "20000 100000")
    assert auto_workers(tmp_path) == 1


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(8, 1, 4), (8, 2, 4), (8, 4, 2), (8, 16, 1), (3, 2, 1)]
)
def test_processes_share_the_cores_and_have_a_worker_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert auto_workers(tmp_path, processes=processes) == workers
