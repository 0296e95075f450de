from __future__ import annotations

import pytest

from geoweir.core.heat import FULL, Governor, Reading
from plants import PLANTS, Plant, Sensor, always, best_constant, good, lost, run, stuck

LIMIT = 75.0
SENSORS: dict[str, Sensor] = {
    "good": good,
    "lost": lost(1200, 1500),
    "lost-early": lost(150, 450),
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
@pytest.mark.parametrize("sensor", [*SENSORS, "stuck"])
def test_an_hour_in_closed_loop(plant: Plant, sensor: str) -> None:
    seen = stuck(1200, 1500) if sensor == "stuck" else SENSORS[sensor]
    hour = run(plant, LIMIT, governor=Governor(LIMIT, LIMIT - 5), sensor=seen)
    assert 0 < hour.changes <= 30
    assert hour.above_s <= 60
    assert hour.work >= 0.9 * best_constant(plant, LIMIT).work


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_nothing_changes_where_the_demand_fits(plant: Plant) -> None:
    share = (LIMIT - 4 - plant.ambient) / sum(gain for _, gain in plant.parts)
    hour = run(plant, LIMIT, governor=Governor(LIMIT, LIMIT - 5), demand=always(share))
    assert hour.changes == 0


def test_a_sign_of_throttling_counts_near_the_limit_only() -> None:
    for celsius, falls in ((50.0, False), (72.0, True)):
        governor = Governor(LIMIT, LIMIT - 5)
        seen = Reading(celsius=celsius, throttled=True)
        duties = [governor.decide(second, seen).duty for second in range(30)]
        assert (duties[-1] < FULL) == falls


def test_a_sensor_that_never_speaks_is_lost_and_half_the_work_is_done() -> None:
    governor = Governor(LIMIT, LIMIT - 5)
    duties = [governor.decide(s, Reading(celsius=None)).duty for s in range(120)]
    assert duties[50] == FULL
    assert duties[-1] == pytest.approx(0.484, abs=0.001)
