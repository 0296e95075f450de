"""What the streams are fed with: made-up inputs, or recorded ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Final

import orjson

from geoweir.codec.decode import make_decoder
from geoweir.codec.paths import TopicLevel, parse_path
from geoweir.codec.percent import encode_level
from geoweir.core.spec import LayerSpec, StreamSpec
from geoweir.core.work import ChunkWork
from geoweir.errors import ConfigurationError
from geoweir.sizing.documents import Point, document
from geoweir.sizing.places import Box, place_of, positions
from geoweir.sizing.template import Clock, Moment, Template, split
from geoweir.sizing.topics import UngeneratedError, copies, input_topic, needed_levels
from geoweir.spatial.layerfile import open_layer

__all__ = ["Recorded", "Source", "extents", "generated", "recorded"]

_DEVICES: Final = 500
_INPUTS: Final = 4000  # different ones of a stream
_FASTEST: Final = 20_000  # inputs/s for which min_interval still lets every device through
_MOST_DEVICES: Final = 50_000
_TRIED: Final = 200  # made-up inputs that the stream's own decoder must accept


@dataclass(frozen=True, slots=True)
class Source:
    """Inputs of one stream, sent in turn.

    Attributes:
        share: how many of them go for one of a source with the share 1.
        about: where they come from, for people.
    """

    stream: str
    qos: int
    templates: Sequence[Template]
    about: str
    share: int = 1

    def among(self, streams: Iterable[StreamSpec]) -> Source:
        """The same, knowing which of its inputs other streams get as well."""
        known = tuple(streams)
        counted = [replace(t, copies=copies(t.topic, known)) for t in self.templates]
        return replace(self, templates=counted)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One payload of a recording; ``id`` is the device's, where the recording has one."""

    id: str | None
    payload: bytes


def extents() -> Callable[[LayerSpec], Box | None]:
    """Gives the box around the features of a layer that is compiled, each layer read once."""
    known: dict[str, Box | None] = {}

    def extent(layer: LayerSpec) -> Box | None:
        if layer.name not in known:
            known[layer.name] = None if layer.is_live else _bounds(layer.path)
        return known[layer.name]

    return extent


def _bounds(path: str) -> Box | None:
    bounds = open_layer(path).meta.get("bounds")
    return None if bounds is None else tuple(bounds)


def generated(
    spec: StreamSpec,
    layers: Mapping[str, LayerSpec],
    extent: Callable[[LayerSpec], Box | None],
    seed: int = 1,
) -> Source:
    """Made-up inputs of a stream, which its own decoder accepts.

    Raises:
        UngeneratedError: they can't be made; in words.
        ConfigurationError: a layer can't be read.
    """
    random = Random(seed)  # noqa: S311 - positions, no secrets
    place = place_of(spec, layers, extent)
    devices = _devices(spec)
    drawn = islice(positions(place, spec.crs, random), max(_INPUTS, devices))
    templates = [
        _template(spec, number, Point(_name(number % devices), x, y, number % 360))
        for number, (x, y) in enumerate(drawn)
    ]
    _try(spec, templates[:_TRIED])
    return Source(spec.name, spec.qos, templates, f"made up, spread over {place.about}")


def _devices(spec: StreamSpec) -> int:
    """So many that an interval between fixes of one device is kept."""
    wanted = max(_DEVICES, round((spec.prefilter.min_interval_s or 0.0) * _FASTEST))
    return min(wanted, _MOST_DEVICES, spec.limits.ids)


def _name(number: int) -> str:
    return f"bench-{number:05d}"


def _template(spec: StreamSpec, number: int, point: Point) -> Template:
    topic = input_topic(
        spec.subscribe[number % len(spec.subscribe)],
        point.device,
        _topic_values(spec, point),
        needed_levels(spec),
        is_owntracks=spec.format == "owntracks" and spec.fields.id is None,
    )
    payload = orjson.dumps(document(spec, point))
    return split(topic, payload, _clock(spec))


def _clock(spec: StreamSpec) -> Clock:
    return "unix" if spec.format == "owntracks" else "iso"


def _topic_values(spec: StreamSpec, point: Point) -> dict[int, str]:
    """What the fields say that stand in the topic."""
    fields = spec.fields
    wanted = (
        (fields.id, point.device),
        (fields.time, str(int(time.time()))),
        (fields.x, repr(point.x)),
        (fields.y, repr(point.y)),
        (fields.z, "12.0"),
    )
    found = {}
    for text, value in wanted:
        place = None if text is None else parse_path(text)
        if isinstance(place, TopicLevel):
            found[place.level] = value
    return found


def _try(spec: StreamSpec, templates: Sequence[Template]) -> None:
    """Shows inputs to the stream's own decoder: what it refuses is no input to measure with."""
    seconds = time.time()
    now = Moment.of(seconds)
    work = ChunkWork(
        0,
        [template.payload(now) for template in templates],
        [template.topic for template in templates],
        [seconds] * len(templates),
    )
    try:
        rejected = make_decoder(spec).decode(work).rejected
    except ConfigurationError as error:
        raise UngeneratedError(str(error)) from None
    for rejection in rejected.values():
        raise UngeneratedError(f"its inputs would be rejected: {rejection.detail.rstrip('.')}")


def recorded(spec: StreamSpec, records: Iterable[Recorded], about: str) -> Source:
    """Recorded inputs of a stream, as they are.

    Raises:
        UngeneratedError: there is none, or nobody may publish on the stream's topics.
    """
    templates = [_recorded_template(spec, number, record) for number, record in enumerate(records)]
    if not templates:
        raise UngeneratedError(f"{about} holds no input")
    return Source(spec.name, spec.qos, templates, about)


def _recorded_template(spec: StreamSpec, number: int, record: Recorded) -> Template:
    device = encode_level(record.id or _name(number % _DEVICES))
    topic = input_topic(
        spec.subscribe[number % len(spec.subscribe)],
        device,
        {},
        needed_levels(spec),
        is_owntracks=spec.format == "owntracks",
    )
    return Template(topic, record.payload)
