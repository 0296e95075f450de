"""Kill, power cut and full disk under the state store: what was told as kept is kept.

A power cut is modelled as what it leaves: a copy of the files at some moment (everything that was
synced before it is in the copy), with the tail of the log cut off or overwritten.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geoweir.core.kept import Selection
from geoweir.store.reading import open_for_reading
from support.disks import enlarge, small_disk
from support.eventually import eventually
from support.keeping import StoreNotes, drop, open_store
from support.preload import compile_preload

TESTS = Path(__file__).parent.parent


class Keeper:
    """A process that keeps inputs, one after the other."""

    def __init__(self, path: Path, *arguments: str, preload: Path | None = None) -> None:
        self._output = path.with_name("told")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "support.keeper", str(path), *arguments],
                cwd=TESTS,
                stdout=output,
                env={**os.environ, **({} if preload is None else {"LD_PRELOAD": str(preload)})},
            )

    def told(self) -> list[str]:
        """The inputs whose keeping was confirmed so far."""
        whole = self._output.read_bytes().rpartition(b"\n")[0].decode()
        return [line for line in whole.splitlines() if line.isdecimal()]

    def said(self) -> str:
        return self._output.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def keeping(path: Path, *arguments: str, preload: Path | None = None) -> Iterator[Keeper]:
    keeper = Keeper(path, *arguments, preload=preload)
    try:
        yield keeper
    finally:
        keeper.kill()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that keeps what was synced; skips, by name, without a C compiler."""
    return compile_preload("synced", tmp_path_factory.mktemp("images"))


def names_in(path: Path) -> list[str]:
    with open_for_reading(path) as table:
        return [one.topic.removeprefix("in/") for one in table.find(Selection(), 10**6)]


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_any_moment_loses_nothing_that_was_told_as_kept(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "state.db"
    wait_s = random.Random(seed).uniform(0.0, 0.4)
    with keeping(path) as keeper:
        eventually(lambda: len(keeper.told()) > 20)
        time.sleep(wait_s)  # the moment is what the seed varies
        keeper.kill()
        told = keeper.told()
    found = names_in(path)
    assert set(told) <= set(found)
    assert len(found) == len(set(found)) <= len(told) + 4
    # A start on what the kill left goes on from there.
    with keeping(path) as keeper:
        eventually(lambda: len(keeper.told()) > 20)
        keeper.kill()
    assert set(told) <= set(names_in(path))


@pytest.mark.parametrize("seed", range(8))
async def test_a_power_cut_with_a_torn_tail_leaves_a_prefix_and_the_store_goes_on(
    tmp_path: Path, seed: int
) -> None:
    source, copy = tmp_path / "state.db", tmp_path / "copy" / "state.db"
    copy.parent.mkdir()
    dice = random.Random(seed)
    with keeping(source) as keeper:
        eventually(lambda: len(keeper.told()) > 40 + 200 * seed)
        before = keeper.told()
        # As a disk would have it: the process stands still while its files are copied.
        keeper.process.send_signal(19)
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{source}{suffix}", f"{copy}{suffix}")
        during = keeper.told()
    log = Path(f"{copy}-wal")
    whole = _bytes_of(log)
    shutil.copy(copy, tmp_path / "whole.db")
    shutil.copy(log, tmp_path / "whole.db-wal")
    # Untorn, everything that was told before the cut is there.
    assert set(before) <= set(names_in(tmp_path / "whole.db"))
    torn = bytearray(whole)
    cut = dice.randrange(len(torn) // 2, len(torn))
    if seed % 2:
        del torn[cut:]
    else:
        torn[cut:] = dice.randbytes(len(torn) - cut)
    _write(log, bytes(torn))
    notes = StoreNotes()
    async with open_store(copy, notes) as store:
        found = [one.topic.removeprefix("in/") for one in await store.find(Selection(), most=10**6)]
        assert await store.keep([drop("after")]) == 1
    assert notes.damaged == []
    numbers = sorted(map(int, found))
    # What is missing is at the end: transactions that were in the torn part.
    assert numbers == list(range(len(numbers)))
    assert len(numbers) <= len(during) + 4
    assert "after" in names_in(copy)


@pytest.mark.parametrize("seed", range(4))
async def test_a_power_cut_that_loses_every_unsynced_write_loses_nothing_that_was_told_as_kept(
    tmp_path: Path, images: Path, seed: int
) -> None:
    path, left = tmp_path / "state.db", tmp_path / "left.db"
    with keeping(path, preload=images) as keeper:
        # Long enough for the log to be written back and begun anew, again and again.
        eventually(lambda: len(keeper.told()) > 100 + 1500 * seed)
        keeper.kill()
        told = keeper.told()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}.synced", f"{left}{suffix}")
    notes = StoreNotes()
    async with open_store(left, notes) as store:
        found = await store.find(Selection(), most=10**6)
    assert notes.damaged == []
    assert set(told) <= {one.topic.removeprefix("in/") for one in found}


def test_a_file_that_may_not_grow_stops_the_keeping_and_not_the_process(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with keeping(path, "300000") as keeper:
        assert keeper.process.wait(30) == 0
        told, said = keeper.told(), keeper.said()
    assert "failed [(" in said
    assert told
    assert set(told) <= set(names_in(path))


def _bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def test_a_full_disk_is_named_counted_and_over_when_there_is_room(tmp_path: Path) -> None:
    notes = StoreNotes()
    with small_disk(tmp_path / "disk", "2m") as disk:
        async with open_store(disk / "state.db", notes) as store:
            kept = 0
            while not notes.lost:
                kept += await store.keep([drop(kept, payload=os.urandom(50_000))])
            assert notes.lost == {"full": 1}
            assert store.trouble is not None
            assert store.trouble.why == "full"
            assert "no space left" in store.trouble.detail
            # What was kept can still be read, and let go of when there is room again.
            found = await store.find(Selection(), most=1000)
            assert len(found) == kept
        path = disk / "state.db"
        notes = StoreNotes()
        enlarge(disk)
        async with open_store(path, notes) as store:
            assert await store.keep([drop("after", payload=os.urandom(50_000))]) == 1
            assert len(await store.find(Selection(), most=1000)) == kept + 1
        assert notes.damaged == notes.failed == []


async def test_a_disk_that_is_full_at_the_start_does_not_keep_the_service_from_starting(
    tmp_path: Path,
) -> None:
    notes = StoreNotes()
    with small_disk(tmp_path / "disk", "64k") as disk:
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        async with open_store(disk / "state.db", notes) as store:
            assert await store.keep([drop("a")]) == 0
            assert store.trouble is not None
            assert notes.lost == {"full": 1}
            ballast.unlink()
            eventually_kept = 0
            deadline = time.monotonic() + 20
            while not eventually_kept and time.monotonic() < deadline:
                eventually_kept = await store.keep([drop("b")])
            assert eventually_kept == 1
            assert store.trouble is None
        assert notes.works == 1
