"""Made-up documents: one point in each of the formats that can be made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from geoweir.codec.paths import PayloadPath, parse_path
from geoweir.core.spec import StreamSpec
from geoweir.sizing.template import MARKER
from geoweir.sizing.topics import UngeneratedError

__all__ = ["Point", "document"]

Document = dict[str, Any]

_SPEED: Final = 7.3  # m/s
_HEIGHT: Final = 12.0  # metres


@dataclass(frozen=True, slots=True)
class Point:
    """What a made-up device says; coordinates are in the stream's CRS."""

    device: str
    x: float
    y: float
    course: float


def document(spec: StreamSpec, point: Point) -> Document:
    """The payload before it is written as JSON; ``MARKER`` stands for the time.

    Raises:
        UngeneratedError: the format can't be made up, or its field paths contradict each other.
    """
    if spec.format not in _MAKERS:
        raise UngeneratedError(f"inputs of the format {spec.format} can't be made up")
    made = _MAKERS[spec.format](spec, point)
    _put(made, spec.fields.id, point.device)
    _put(made, spec.fields.time, MARKER)
    return {name: _listed(value) for name, value in made.items()}


def _geojson(spec: StreamSpec, point: Point) -> Document:
    height = _height(spec)
    position = [point.x, point.y] if height is None else [point.x, point.y, height]
    made: Document = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": position},
        "properties": {"speed": _SPEED, "course": point.course, **_wanted(spec)},
    }
    return made if spec.fields.id is not None else {"id": point.device, **made}


def _json(spec: StreamSpec, point: Point) -> Document:
    made: Document = {"speed": _SPEED, "course": point.course, **_wanted(spec)}
    if spec.fields.id is None:
        made["id"] = point.device
    _put(made, spec.fields.x, point.x)
    _put(made, spec.fields.y, point.y)
    _put(made, spec.fields.z, _height(spec))
    return made


def _owntracks(spec: StreamSpec, point: Point) -> Document:
    return {
        "_type": "location",
        "tid": point.device[-2:],
        "lon": point.x,
        "lat": point.y,
        "alt": _height(spec) or 0,
        "acc": 8,
        "batt": 81,
        "cog": int(point.course),
        "vel": 26,
        "t": "t",
        "tst": MARKER,
        **_wanted(spec),
    }


_MAKERS: Final[Mapping[str, Callable[[StreamSpec, Point], Document]]] = {
    "geojson": _geojson,
    "json": _json,
    "owntracks": _owntracks,
}


def _height(spec: StreamSpec) -> float | None:
    """A height where the stream reads one, within what its pre-filter lets through."""
    if spec.prefilter.z is not None:
        return sum(spec.prefilter.z) / 2
    return _HEIGHT if spec.fields.z is not None else None


def _put(made: Document, path: str | None, value: object) -> None:
    """Sets a value at a path into the payload; a topic level is not ours to set."""
    place = None if path is None else parse_path(path)
    if not isinstance(place, PayloadPath):
        return
    inner: Any = made
    for name in place.names[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise UngeneratedError(f"the path {path} leads through the value of another one")
    if isinstance(inner.get(place.names[-1]), dict):
        raise UngeneratedError(f"the path {path} stands where another one leads through")
    inner[place.names[-1]] = value


def _listed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Lists where objects have 0, 1, 2 … for names: a path of digits means an index."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(one) for name, one in value.items()}
    if inner and sorted(inner) == [str(number) for number in range(len(inner))]:
        return [inner[str(number)] for number in range(len(inner))]
    return inner


# A ``where`` step that drops every made-up input would make the bench measure nothing.


def _wanted(spec: StreamSpec) -> Document:
    """Properties that the stream's ``where`` steps let through, as far as that is plain."""
    found: Document = {}
    for step in spec.steps:
        if step.name == "where" and step.options.get("field"):
            value = _fulfilling(step.options)
            if value is not None:
                found[step.options["field"]] = value
    return found


def _fulfilling(options: Mapping[str, Any]) -> object:
    if "equals" in options:
        return options["equals"]
    if "in" in options:
        return options["in"][0]
    low = options.get("above", options.get("at_least"))
    high = options.get("below", options.get("at_most"))
    if low is None and high is None:
        return None if options.get("exists") is False else "bench"
    if isinstance(low, str) or isinstance(high, str):
        return f"{low}~" if isinstance(low, str) else ""
    if low is None or high is None:
        return (high or 0) - 1 if low is None else low + 1
    return (low + high) / 2
