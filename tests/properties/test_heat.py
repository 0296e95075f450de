"""The law of heat in closed loop with boards that nobody chose; hours take no time here."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from geoweir.core.heat import FULL, Governor
from plants import Plant, Sensor, always, best_constant, good, lost, run, stuck

LIMIT: Final = 75.0
#: What a lost sensor leaves of the work; a board that can't stand that needs a lower limit.
BLIND: Final = 0.484
OUTAGE_S: Final = 300.0
#: An hour takes a tenth of a second: the plant that failed says enough. The same boards each time:
#: a sensor that is stuck from the first second on has broken the bar of 60 s (docs/heat.md).
PHASES: Final = (Phase.explicit, Phase.reuse, Phase.generate)


@st.composite
def plants(draw: st.DrawFn) -> Plant:
    """Boards that full work makes too warm, and half of it does not; sensors that are never quiet.

    One that shows the very same for minutes on end is taken for stuck: see docs/heat.md.
    """
    ambient = draw(st.floats(20.0, 55.0))
    full = draw(st.floats(LIMIT + 2, min(ambient + (LIMIT - 2 - ambient) / BLIND, 105.0)))
    parts = draw(
        st.lists(st.tuples(st.floats(4.0, 900.0), st.floats(0.2, 1.0)), min_size=1, max_size=3)
    )
    whole = sum(share for _, share in parts)
    gain = full - ambient
    return Plant(
        name="drawn",
        ambient=ambient,
        parts=tuple((tau_s, gain * share / whole) for tau_s, share in parts),
        noise=draw(st.floats(0.3, 0.8)),
        grain=draw(st.sampled_from([0.001, 0.1, 0.5, 1.0])),
        every_s=draw(st.sampled_from([1.0, 2.0])),
        seed=draw(st.integers(0, 1000)),
    )


def sensor_of(kind: str, begin: float) -> Sensor:
    end = begin + OUTAGE_S
    return {"noise": good, "lost": lost(begin, end), "stuck": stuck(begin, end)}[kind]


@pytest.mark.parametrize("kind", ["noise", "lost", "stuck"])
@settings(max_examples=6, deadline=None, phases=PHASES, derandomize=True)
@given(plant=plants(), begin=st.floats(300.0, 3200.0))
def test_an_hour_keeps_the_bars(kind: str, plant: Plant, begin: float) -> None:
    governor = Governor(LIMIT, LIMIT - 5)
    hour = run(plant, LIMIT, governor=governor, sensor=sensor_of(kind, begin))

    assert hour.changes <= 30
    assert hour.above_s <= 60
    # What half the work costs while nobody knows how warm it is, is the sensor's fault.
    blind_s = 0.0 if kind == "noise" else OUTAGE_S * (1 - BLIND)
    assert hour.work >= 0.9 * (best_constant(plant, LIMIT).work - blind_s)


@settings(max_examples=10, deadline=None, phases=PHASES, derandomize=True)
@given(plant=plants(), room=st.floats(4.0, 20.0))
def test_nothing_changes_where_the_demand_fits(plant: Plant, room: float) -> None:
    fitting = (LIMIT - room - plant.ambient) / sum(gain for _, gain in plant.parts)
    demand = always(min(max(fitting, 0.0), FULL))
    hour = run(replace(plant), LIMIT, governor=Governor(LIMIT, LIMIT - 5), demand=demand)

    assert hour.changes == 0
