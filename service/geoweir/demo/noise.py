"""Noise like that of a receiver, as a pure function of seed, device and time.

The error of a position wanders: it is an autoregressive series, one step a second, so that two
fixes shortly after another are wrong in nearly the same way. Now and then one lies far off. All
devices read the same ring of errors, each from a place of its own.
"""

from __future__ import annotations

import math
import random
from typing import Final

__all__ = ["Noise"]

_RING: Final = 4096  # seconds until the errors repeat
_SIGMA_M: Final = 4.0  # of each of the two axes
_PERSISTENCE: Final = 0.95  # of the error from one second to the next
_OUTLIERS: Final = 0.002  # share of seconds
_FARTHEST_M: Final = 45.0
_NEAREST_M: Final = 20.0
_SPEED_SIGMA_M_S: Final = 0.15


class Noise:
    """Errors of positions and speeds.

    Args:
        seed: equal seeds give equal errors.
    """

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - noise, no secret
        self._drift = _wandering(draw)
        self._outliers = [_outlier(draw) for _ in range(_RING)]
        self._speeds = [draw.gauss(0.0, _SPEED_SIGMA_M_S) for _ in range(_RING)]
        self._seed = seed

    def offset_m(self, device: int, seconds: float) -> tuple[float, float]:
        """The error of a position, metres east and north.

        Args:
            device: the number of the receiver.
            seconds: when.
        """
        second, share = self._place(device, seconds)
        far_east, far_north = self._outliers[second]
        return (
            self._between(second, share) + far_east,
            # The two axes read the ring a quarter apart.
            self._between((second + _RING // 4) % _RING, share) + far_north,
        )

    def speed_m_s(self, device: int, seconds: float) -> float:
        """The error of a speed."""
        return self._speeds[self._place(device, seconds)[0]]

    def _between(self, second: int, share: float) -> float:
        here, then = self._drift[second], self._drift[(second + 1) % _RING]
        return here + share * (then - here)

    def _place(self, device: int, seconds: float) -> tuple[int, float]:
        whole = math.floor(seconds)
        start = (device * 2654435761 + self._seed) % _RING  # spreads neighbours over the ring
        return (start + whole) % _RING, seconds - whole


def _wandering(draw: random.Random) -> list[float]:
    """The ring of errors; its end leads into its start."""
    step = _SIGMA_M * math.sqrt(1 - _PERSISTENCE**2)
    pushes = [draw.gauss(0.0, step) for _ in range(_RING)]
    error = 0.0
    for push in pushes:  # the first time round forgets that it began at 0
        error = _PERSISTENCE * error + push
    ring = []
    for push in pushes:
        error = _PERSISTENCE * error + push
        ring.append(error)
    return ring


def _outlier(draw: random.Random) -> tuple[float, float]:
    if draw.random() >= _OUTLIERS:
        return 0.0, 0.0
    distance, angle = draw.uniform(_NEAREST_M, _FARTHEST_M), draw.uniform(0.0, math.tau)
    return distance * math.cos(angle), distance * math.sin(angle)
