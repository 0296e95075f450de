from __future__ import annotations

import numpy as np

from geoweir.codec.geometry import Sketch, build
from geoweir.codec.reach import Reach

REACH = Reach(1e9, 1e9, 1e9)


def test_what_geos_refuses_is_the_fault_of_its_own_feature_only() -> None:
    # A sketch that the checks would never let through: GEOS is the one to refuse it.
    open_ring: Sketch = (2, [np.array([[0.0, 0.0], [1.0, 0.0]])])
    far: Sketch = (0, (2e9, 0.0, float("nan")))
    sound: Sketch = (0, (1.0, 2.0, float("nan")))

    geometry, faults = build([sound, open_ring, None, far, sound], REACH)

    assert {row: error.reason for row, error in faults.items()} == {1: "geometry", 3: "coordinate"}
    assert [geometry[0].x, geometry[4].x] == [1.0, 1.0]
    assert geometry[1] is geometry[2] is None


def test_t11_nan_and_infinity_are_out_of_reach() -> None:
    nan, inf = float("nan"), float("inf")
    sketches: list[Sketch | None] = [
        (0, (nan, 1.0, nan)),
        (0, (1.0, -inf, nan)),
        (0, (1.0, 1.0, inf)),
        (1, np.array([[0.0, 0.0], [1.0, nan]])),
    ]

    _, faults = build(sketches, REACH)

    assert sorted(faults) == [0, 1, 2, 3]
