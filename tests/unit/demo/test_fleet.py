"""The fleet: real routes, the timetable's times, the same for the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely

from geoweir.demo.config import DATA_DIR
from geoweir.demo.fleet import Fleet
from geoweir.demo.noise import Noise
from geoweir.demo.timetable import Timetable

HALF_DAY = 12 * 3600
METRES = 111_320.0
SHRINK = math.cos(math.radians(-16.9))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet.load(DATA_DIR, started_at=1_700_000_000.0)


@pytest.fixture(scope="module")
def timetable() -> Timetable:
    return Timetable.read(DATA_DIR / "timetable.json.gz")


def ways(timetable: Timetable) -> dict[str, shapely.Geometry]:
    """The shapes of each route, in metres of a plane."""
    lines: dict[str, list[shapely.LineString]] = {}
    for trip in timetable.trips:
        shape = trip.pattern.shape
        points = np.column_stack(
            (np.array(shape.lons) * METRES * SHRINK, np.array(shape.lats) * METRES)
        )
        lines.setdefault(trip.pattern.route, []).append(shapely.LineString(points))
    return {route: shapely.union_all(parts) for route, parts in lines.items()}


def test_the_timetable_is_a_whole_weekday(timetable: Timetable) -> None:
    assert len(timetable.trips) == 622


def test_some_hundred_buses_are_on_the_road_at_any_time(fleet: Fleet) -> None:
    counts = [len(fleet.active(seconds)) for seconds in range(0, HALF_DAY, 900)]
    assert min(counts) >= 200
    assert max(counts) < 400


def test_every_bus_is_within_tens_of_metres_of_its_route(
    fleet: Fleet, timetable: Timetable
) -> None:
    lines = ways(timetable)
    for seconds in (0.0, 5_000.5, 30_000.0):
        for fix in fleet.positions(seconds):
            point = shapely.Point(fix.lon * METRES * SHRINK, fix.lat * METRES)
            assert shapely.distance(lines[fix.route], point) < 75.0, fix


def test_a_bus_stands_at_its_stops_at_the_stop_times(timetable: Timetable) -> None:
    for pattern in {id(trip.pattern): trip.pattern for trip in timetable.trips}.values():
        for metres, seconds in zip(pattern.stops, pattern.times, strict=True):
            assert pattern.at(seconds) == (metres, 0.0)


def test_no_bus_goes_back_or_faster_than_a_bus_can(timetable: Timetable) -> None:
    for pattern in {id(trip.pattern): trip.pattern for trip in timetable.trips}.values():
        run = [pattern.at(seconds) for seconds in range(-10, pattern.duration_s + 10, 3)]
        metres = [at for at, _ in run]
        assert metres == sorted(metres)
        assert max(speed for _, speed in run) < 40.0


def test_no_id_is_on_the_road_twice(fleet: Fleet) -> None:
    for seconds in range(0, 2 * HALF_DAY, 1_234):
        ids = [fix.id for fix in fleet.positions(seconds)]
        assert len(ids) == len(set(ids))


def test_buses_under_way_go_on_across_the_end_of_the_round(fleet: Fleet) -> None:
    end = HALF_DAY - 1.5 * 3600  # the demo starts an hour and a half into the round
    before = {fix.id: fix for fix in fleet.positions(end - 1.0)}
    after = {fix.id: fix for fix in fleet.positions(end + 1.0)}
    both = before.keys() & after.keys()
    assert len(both) > 0.9 * len(before)
    for ident in both:
        moved = math.hypot(
            (after[ident].lon - before[ident].lon) * METRES * SHRINK,
            (after[ident].lat - before[ident].lat) * METRES,
        )
        assert moved < 130.0  # two seconds of driving, and an outlier at most


def test_equal_seeds_give_equal_fixes_and_others_do_not() -> None:
    one, same, other = (Fleet.load(DATA_DIR, seed=seed) for seed in (1, 1, 2))
    assert one.positions(777.0) == same.positions(777.0)
    assert one.positions(777.0) != other.positions(777.0)


def test_fixes_bear_the_time_of_the_demo(fleet: Fleet) -> None:
    assert {fix.time for fix in fleet.positions(12.5)} == {1_700_000_012.5}


def test_speeds_and_courses_are_in_their_ranges(fleet: Fleet) -> None:
    fixes = fleet.positions(3_600.0)
    assert all(0.0 <= fix.speed_ms < 40.0 for fix in fixes)
    assert all(0.0 <= fix.course < 360.0 for fix in fixes)
    assert any(fix.speed_ms == 0.0 for fix in fixes)
    assert any(fix.speed_ms > 5.0 for fix in fixes)


def test_errors_wander_and_are_of_a_receivers_size() -> None:
    noise = Noise(5)
    east = np.array([noise.offset_m(3, second)[0] for second in range(4096)])
    usual = east[np.abs(east) < 18]
    assert 3.0 < usual.std() < 5.0
    assert np.corrcoef(usual[:-1], usual[1:])[0, 1] > 0.7
    assert len(usual) < len(east)  # outliers


def test_errors_of_two_devices_differ() -> None:
    noise = Noise(5)
    assert noise.offset_m(1, 10.0) != noise.offset_m(2, 10.0)
