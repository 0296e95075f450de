"""A stream's inputs in files: order, restarts, cut and damaged files."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from geoweir.store.spill.log import SpillLog
from geoweir.store.spill.segment import encode

ALL = 1 << 40


def records(*numbers: int, size: int = 20) -> list[bytes]:
    return [encode(f"t/{n}", str(n).encode().ljust(size), (("k", "v"),), 1, n / 2) for n in numbers]


class Logs:
    """Opens the log of one folder again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damages: list[tuple[str, int]] = []

    def open(self, segment_bytes: int = 4096) -> SpillLog:
        return SpillLog(
            self.folder,
            segment_bytes=segment_bytes,
            on_damage=lambda detail, lost: self.damages.append((detail, lost)),
        )


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path / "s")


def numbers(log: SpillLog, most: int = 1000) -> list[int]:
    return [int(one.payload) for one in log.read(most, ALL, ALL)]


def everything(log: SpillLog) -> list[int]:
    found: list[int] = []
    while part := numbers(log):
        found += part
    return found


def test_what_goes_in_comes_out_in_order_with_all_of_it(logs: Logs) -> None:
    log = logs.open()

    assert log.append(records(1, 2, 3)) == 1
    assert log.append(records(4)) == 4

    (first, *_) = found = log.read(10, ALL, ALL)
    assert [int(one.payload) for one in found] == [1, 2, 3, 4]
    assert (first.topic, first.headers, first.flags, first.received) == (
        "t/1",
        (("k", "v"),),
        1,
        0.5,
    )
    assert [one.sequence for one in found] == [1, 2, 3, 4]
    assert log.read(10, ALL, ALL) == []
    assert log.totals.messages == 4
    log.close()


def test_reading_goes_on_where_it_stopped_over_many_files(logs: Logs) -> None:
    log = logs.open(segment_bytes=200)
    for n in range(0, 60, 3):
        log.append(records(n, n + 1, n + 2))

    found = [n for _ in range(60) for n in numbers(log, 2)]
    log.append(records(60))

    assert found == list(range(60))
    assert numbers(log) == [60]
    assert len(list(logs.folder.glob("*.spill"))) > 5
    log.close()


def test_at_least_one_comes_however_large(logs: Logs) -> None:
    log = logs.open()
    log.append(records(1, 2, size=3_000_000))

    assert [len(log.read(10, 100, ALL)) for _ in range(3)] == [1, 1, 0]
    log.close()


def test_what_is_settled_does_not_come_again_and_its_files_go(logs: Logs) -> None:
    log = logs.open(segment_bytes=200)
    log.append(records(*range(30)))
    for n in range(30, 60):
        log.append(records(n))
    before = log.totals.bytes
    numbers(log, 50)

    log.settle(45)

    assert log.totals.messages == 15
    assert log.totals.bytes < before / 2
    log.close()
    again = logs.open(segment_bytes=200)
    assert everything(again) == list(range(45, 60))
    again.settle(60)
    assert again.totals.messages == 0
    again.close()
    last = logs.open(segment_bytes=200)
    assert everything(last) == []
    assert last.append(records(7)) == 61
    last.close()
    assert logs.damages == []


def test_a_head_that_is_damaged_brings_settled_ones_again_and_loses_none(logs: Logs) -> None:
    log = logs.open()
    log.append(records(1, 2, 3))
    log.settle(2)
    log.close()
    (logs.folder / "head").write_bytes(b"\xff" * 12)

    again = logs.open()

    assert everything(again) == [1, 2, 3]
    again.close()


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_a_tail_that_was_cut_ends_at_the_last_whole_record(logs: Logs, cut: int) -> None:
    log = logs.open()
    log.append(records(1, 2, 3))
    log.close()
    (path,) = logs.folder.glob("*.spill")
    os.truncate(path, path.stat().st_size - cut)

    again = logs.open()

    assert everything(again) == [1, 2]
    assert again.append(records(9)) == 3
    assert numbers(again) == [9]
    again.close()
    assert len(logs.damages) == 1


def test_a_flipped_bit_costs_what_follows_in_that_file_only_and_a_copy_stays(logs: Logs) -> None:
    log = logs.open(segment_bytes=150)
    for n in range(9):
        log.append(records(n))
    log.close()
    first, *others = sorted(logs.folder.glob("*.spill"))
    data = bytearray(first.read_bytes())
    data[-5] ^= 1
    first.write_bytes(data)

    again = logs.open(segment_bytes=150)

    found = everything(again)
    lost = sorted(set(range(9)) - set(found))
    assert found == sorted(found)
    assert len(lost) == 1
    assert lost[0] < 5
    assert others
    assert sum(lost for _, lost in logs.damages) == 1
    assert next(logs.folder.glob("*.damaged")).read_bytes() == bytes(data)
    assert again.totals.messages == 8
    again.close()


@pytest.mark.parametrize("content", [b"", b"GWSPILL", b"something else entirely, and longer"])
def test_a_file_that_is_none_of_ours_is_put_aside(logs: Logs, content: bytes) -> None:
    log = logs.open()
    log.append(records(1))
    log.close()
    foreign = logs.folder / f"{99:020}.spill"
    foreign.write_bytes(content)

    again = logs.open()

    assert everything(again) == [1]
    assert again.append(records(2)) == 2
    assert not foreign.exists()
    assert len(logs.damages) == 1
    again.close()


def test_a_length_that_lies_is_no_reason_to_take_memory(logs: Logs) -> None:
    log = logs.open()
    log.append(records(1))
    log.close()
    (path,) = logs.folder.glob("*.spill")
    with path.open("ab") as file:
        file.write(b"\xff\xff\xff\xff" + bytes(40))

    again = logs.open()

    assert everything(again) == [1]
    again.close()


def test_a_disk_that_is_full_leaves_what_was_there_and_takes_again_later(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logs.open()
    log.append(records(1))
    real = os.fdatasync

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space"):
        log.append(records(2, 3))
    monkeypatch.setattr(os, "fdatasync", real)

    assert log.append(records(4)) == 2
    assert everything(log) == [1, 4]
    log.close()
    again = logs.open()
    assert everything(again) == [1, 4]
    assert logs.damages == []
    again.close()


def test_what_was_not_released_is_known_after_a_restart(logs: Logs) -> None:
    log = logs.open(segment_bytes=200)
    for n in range(10):
        log.append(records(n))
    log.append([encode("t/10", b"10", (), 0, 0.0)])
    log.release(4, {2, 3})
    log.close()

    again = logs.open(segment_bytes=200)

    assert again.released == 4
    found = again.carried()
    assert (found.waiting, found.durable, found.others) == (2, [5, 6, 7, 8, 9, 10], 1)
    assert (found.passed_over, found.last) == ({2, 3}, 11)
    assert [int(n) for _ in range(9) for n in [one.payload for one in again.read(3, ALL, 4)]] == [
        0, 1, 2, 3,
    ]  # fmt: skip
    again.close()


def test_a_torn_note_leaves_the_one_before_it(logs: Logs) -> None:
    log = logs.open()
    log.append(records(1, 2, 3))
    log.release(1, ())
    log.release(2, ())
    log.close()
    (newest,) = (p for p in logs.folder.glob("released.*") if b"\x03\x02" in p.read_bytes())
    newest.write_bytes(newest.read_bytes()[:-1])

    again = logs.open()

    assert again.released == 1
    again.close()


@pytest.mark.parametrize("content", [b"", b"\xff" * 12])
def test_without_a_note_of_what_was_released_everything_may_have_been(
    logs: Logs, content: bytes
) -> None:
    log = logs.open()
    log.append(records(1, 2, 3))
    log.release(1, ())
    log.close()
    for path in logs.folder.glob("released.*"):
        path.write_bytes(content)

    again = logs.open()

    assert again.carried().durable == []
    assert everything(again) == [1, 2, 3]
    again.close()


def test_files_go_durably_one_by_one(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logs.open(segment_bytes=100)
    for number in range(8):
        log.append(records(number))
    left: list[list[str]] = []

    def sync(folder: Path) -> None:
        left.append(sorted(path.name for path in folder.glob("*.spill")))

    monkeypatch.setattr("geoweir.store.spill.log.sync_folder", sync)
    before = len(list(logs.folder.glob("*.spill")))
    log.settle(8)
    # A power cut between two of them would bring back an early one without those behind it.
    counts = [before, *map(len, left)]
    assert max(one - other for one, other in itertools.pairwise(counts)) == 1
    assert len(left) > 2
    log.close()


def test_what_an_earlier_life_left_is_made_durable_before_it_is_relied_on(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logs.open()
    log.append(records(1, 2))
    log.release(1, ())
    log.close()
    synced: list[str] = []

    def sync(paths: list[Path]) -> None:
        synced.extend(path.name for path in paths if path.exists())

    monkeypatch.setattr("geoweir.store.spill.log.sync_files", sync)
    monkeypatch.setattr("geoweir.store.spill.note.sync_files", sync)
    logs.open().close()
    assert sorted(synced) == ["00000000000000000001.spill", "released.0", "released.1"]


def test_what_has_its_outcome_without_ever_being_released_is_over(logs: Logs) -> None:
    log = logs.open()
    log.append(records(1, 2, 3))  # durable, and its lane would send it again: not released
    log.settle(2)  # but the lane was gone, so it came back from here
    log.close()
    log = logs.open()
    carried = log.carried()
    assert (carried.waiting, carried.durable, carried.others) == (0, [3], 0)
    assert carried.released == 2
    log.settle(3)
    log.close()
    carried = logs.open().carried()
    assert (carried.waiting, carried.durable, carried.others) == (0, [], 0)


def test_a_note_s_name_is_durable_also_where_its_first_write_failed(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logs.open()
    log.append(records(1, 2))
    named: list[list[str]] = []

    def sync(folder: Path) -> None:
        named.append(sorted(path.name for path in folder.iterdir()))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geoweir.store.spill.note.sync_folder", sync)
    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", full)
        with pytest.raises(OSError, match="No space"):
            log.release(1, ())
    log.release(1, ())
    assert any("released.0" in names for names in named)
    log.close()
