"""The receiver's sentences: what is whole is read, what is damaged is passed over."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from geoweir.demo.config import DATA_DIR
from geoweir.demo.receiver import clock_of, read_fixes, sentence_fields

RMC = b"$GPRMC,094737,A,5251.0093,N,00518.8170,E,5.6,230.5,200818,1.4,E,A*1F\r\n"
SOUTH = b"$GPRMC,095304.802,A,2712.6520,S,15303.1397,E,0.00,133.96,080407,,,A*78"


def fixes_of(folder: Path, *lines: bytes) -> list[object]:
    path = folder / "log.nmea.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    return list(read_fixes(path))


def test_a_fix_has_degrees_metres_per_second_and_unix_seconds(tmp_path: Path) -> None:
    path = tmp_path / "log.nmea.gz"
    path.write_bytes(gzip.compress(RMC))
    (fix,) = read_fixes(path)
    assert fix.lon == pytest.approx(5.3136167)
    assert fix.lat == pytest.approx(52.850155)
    assert fix.speed_ms == pytest.approx(2.88089, abs=1e-5)
    assert fix.course == 230.5
    assert fix.time == 1_534_758_457.0


def test_south_is_negative(tmp_path: Path) -> None:
    path = tmp_path / "log.nmea.gz"
    path.write_bytes(gzip.compress(SOUTH))
    (fix,) = read_fixes(path)
    assert fix.lat == pytest.approx(-27.210867, abs=1e-6)
    assert fix.time == pytest.approx(1_176_025_984.802, abs=1e-3)


@pytest.mark.parametrize(
    "line",
    [
        RMC.replace(b"*1F", b"*1E"),
        RMC.replace(b"*1F", b""),
        RMC[3:],
        b"# a comment",
        b"",
        b"\xff\x00\xb5\x62 binary",
        b"$GPRMC,,V,,,,,,,,,,N*53",
        b"$GPGGA,,,,,,0,,,,M,,M,,*66",
    ],
)
def test_what_is_no_fix_is_passed_over(tmp_path: Path, line: bytes) -> None:
    assert len(fixes_of(tmp_path, line, RMC.strip())) == 1


def test_the_checksum_decides() -> None:
    assert sentence_fields(RMC) is not None
    assert sentence_fields(RMC.replace(b"5.6", b"5.7")) is None


@pytest.mark.parametrize(("date", "clock"), [("310299", "000000"), ("", "000000"), ("010120", "x")])
def test_an_impossible_time_is_none(date: str, clock: str) -> None:
    assert clock_of(date, clock) is None


def test_the_logs_of_the_demo_hold_fixes() -> None:
    counts = {path.name: len(read_fixes(path)) for path in DATA_DIR.glob("*.nmea.gz")}
    assert counts == {"telit-he910.nmea.gz": 187, "bundg_zeus_9.nmea.gz": 146}
