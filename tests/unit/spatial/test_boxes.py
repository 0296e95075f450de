"""The tree over boxes finds what a comparison of each with each finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from geoweir.spatial.boxes import Boxes, upper_levels
from geoweir.spatial.kernel.loaded import lib

pytestmark = pytest.mark.skipif(lib is None, reason="there is no kernel")


def boxes(count: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 40, (count, 2)).astype(float)
    made = np.hstack([low, low + rng.integers(0, 5, (count, 2))])
    made[rng.uniform(size=count) < 0.05] = np.nan
    return made


def each_with_each(
    queries: npt.NDArray[np.float64], all_: npt.NDArray[np.float64]
) -> list[tuple[int, int]]:
    return [
        (i, int(k))
        for i, q in enumerate(queries)
        for k in np.flatnonzero(
            (all_[:, 0] <= q[2])
            & (all_[:, 2] >= q[0])
            & (all_[:, 1] <= q[3])
            & (all_[:, 3] >= q[1])
        )
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 256, 257, 300, 4097])
def test_the_boxes_that_meet_are_found_in_order(count: int) -> None:
    given, queries = boxes(count, 1), boxes(30, 2)
    mine, theirs = Boxes(given, upper_levels(given)).meeting(queries)
    assert list(zip(mine.tolist(), theirs.tolist(), strict=True)) == each_with_each(queries, given)


def test_a_tree_of_a_wrong_length_or_with_wrong_boxes_does_no_harm() -> None:
    given, queries = boxes(300, 1), boxes(30, 2)
    upper = upper_levels(given)
    _, none = Boxes(given, upper[:-1]).meeting(queries)
    assert not none.size
    _, all_ = Boxes(given, np.full_like(upper, np.nan)).meeting(queries)
    assert not all_.size
