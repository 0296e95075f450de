"""The whole configuration, and its validation into it or a list of problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from geoweir.settings.faults import KeyPath
from geoweir.settings.models.mqtt import Mqtt
from geoweir.settings.models.service import (
    Http,
    Log,
    Map,
    Pool,
    Queue,
    Reload,
    State,
    Thermal,
    Watchdog,
)
from geoweir.settings.models.streams import Layer, Raster, Stream
from geoweir.settings.models.types import Name, Section, duration, size

__all__ = ["Config", "Problem", "validate"]


class Config(Section):
    """The configuration of geoweir."""

    version: Literal[1] = 1
    """The version of this form of configuration."""
    mqtt: Mqtt = Mqtt()
    """How the broker is reached."""
    layers: Annotated[dict[Name, Layer], Field(max_length=1000)] = Field(default_factory=dict)
    """Features that telemetry is compared with, by name."""
    rasters: Annotated[dict[Name, Raster], Field(max_length=1000)] = Field(default_factory=dict)
    """Rasters that steps look values up in, by name."""
    streams: Annotated[dict[Name, Stream], Field(min_length=1, max_length=100)]
    """What is read and what is done with it, by name."""
    memory: Annotated[int, size("128MB", "1000GB")] | None = None
    """What the service and its workers may have together; null: the smallest limit there is."""
    queue: Queue = Queue()
    """The bounded queue between subscriptions and workers."""
    pool: Pool = Pool()
    """The worker processes."""
    thermal: Thermal = Thermal()
    """Less work when the gateway is hot."""
    state: State = State()
    """What survives a restart."""
    http: Http = Http()
    """Where the service answers HTTP."""
    watchdog: Watchdog = Watchdog()
    """Signs of life."""
    map: Map = Map()
    """Not in this version: the live map."""
    reload: Reload = Reload()
    """When the configuration is read again."""
    log: Log = Log()
    """What is logged."""
    shutdown_grace: Annotated[float, duration("100ms", "10m")] = 10.0
    """How long an orderly end may take."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What pydantic found, without the value that it found it in."""

    path: KeyPath
    kind: str  # pydantic's name of the error, or our code
    context: dict[str, Any] = field(default_factory=dict)


def validate(data: dict[str, object]) -> tuple[Config | None, list[Problem]]:
    """The configuration that plain data describes, or every problem of it."""
    try:
        return Config.model_validate(data), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return None, [
            Problem(tuple(one["loc"]), one["type"], dict(one.get("ctx", {}))) for one in found
        ]
