"""Where made-up points lie: where the stream's pre-filter and layers say that its devices are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from geoweir.core.spec import LayerSpec, StreamSpec
from geoweir.sizing.topics import UngeneratedError
from geoweir.spatial.crs import is_geographic, parse, transformer

__all__ = ["Box", "Place", "place_of", "positions"]

#: West, south, east, north; west above east crosses the antimeridian.
Box = tuple[float, float, float, float]

_WORLD: Final = "OGC:CRS84"
_MARGIN: Final = 0.1  # of an area of use: its rim is where reprojecting fails
_TRIES: Final = 20  # for each point; one without an image in the stream's CRS is drawn again
_DEGREE_DIGITS: Final = 6
_METRE_DIGITS: Final = 2
_HALF_TURN: Final = 180.0


@dataclass(frozen=True, slots=True)
class Place:
    """Boxes in one CRS, each as likely as the others; x before y."""

    boxes: tuple[Box, ...]
    crs: str
    about: str  # for people


def place_of(
    spec: StreamSpec,
    layers: Mapping[str, LayerSpec],
    extent: Callable[[LayerSpec], Box | None],
) -> Place:
    """The pre-filter's box, else the extents of the stream's layers, else a CRS's area of use.

    Args:
        spec: the stream.
        layers: all layers, by name; a layer's CRS is known (see ``resolved``).
        extent: the box around a layer's features in its CRS; None for a layer without any.

    Raises:
        UngeneratedError: the CRS has no area of use.
    """
    if spec.prefilter.bbox is not None:
        return Place((spec.prefilter.bbox,), spec.crs, "the pre-filter's bbox")
    used = [layers[name] for name in _layer_names(spec) if name in layers]
    crs = (used[0].crs if used else None) or spec.crs
    boxes = [box for layer in used if layer.crs == crs and (box := extent(layer)) is not None]
    if boxes:
        return Place(tuple(boxes), crs, "the extents of its layers")
    target = _last_crs(spec)
    area = parse(target).area_of_use
    if area is None:
        raise UngeneratedError(f"{target} has no area of use; a prefilter.bbox would do as well")
    return Place((_shrunk(area.bounds),), _WORLD, f"the area of {target}")


def _layer_names(spec: StreamSpec) -> list[str]:
    found = [step.options.get("layer") or step.options.get("inside") for step in spec.steps]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def _last_crs(spec: StreamSpec) -> str:
    """Where the points must be possible: the last CRS that steps take them into."""
    targets = [step.options["to"] for step in spec.steps if step.name == "reproject"]
    return str(targets[-1]) if targets else spec.crs


def _shrunk(box: Box) -> Box:
    west, south, east, north = box
    width = east - west + (2 * _HALF_TURN if east < west else 0.0)
    x, y = width * _MARGIN, (north - south) * _MARGIN
    return _turned(west + x), south + y, _turned(east - x), north - y


def positions(place: Place, crs: str, random: Random) -> Iterator[tuple[float, float]]:
    """Endless points in the stream's CRS.

    Raises:
        UngeneratedError: the place has no image in the CRS.
    """
    move = None if place.crs == crs else transformer(place.crs, crs)
    digits = _DEGREE_DIGITS if is_geographic(crs) else _METRE_DIGITS
    wraps = is_geographic(place.crs)
    while True:
        for _ in range(_TRIES):
            x, y = _within(random.choice(place.boxes), random, wraps=wraps)
            if move is not None:
                x, y = move.transform(x, y)
            if math.isfinite(x) and math.isfinite(y):
                break
        else:
            raise UngeneratedError(f"{place.about} can't be expressed in {crs}")
        yield round(x, digits), round(y, digits)


def _within(box: Box, random: Random, *, wraps: bool) -> tuple[float, float]:
    west, south, east, north = box
    if east < west and wraps:
        return _turned(random.uniform(west, east + 2 * _HALF_TURN)), random.uniform(south, north)
    return random.uniform(west, east), random.uniform(south, north)


def _turned(x: float) -> float:
    return x - 2 * _HALF_TURN if x > _HALF_TURN else x
