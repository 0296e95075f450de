"""Recordings: each form gives its messages; what is broken is named, never a traceback."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from geoweir.cli.recordings import Record, Recording, Skipped, SourceError
from support.samples import sample


def read(path: Path) -> list[Record | Skipped]:
    return list(Recording(path).read())


def records(path: Path) -> list[Record]:
    return [record for record in read(path) if isinstance(record, Record)]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def features(path: Path) -> list[dict[str, Any]]:
    return [json.loads(record.payload) for record in records(path)]


# CSV


def test_a_csv_row_becomes_a_feature_with_its_columns(tmp_path: Path) -> None:
    text = "MMSI,BaseDateTime,LAT,LON,SOG,Name\n366,2022-01-03T00:00:01,29.5,-90.25,1.5,SEA\n"
    (record,) = records(written(tmp_path, "a.csv", text))
    assert record.id == "366"
    assert record.time == 1_641_168_001.0
    assert json.loads(record.payload) == {
        "type": "Feature",
        "id": "366",
        "geometry": {"type": "Point", "coordinates": [-90.25, 29.5]},
        "properties": {
            "MMSI": 366,
            "BaseDateTime": "2022-01-03T00:00:01",
            "LAT": 29.5,
            "LON": -90.25,
            "SOG": 1.5,
            "Name": "SEA",
        },
    }


@pytest.mark.parametrize(
    "header", ["lat,lon", "Latitude,Longitude", "y,x", "position_lat,position_long", "LAT,LNG"]
)
def test_usual_names_of_positions_are_found(tmp_path: Path, header: str) -> None:
    (feature,) = features(written(tmp_path, "a.csv", f"{header}\n1.5,2.5\n"))
    assert feature["geometry"]["coordinates"] == [2.5, 1.5]


def test_what_is_not_exactly_a_number_stays_text(tmp_path: Path) -> None:
    row = "1,2,007,12345678901234567890,1e5,,-3,-0.5,+4"
    (feature,) = features(written(tmp_path, "a.csv", f"lat,lon,a,b,c,d,e,f,g\n{row}\n"))
    wanted = ["007", "12345678901234567890", "1e5", None, -3, -0.5, "+4"]
    assert list(feature["properties"].values())[2:] == wanted


def test_bad_rows_are_skipped_by_name_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "lat,lon\n1,2\n,\nnan,1\n1\n\n3,4\n")
    assert [row.reason for row in read(path) if isinstance(row, Skipped)] == [
        "a row without a position",
        "a row without a position",
        "a row with another number of columns than the first line",
    ]
    assert len(records(path)) == 2


def test_milliseconds_are_a_time_too(tmp_path: Path) -> None:
    (record,) = records(written(tmp_path, "a.csv", "lat,lon,timestamp\n1,2,1518003060123\n"))
    assert record.time == pytest.approx(1_518_003_060.123)


# GPX


GPX = """<?xml version="1.0"?>
<gpx xmlns="http://www.topografix.com/GPX/1/1"><metadata><name>file</name></metadata>
<wpt lat="1" lon="1"><name>way</name></wpt>
<trk><name>ride</name><trkseg>
<trkpt lat="45.5" lon="14.25"><ele>562.5</ele><name>p</name><time>2020-01-01T00:00:00Z</time>
<extensions><speed>3.5</speed></extensions></trkpt>
<trkpt lon="14.5"/></trkseg></trk>
<trk><trkseg><trkpt lat="1" lon="2"/></trkseg></trk></gpx>
"""


def test_track_points_have_height_time_and_their_track(tmp_path: Path) -> None:
    path = written(tmp_path, "a.gpx", GPX)
    first, skipped, last = read(path)
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert skipped == Skipped("a track point without a position")
    assert (first.id, first.time, last.id) == ("ride", 1_577_836_800.0, "track-2")
    feature = json.loads(first.payload)
    assert feature["geometry"]["coordinates"] == [14.25, 45.5, 562.5]
    assert feature["properties"] == {"name": "p", "time": "2020-01-01T00:00:00Z", "speed": 3.5}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_entities_are_refused_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    secret = written(tmp_path, "secret.txt", "secret")
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>'
        f'<!DOCTYPE gpx [<!ENTITY e SYSTEM "file://{secret}">]>'
        '<gpx><trk><name>&e;</name><trkseg><trkpt lat="1" lon="2"/></trkseg></trk></gpx>'
    )
    path = written(tmp_path, "a.gpx", text.encode(encoding))
    with pytest.raises(SourceError, match="document type"):
        read(path)


def test_a_broken_gpx_gives_its_points_and_then_one_clear_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.gpx", GPX[: GPX.index("<trkpt lon")])
    found = Recording(path).read()
    assert isinstance(next(found), Record)
    with pytest.raises(SourceError, match=r"a\.gpx: no GPX: no element found"):
        next(found)


# GeoJSON and text


def test_each_feature_of_a_collection_is_a_message(tmp_path: Path) -> None:
    one = {"type": "Feature", "id": 7, "geometry": None, "properties": {"time": 1_518_003_060_000}}
    two = {"type": "Feature", "geometry": None, "properties": {"vehicle_id": "b", "id": 3}}
    collection = {"type": "FeatureCollection", "features": [one, two, 5]}
    first, second, third = read(written(tmp_path, "a.geojson", json.dumps(collection)))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.id, first.time) == ("7", 1_518_003_060.0)
    assert (second.id, second.time) == ("b", None)
    assert third == Skipped("a value that is no JSON object")


def test_a_text_sequence_keeps_its_bytes(tmp_path: Path) -> None:
    line = b'{"type": "Point",  "coordinates": [1, 2.50]}'
    content = b"\x1e" + line + b"\n\nbroken\n" + line
    path = written(tmp_path, "a.ndjson.gz", gzip.compress(content))
    assert [record.payload for record in records(path)] == [line, line]
    assert Skipped("a line that is no JSON") in read(path)


def test_a_sequence_under_the_name_of_a_document_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.geojson", '{"type":"Point"}\n{"type":"Point"}\n')
    assert len(records(path)) == 2


def test_any_other_text_is_a_line_per_message(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", b"one\r\n\n\xfftwo\n")
    assert read(path) == [Record(None, None, b"one"), Record(None, None, b"\xfftwo")]


# NMEA


def test_sentences_have_the_time_of_the_one_before_where_they_have_none(tmp_path: Path) -> None:
    rmc = "$GPRMC,094737,A,5251.0093,N,00518.8170,E,5.6,230.5,200818,1.4,E,A*1F"
    text = f"# a comment\n$SDDPT,5.3,0.4,*79\n{rmc}\r\n$SDMTW,,C*1A\n"
    first, second, third = records(written(tmp_path, "a.log", text))
    assert (first.time, second.time, third.time) == (None, 1_534_758_457.0, 1_534_758_457.0)
    assert second.payload == rmc.encode()


# What is no recording at all


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"a,b\n1,2\n", "no columns for the position"),
        ("a.csv", b"lat,lon\n\xff,1\n", "not UTF-8 text"),
        ("a.gpx", b"hello", "no GPX"),
        ("a.gpx", b"<gpx/>", "no track in it"),
        ("a.csv.gz", b"plain", "Not a gzipped file"),
        ("a.csv.gz", gzip.compress(b"lat,lon\n1,2\n")[:-9], "cut off or damaged"),
        ("a.geojson", b'{"type": "FeatureCollection"}', "without features"),
        ("a.zip", b"PK\3\4\x14\0\0\0\b\0", "neither lines of text nor"),
    ],
)
def test_a_file_that_is_none_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(SourceError, match=what) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read(tmp_path / "none.csv")


def test_the_fraction_grows_to_the_whole(tmp_path: Path) -> None:
    recording = Recording(written(tmp_path, "a.csv", "lat,lon\n" + "1,2\n" * 50_000))
    shares = [recording.fraction for _ in recording.read()]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert shares[-1] == 1.0


# The recorded samples


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "count", "devices"),
    [
        ("tracks/ais_us_2022-01-03.csv.gz", 99_999, 10_631),
        ("tracks/bus_limerick_304_2019-02-18.gpx", 2_144, 1),
        ("tracks/bus_liverpool_route14_2026-01-26.csv", 1_533, 8),
        ("tracks/earthquakes_usgs_week.geojson", 1_707, 1_707),
        ("nmea/bundg_zeus_9.log", 4_999, 1),
        ("tracks/gpx/track-with-empty-segment.gpx", 9, 1),
        ("tracks/gpx/cerknicko-without-times.gpx", 296, 7),
    ],
)
def test_a_recorded_sample_is_read_whole(name: str, count: int, devices: int) -> None:
    found = read(sample(name))
    assert not [record for record in found if isinstance(record, Skipped)]
    assert len(found) == count
    assert len({record.id for record in found if isinstance(record, Record)}) == devices
