"""Which layers are read without reading ahead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geoweir.spatial.file.advice import advice_for, memory_limit

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("", {}, MACHINE),
        ("0::/a/b\n", {"a/memory.max": "1000\n", "a/b/memory.max": "max\n"}, 1000),
        ("0::/\n", {"memory.max": "77\n"}, 77),
        ("4:memory:/d/e\n3:cpu:/x\n", {"memory/d/e/memory.limit_in_bytes": "5000\n"}, 5000),
        # In a container version 1 shows the host's path, and mounts the group itself.
        ("4:memory:/docker/12ab\n", {"memory/memory.limit_in_bytes": "6000\n"}, 6000),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
        ("0::/a\n", {"b/memory.max": "1000\n"}, MACHINE),
    ],
)
def test_memory_is_the_machine_s_or_less_by_the_control_groups(
    groups: str, limits: dict[str, str], expected: int, tmp_path: Path
) -> None:
    put(tmp_path, "proc/self/cgroup", groups)
    for name, text in limits.items():
        put(tmp_path, f"sys/fs/cgroup/{name}", text)
    assert memory_limit(tmp_path) == expected


def test_a_layer_that_does_not_fit_is_not_read_ahead() -> None:
    assert [advice_for(size, 500) for size in (0, 500, 501, 2000)] == [
        "normal", "normal", "random", "random",
    ]  # fmt: skip
