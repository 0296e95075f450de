"""The sections ``layers``, ``rasters`` and ``streams``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from geoweir.settings.models.steps import Step
from geoweir.settings.models.types import (
    FieldPathText,
    Qos,
    Range,
    Section,
    Text,
    TopicLevelText,
    duration,
    refusal,
    size,
)

__all__ = ["FenceLimits", "Layer", "Raster", "Stream", "Topic"]

_BOX: Final = 4  # numbers in a bounding box


class FenceLimits(Section):
    """Bounds on a live layer; beyond one a Feature is refused, and the one before it stays."""

    features: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Features at once."""
    payload: Annotated[int, size("100B", "16MB")] = 262_144
    """Size of one Feature."""
    total: Annotated[int, size("1KB", "1GB")] = 32_000_000
    """Size of all Features together."""
    vertices: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Vertices of one Feature."""


class Layer(Section):
    """Features that telemetry is compared with: a file, or live from topics."""

    path: Text | None = None
    """A layer that `geoweir compile` made (.gwl), or what it is made of, relative to the
    configuration's folder: GeoJSON, plain or gzipped; with geoweir[formats] what GDAL reads."""
    topic: Text | None = None
    """A topic filter of retained messages: one Feature each, an empty one removes it."""
    crs: Text | None = None
    """The CRS of the layer; a source that names another is reprojected, one that names none is
    taken to be in it. null: the file's own, else EPSG:4326."""
    id: Text | None = None
    """The property that becomes the feature's id; null: the GeoJSON id, a property `id`, or its
    number from 1."""
    keep: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None
    """The properties that are kept; null: all."""
    check: Annotated[float, duration("100ms", "1h")] = 2.0
    """How often the file is looked at; a changed one is taken up without a pause."""
    limits: FenceLimits = FenceLimits()
    """Bounds on a live layer."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.path is None) == (self.topic is None):
            raise refusal(
                "a layer has one source: a path or a topic.",
                "Write path: FILE, or topic: FILTER for a live layer.",
                "missing-key",
            )
        return self


class Raster(Section):
    """A raster that steps look values up in."""

    path: Text
    """A raster that `geoweir compile` made (.gwr), or with geoweir[rasters] a GeoTIFF, relative to
    the configuration's folder."""
    crs: Text | None = None
    """The CRS of the raster's coordinates; null: as the file says."""
    compile: bool = True
    """A GeoTIFF is compiled once into the cache, and all workers share it; false: each worker reads
    the parts that it needs from the file itself."""
    cache: Annotated[int, size("1MB", "1GB")] = 16_000_000
    """How much each worker keeps of a GeoTIFF that is not compiled."""
    check: Annotated[float, duration("100ms", "1h")] = 2.0
    """How often the file is looked at; a changed one is taken up without a pause."""


class FieldPaths(Section):
    """Where the id, time and coordinates stand: paths into the payload, or "{topic[N]}"."""

    id: FieldPathText | None = None
    """The device's id; null: the format's own place."""
    time: FieldPathText | None = None
    """The fix time: ISO 8601 or Unix seconds."""
    x: FieldPathText | None = None
    """The longitude or easting; needed by format json."""
    y: FieldPathText | None = None
    """The latitude or northing; needed by format json."""
    z: FieldPathText | None = None
    """The height."""
    sequence: FieldPathText | None = None
    """A number that each device counts up by one: gaps in it are found and reported."""


class Limits(Section):
    """Bounds on one input; beyond one it is rejected with the limit's name."""

    payload: Annotated[int, size("1B", "32MB")] = 1_000_000
    """Size of the payload."""
    depth: Annotated[int, Field(ge=1, le=64)] = 4
    """GeometryCollections within each other."""
    features: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Features in one input."""
    vertices: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Vertices in one feature."""
    coordinate: Annotated[float, Field(gt=0, le=1e300)] = 1e9
    """Largest absolute value of an ordinate."""
    ahead: Annotated[float, duration("0s", "365d")] = 300.0
    """How far a fix time may lie in the future."""
    ids: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Ids whose state is remembered."""


def _box(value: object) -> object:
    """A list of four numbers as a tuple, which strict validation of JSON-like data wants."""
    is_box = (
        isinstance(value, list)
        and len(value) == _BOX
        and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
    )
    if value is None or (isinstance(value, list) and is_box and value[1] <= value[3]):
        return tuple(map(float, value)) if isinstance(value, list) else None
    raise refusal(
        "this is no bounding box.",
        "Write [WEST, SOUTH, EAST, NORTH] as numbers, SOUTH not above NORTH.",
    )


class Prefilter(Section):
    """What is dropped on the event loop, before any worker, in the stream's own CRS."""

    bbox: Annotated[tuple[float, float, float, float] | None, BeforeValidator(_box)] = None
    """[west, south, east, north]; west above east crosses the antimeridian."""
    z: Range | None = None
    """[lowest, highest] height."""
    max_age: Annotated[float, duration("1ms", "3650d")] | None = None
    """Older fixes are dropped."""
    min_interval: Annotated[float, duration("1ms", "365d")] | None = None
    """Fixes sooner after the last of the same id are dropped."""


class Topic(Section):
    """Where messages of one kind go."""

    topic: Text
    """A template: {stream}, {id} and {topic[N]} are filled in."""
    qos: Qos = 1
    """0 or 1."""


class Publish(Section):
    """Where results go."""

    topic: Text = "geoweir/{stream}/{id}"
    """A template: {stream}, {id} and {topic[N]} are filled in."""
    qos: Qos = 1
    """0 or 1."""
    retain: bool = False
    """Whether the broker keeps the last result of each topic."""
    batch: Literal["none", "chunk"] = "none"
    """One message per feature, or one FeatureCollection per chunk."""


class Events(Topic):
    """Not in this version: where events go."""

    topic: Text = "geoweir/{stream}/{id}/events"
    """A template: {stream}, {id} and {topic[N]} are filled in."""


class Rejected(Topic):
    """Where inputs go that can't be processed."""

    topic: Text = "geoweir/rejected/{stream}"
    """A template: {stream}, {id} and {topic[N]} are filled in."""


class Reconcile(Topic):
    """Where the ids of dropped inputs go."""

    topic: Text = "geoweir/reconcile/{stream}"
    """A template: {stream}, {id} and {topic[N]} are filled in."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _filters_schema(schema: dict[str, Any]) -> None:
    listed = {key: schema.pop(key) for key in list(schema) if key not in {"title", "description"}}
    schema["anyOf"] = [{"type": "string"}, listed]


class Stream(Section):
    """One stream: what it reads, what is done with it, and where its outcomes go."""

    subscribe: Annotated[
        list[Text],
        BeforeValidator(_as_list),
        Field(min_length=1, max_length=100, json_schema_extra=_filters_schema),
    ]
    """A topic filter or a list of them; $share/group/filter works."""
    qos: Qos = 1
    """0 or 1."""
    retained: Literal["accept", "ignore"] = "accept"
    """Whether retained messages are inputs."""
    format: Literal[
        "geojson", "json", "owntracks", "nmea", "sensorthings", "sparkplug", "wkb", "csv", "las"
    ] = "geojson"
    """How payloads are written; in this version geojson, json or owntracks."""
    fields: FieldPaths = FieldPaths()
    """Where the id, time and coordinates stand."""
    id_must_match: TopicLevelText | None = None
    """A level of the topic, as "{topic[1]}", that the id must equal; an input with another id is
    rejected (reason identity). With an access list that lets each device write below its own name
    only, nobody can send as another. null: any id."""
    crs: Text = "EPSG:4326"
    """The CRS of the payloads' coordinates."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Which stream goes first when workers are busy."""
    limits: Limits = Limits()
    """Bounds on one input."""
    dedupe: Annotated[float, duration("1ms", "365d")] | None = None
    """Inputs with an equal key within this time count as filtered (reason repeat); null: none."""
    prefilter: Prefilter = Prefilter()
    """What is dropped before any worker."""
    steps: Annotated[list[Step], Field(max_length=100)] = Field(default_factory=list)
    """What is done with each chunk, in this order."""
    publish: Publish = Publish()
    """Where results go."""
    events: Events = Events()
    """Not in this version: where events go."""
    rejected: Rejected = Rejected()
    """Where inputs go that can't be processed."""
    reconcile: Reconcile = Reconcile()
    """Where the ids of dropped inputs go."""

    @model_validator(mode="after")
    def _has_an_id_to_match(self) -> Self:
        is_of_the_topic = self.format == "owntracks" and self.fields.id is None
        if is_of_the_topic and self.id_must_match is not None:
            raise refusal(
                "OwnTracks ids are taken from the topic: there is nothing to match.",
                "Remove id_must_match, or set fields.id.",
            )
        return self
