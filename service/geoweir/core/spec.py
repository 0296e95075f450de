"""What the configuration says, as frozen plain values that every process can hold.

``settings`` parses and refuses; these values are what it hands on. They are plain dataclasses so
that they travel to workers as msgpack and so that nothing below ``settings`` needs pydantic.
Durations are seconds, sizes are bytes, coordinates are x, y (longitude, latitude).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

__all__ = [
    "REFERENCE_KINDS",
    "FenceLimits",
    "Fields",
    "LayerSpec",
    "Limits",
    "PoolSpec",
    "PrefilterSpec",
    "Priority",
    "RasterSpec",
    "Reference",
    "ReferenceKind",
    "StepSpec",
    "StreamSpec",
    "TopicSpec",
    "WorkerSpec",
    "keeps_state",
]

Priority = Literal["high", "normal", "low"]

#: Steps that remember inputs: what becomes of the next one depends on those before it.
_REMEMBERING: Final = frozenset({"fence", "proximity", "threshold", "track", "window"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one input; beyond one the input is rejected with the limit's name."""

    payload: int = 1_000_000  # bytes
    depth: int = 4  # GeometryCollections within each other
    features: int = 1000  # in one input
    vertices: int = 20_000  # in one feature
    coordinate: float = 1e9  # largest absolute value of an ordinate
    ahead_s: float = 300.0  # how far a fix time may lie in the future
    ids: int = 100_000  # ids whose state is remembered, per stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Where the id, time and coordinates are: dotted paths into the payload or ``{topic[N]}``."""

    id: str | None = None
    time: str | None = None
    x: str | None = None
    y: str | None = None
    z: str | None = None
    sequence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefilterSpec:
    """What is dropped before any worker; in the stream's own CRS."""

    bbox: tuple[float, float, float, float] | None = None  # west, south, east, north
    z: tuple[float, float] | None = None  # lowest, highest
    max_age_s: float | None = None
    min_interval_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step: its name in the configuration and its validated options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def layer(self) -> str | None:
        """The layer that it reads."""
        crop = self.options.get("crop") or {}
        return self.options.get("layer") or self.options.get("inside") or crop.get("layer")

    @property
    def raster(self) -> str | None:
        """The raster that it reads."""
        ground = self.options.get("height_above") or {}
        return self.options.get("raster") or ground.get("raster")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """Where messages of one kind go."""

    topic: str  # a template: {stream}, {id}, {topic[N]}
    qos: int = 1
    retain: bool = False
    batch: Literal["none", "chunk"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """One stream: what it reads, what is done with it, and where its outcomes go."""

    name: str
    subscribe: tuple[str, ...]
    qos: int = 1
    retained: Literal["accept", "ignore"] = "accept"
    format: Literal["geojson", "json", "owntracks"] = "geojson"
    fields: Fields = Fields()
    crs: str = "EPSG:4326"
    priority: Priority = "normal"
    limits: Limits = Limits()
    dedupe_s: float | None = None  # equal inputs within so long are repeats
    prefilter: PrefilterSpec = PrefilterSpec()
    steps: tuple[StepSpec, ...] = ()
    publish: TopicSpec = TopicSpec(topic="geoweir/{stream}/{id}")
    rejected: TopicSpec = TopicSpec(topic="geoweir/rejected/{stream}")
    reconcile: TopicSpec = TopicSpec(topic="geoweir/reconcile/{stream}")


def keeps_state(stream: StreamSpec) -> bool:
    """Whether what becomes of an input depends on earlier ones, so that one process needs all."""
    return (
        stream.prefilter.min_interval_s is not None
        or stream.dedupe_s is not None
        or stream.fields.sequence is not None
        or any(step.name in _REMEMBERING for step in stream.steps)
    )


ReferenceKind = Literal["layer", "raster"]
REFERENCE_KINDS: Final[tuple[ReferenceKind, ...]] = ("layer", "raster")


class Reference(NamedTuple):
    """What steps look features up in: a layer and a raster may have the same name."""

    kind: ReferenceKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceLimits:
    """Bounds on a live layer; what is beyond one is refused, and what was there before stays."""

    features: int = 10_000
    payload: int = 262_144  # bytes of one Feature
    total: int = 32_000_000  # bytes of all Features together
    vertices: int = 10_000  # in one Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """A reference layer: a file, or live from retained messages; one of the two is given.

    Attributes:
        name: as in the configuration.
        path: absolute: a compiled file, or a source that is compiled into the cache.
        topic: a filter of retained messages, one Feature each.
        crs: the layer's; None: the file's own.
        id: the property that becomes the id; None: the source's usual place.
        keep: the properties that are kept; None: all.
        check_s: how often the file is looked at.
        limits: of a live layer.
    """

    name: str
    path: str = ""
    topic: str = ""
    crs: str | None = None
    id: str | None = None
    keep: tuple[str, ...] | None = None
    check_s: float = 2.0
    limits: FenceLimits = FenceLimits()

    @property
    def reference(self) -> Reference:
        """What it is known by."""
        return Reference("layer", self.name)

    @property
    def is_live(self) -> bool:
        """Whether its features come as messages."""
        return bool(self.topic)

    @property
    def live_crs(self) -> str:
        """What the coordinates of a live layer are in."""
        return self.crs or "EPSG:4326"


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterSpec:
    """A raster that steps look values up in.

    Attributes:
        name: as in the configuration.
        path: absolute: a compiled file, or a GeoTIFF.
        crs: what its coordinates are in; None: as the file says.
        in_parts: each worker opens the GeoTIFF and reads what it needs; else it is compiled into
            the cache, and workers are handed that.
        cache: bytes of numbers that a worker keeps of one that is read in parts.
        check_s: how often the file is looked at, unless it is read in parts.
    """

    name: str
    path: str
    crs: str | None = None
    in_parts: bool = False
    cache: int = 16_000_000
    check_s: float = 2.0

    @property
    def reference(self) -> Reference:
        """What it is known by."""
        return Reference("raster", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """Everything a worker process is told at its start."""

    streams: tuple[StreamSpec, ...]
    layers: tuple[LayerSpec, ...] = ()
    rasters: tuple[RasterSpec, ...] = ()
    module_path: str | None = None  # folder of the configuration, for users' own steps
    room: int | None = None  # bytes of memory that are free for layers; None: half of what there is


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """The worker pool's size and bounds."""

    workers: int = 2
    chunk: int = 128  # features at most
    chunk_bytes: int = 65_536
    linger_s: float = 0.002
    smallest_chunk: int = 32  # features that a chunk is not made smaller than for heat
    timeout_s: float = 4.0
    memory: int = 150_000_000  # private bytes per worker
    on_failure: Literal["isolate", "drop"] = "isolate"
    is_sandboxed: bool = True
