"""What whoever watches a stream is shown of a chunk: made in a worker, and only when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from geoweir.codec.features import Features
from geoweir.codec.rejection import Rejection
from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.work import SIGHTING_ID, SIGHTINGS, Sightings

__all__ = ["sightings_of"]

_PUBLISHED: Final = outcome_of(Outcome.PUBLISHED)
_FARTHEST: Final = 1e15  # an ordinate beyond it is no place to show


def sightings_of(features: Features, rejected: Mapping[int, Rejection], codes: bytes) -> Sightings:
    """The features as they are after the steps, and the inputs that have none because of a fault.

    A feature that was filtered out of an input that is published nevertheless is not shown: no
    result has it.
    """
    owners = features.inputs.tolist()
    rows = [
        row
        for row, owner in enumerate(owners)
        if features.filtered[row] is None or codes[owner] != _PUBLISHED
    ][:SIGHTINGS]
    x, y = _places(features.column.take(np.array(rows, dtype=np.intp)).bounds())
    seen = Sightings(
        crs=features.crs,
        inputs=[owners[row] for row in rows],
        ids=[features.ids[row][:SIGHTING_ID] for row in rows],
        x=x,
        y=y,
        times=[features.times[row] for row in rows],
    )
    _add_refused(seen, rejected)
    return seen


def _add_refused(seen: Sightings, rejected: Mapping[int, Rejection]) -> None:
    known = set(seen.inputs)
    refused = [index for index in rejected if index not in known]
    for index in refused[: SIGHTINGS - len(seen)]:
        seen.add(index, (rejected[index].id or "")[:SIGHTING_ID], None, None, None)


def _places(
    bounds: npt.NDArray[np.float64],
) -> tuple[list[float | None], list[float | None]]:
    """The middle of each geometry's bounds, which for a point is the point; None for nowhere."""
    with np.errstate(all="ignore"):  # a user's own step may have left infinities
        middle = bounds[:, :2] / 2 + bounds[:, 2:] / 2  # halves first: a sum may overflow
    xs: list[float | None] = []
    ys: list[float | None] = []
    for x, y in middle.tolist():
        is_place = abs(x) <= _FARTHEST and abs(y) <= _FARTHEST  # not so for NaN
        xs.append(x if is_place else None)
        ys.append(y if is_place else None)
    return xs, ys
