"""What the configuration says, as frozen plain values that every process can hold.

``settings`` parses and refuses; these values are what it hands on. They are plain dataclasses so
that they travel to workers as msgpack and so that nothing below ``settings`` needs pydantic.
Durations are seconds, sizes are bytes, coordinates are x, y (longitude, latitude).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = [
    "Fields",
    "LayerSpec",
    "Limits",
    "PoolSpec",
    "PrefilterSpec",
    "Priority",
    "RasterSpec",
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
    prefilter: PrefilterSpec = PrefilterSpec()
    steps: tuple[StepSpec, ...] = ()
    publish: TopicSpec = TopicSpec(topic="geoweir/{stream}/{id}")
    rejected: TopicSpec = TopicSpec(topic="geoweir/rejected/{stream}")
    reconcile: TopicSpec = TopicSpec(topic="geoweir/reconcile/{stream}")


def keeps_state(stream: StreamSpec) -> bool:
    """Whether what becomes of an input depends on earlier ones, so that one process needs all."""
    return stream.prefilter.min_interval_s is not None or any(
        step.name in _REMEMBERING for step in stream.steps
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """A reference layer: a file of features that every worker holds."""

    name: str
    path: str  # absolute
    crs: str = "EPSG:4326"


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterSpec:
    """A raster: a GeoTIFF, or its compiled form, that steps look values up in."""

    name: str
    path: str  # absolute
    crs: str | None = None  # None: as the file says
    cache: int = 16_000_000  # bytes of a GeoTIFF's numbers that a worker keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """Everything a worker process is told at its start."""

    streams: tuple[StreamSpec, ...]
    layers: tuple[LayerSpec, ...] = ()
    rasters: tuple[RasterSpec, ...] = ()
    module_path: str | None = None  # folder of the configuration, for users' own steps


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """The worker pool's size and bounds."""

    workers: int = 2
    chunk: int = 128  # features at most
    chunk_bytes: int = 65_536
    linger_s: float = 0.002
    timeout_s: float = 4.0
    memory: int = 150_000_000  # private bytes per worker
    on_failure: Literal["isolate", "drop"] = "isolate"
