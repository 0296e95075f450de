"""The sections about the service itself: queue, pool, HTTP, logs and the gateway."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from geoweir.settings.address import AddressError, read_listen
from geoweir.settings.models.types import (
    AutoOrCount,
    AutoOrNumber,
    Section,
    Text,
    duration,
    refusal,
    size,
)

__all__ = ["Http", "Log", "Map", "Pool", "Queue", "Reload", "State", "Thermal", "Watchdog"]


def _listen(value: str) -> str:
    try:
        read_listen(value)
    except AddressError as error:
        raise refusal(str(error), error.help) from None
    return value


class Spill(Section):
    """Where inputs go that the queue has no room for."""

    path: Text | None = None
    """A folder of this service alone, relative to the configuration's; made where it isn't."""
    max: Annotated[int, size("1MB", "1000GB")] = 256_000_000
    """Bytes of its files; beyond, reading stops."""


class Queue(Section):
    """The bounded queue between subscriptions and workers."""

    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Messages that wait at most."""
    when_full: Literal["backpressure", "spill", "drop"] = "backpressure"
    """Then reading stops, inputs go to the disk (spill), or they are reconciled (drop)."""
    spill: Spill = Spill()
    """Where inputs go that the queue has no room for, with when_full: spill."""


class Pool(Section):
    """The worker processes."""

    workers: AutoOrCount = None
    """How many; auto: the cores that may be used, at most 4."""
    chunk: Annotated[int, Field(ge=1, le=1000)] = 128
    """Features in one chunk at most."""
    linger: Annotated[float, duration("0ms", "10s")] = 0.002
    """How long an idle worker waits for more."""
    timeout: Annotated[float, duration("50ms", "10m")] = 4.0
    """How long a chunk may take before its worker is ended."""
    memory: Annotated[int, size("32MB", "64GB")] = 150_000_000
    """Private memory of one worker; left out, no more than its share of memory."""
    on_failure: Literal["isolate", "drop"] = "isolate"
    """Find the culprit in a failed chunk and save the rest, or drop the chunk whole."""
    sandbox: Literal["strict", "off"] = "strict"
    """Strict: after their start workers open no file or socket and start nothing."""


class Thermal(Section):
    """Less work when the gateway is hot."""

    limit: AutoOrNumber = "auto"
    """Degrees Celsius at which work is slowed; auto: by the zone's lowest passive trip, else 75."""
    resume: Annotated[float, Field(ge=-100, le=200)] | None = None
    """Degrees Celsius below which it soon gets faster again; null: limit less 5."""
    sensor: Text = "auto"
    """A thermal zone or its type, or a hwmon chip; auto: the processor's zone."""
    smallest_chunk: Annotated[int, Field(ge=1, le=1000)] = 32
    """Features that a chunk is not made smaller than when hot."""
    root: Text = "/"
    """Where sys and proc are."""


_KeptSize = Annotated[int, size("64kB", "100GB")]


class Keep(Section):
    """Dropped inputs that are kept, so that `geoweir reconcile` can send them through again."""

    rejected: bool = True
    """Whether rejected inputs are kept."""
    reconciled: bool = True
    """Whether reconciled inputs are kept."""
    messages: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    """Inputs that are kept at most; then the oldest leave."""
    size: _KeptSize | None = None
    """Bytes of them at most; null: 64MB in a file, 8MB in memory."""
    age: Annotated[float, duration("1s", "3650d")] = 604_800.0
    """After this they leave."""


class State(Section):
    """What survives a restart: dropped inputs that are kept."""

    path: Text | None = None
    """A file, relative to the configuration's folder; null: memory only."""
    keep: Keep = Keep()
    """Which dropped inputs are kept, and how many."""


class Http(Section):
    """Where the service answers HTTP."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:9108"
    """HOST:PORT; port 0 takes a free one."""
    token_file: Text | None = None
    """A file whose first line is the token that writing requests must bring."""


class Watchdog(Section):
    """Signs of life for systemd, or for the first process of the image."""

    systemd: bool = True
    """Whether whoever set NOTIFY_SOCKET is told."""
    device: Text | None = None
    """Not in this version, and systemd's job: a watchdog device."""
    interval: Annotated[float, duration("100ms", "10m")] = 2.0
    """The longest time between two signs of life."""


class Reload(Section):
    """When the configuration is read again; SIGHUP always asks for it."""

    watch: Annotated[float, duration("1s", "1h")] | None = None
    """How often the configuration's file is looked at for a change; null: only SIGHUP."""


class Log(Section):
    """What is logged, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are logged."""
    format: Literal["text", "json"] = "text"
    """Lines for people or for machines."""


class Map(Section):
    """Not in this version: the live map."""

    enabled: bool = True
    """Whether the page has a map."""
    draw: bool = False
    """Whether fences may be drawn."""
    devices: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Devices that are shown at most."""
    stale: Annotated[float, duration("1s", "365d")] = 360.0
    """After this a device is shown as stale."""
    forget: Annotated[float, duration("1s", "365d")] = 1800.0
    """After this a device is no longer shown."""
    tail: Annotated[int, Field(ge=0, le=1000)] = 32
    """Positions that are remembered per device."""
    tiles: Text | None = None
    """The URL of map tiles."""
    mbtiles: Text | None = None
    """A file of map tiles."""
