"""When a running service looks at its configuration."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from geoweir.cli import following

_EVERY_S = 5.0


class Looks:
    """Steps from look to look instead of waiting."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen = 0
        self._due = asyncio.Semaphore(0)
        self._done = asyncio.Semaphore(0)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)
        self._task = asyncio.ensure_future(self._follow(path))

    async def _sleep(self, seconds: float) -> None:
        assert seconds == _EVERY_S
        self._done.release()
        await self._due.acquire()

    async def _follow(self, path: Path) -> None:
        async for _ in following.changes(path, _EVERY_S):
            self.seen += 1

    async def begun(self) -> None:
        await self._done.acquire()

    async def look(self) -> int:
        """Looks once; how many changes it told so far."""
        self._due.release()
        await self._done.acquire()
        return self.seen

    async def end(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def test_a_change_is_told_once_and_only_when_it_has_stayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "geoweir.yaml"
    path.write_text("a")
    looks = Looks(path, monkeypatch)
    await looks.begun()
    assert await looks.look() == 0
    path.write_text("a half")
    assert await looks.look() == 0  # may be half-written
    path.write_text("a half, and the rest")
    assert await looks.look() == 0
    assert await looks.look() == 1
    assert await looks.look() == 1
    path.unlink()
    assert await looks.look() == 1
    assert await looks.look() == 1  # a file that is gone is no configuration
    path.write_text("another")
    assert await looks.look() == 1
    assert await looks.look() == 2
    await looks.end()


async def test_a_symbolic_link_that_is_swapped_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).write_text("same length")
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "geoweir.yaml"
    link.symlink_to("a")
    looks = Looks(link, monkeypatch)
    await looks.begun()
    link.unlink()
    link.symlink_to("b")
    assert await looks.look() == 0
    assert await looks.look() == 1
    await looks.end()
