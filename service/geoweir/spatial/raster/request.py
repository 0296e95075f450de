"""What is asked of a raster over polygons, and the bounds on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from geoweir.errors import GeoweirError
from geoweir.spatial.raster.pixels import Window

__all__ = [
    "MAX_DISTINCT",
    "MAX_PIXELS",
    "MAX_WORK",
    "SIDE",
    "Request",
    "TooLargeError",
    "TooVariedError",
    "piece_count",
    "pieces",
    "refuse_excess",
]

#: Pixels that a polygon may cover; reading them takes some 10 ms.
MAX_PIXELS: Final = 10_000_000
#: Rows that all edges together may cross, and pixels along them: the kernel's bound.
MAX_WORK: Final = 20_000_000
#: Different numbers that a majority is looked for in.
MAX_DISTINCT: Final = 1_000_000
#: Rows and columns of what is read at once.
SIDE: Final = 1024


class TooLargeError(GeoweirError):
    """A polygon has too many pixels, or too long an outline, for the raster."""


class TooVariedError(GeoweirError):
    """There are too many different numbers to find the most frequent one."""

    def __init__(self) -> None:
        super().__init__(f"it has more than {MAX_DISTINCT:,} different values: no majority")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which statistics of which pixels.

    Attributes:
        band: from 0.
        majority: whether it is asked for: it costs more than the others together.
        all_touched: whether pixels count that the outline only touches.
        limit: pixels that a polygon may cover.
    """

    band: int = 0
    majority: bool = False
    all_touched: bool = False
    limit: int = MAX_PIXELS


def refuse_excess(pixels: int, limit: int) -> None:
    """Raises TooLargeError where there are more pixels than allowed."""
    if pixels > limit:
        raise TooLargeError(f"it covers {pixels:,} pixels, at most {limit:,} are allowed")


def refuse_outline() -> TooLargeError:
    """The error of an outline that meets too many pixels."""
    return TooLargeError("its outline meets too many pixels: simplify it")


def pieces(window: Window, rows: int, columns: int = SIDE) -> Iterator[Window]:
    """A window in smaller ones, from the top, on borders that tiles have too."""
    for top, height in _cuts(window.top, window.height, rows):
        for left, width in _cuts(window.left, window.width, columns):
            yield Window(left, top, width, height)


def piece_count(window: Window, rows: int, columns: int = SIDE) -> int:
    """How many smaller ones ``pieces`` gives."""
    down = (window.top + window.height - 1) // rows - window.top // rows + 1
    return down * ((window.left + window.width - 1) // columns - window.left // columns + 1)


def _cuts(start: int, length: int, step: int) -> Iterator[tuple[int, int]]:
    end = start + length
    while start < end:
        until = min((start // step + 1) * step, end)
        yield start, until - start
        start = until
