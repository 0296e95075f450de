"""The settings as frozen plain values: what ``load`` hands on to the service.

Durations are seconds, sizes are bytes, paths are absolute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from geoweir.core.spec import LayerSpec, PoolSpec, RasterSpec, StreamSpec
from geoweir.settings.memory import MemoryPlan

__all__ = [
    "HttpSettings",
    "LogSettings",
    "MqttSettings",
    "Settings",
    "StateSettings",
    "ThermalSettings",
    "TlsSettings",
    "WatchdogSettings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Files in PEM form; None means the system's authorities, and no certificate of our own."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """How the broker is reached, and how much may be unacknowledged."""

    host: str = "localhost"
    port: int = 1883
    transport: Literal["tcp", "websockets"] = "tcp"
    path: str = "/mqtt"  # of the WebSocket
    tls: TlsSettings | None = None  # None: not encrypted
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    client_id: str = "geoweir"
    session_expiry_s: float = 3600.0
    receive_window: int = 10_000  # inputs per stream
    receive_bytes: int = 32_000_000  # per stream
    ack_order: Literal["received", "any"] = "received"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where the service answers HTTP; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 9108
    token: str | None = field(default=None, repr=False)


WhenFull = Literal["backpressure", "spill", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """Where the state stands, and which dropped inputs are kept in it."""

    path: str | None = None  # None: memory
    keeps_rejected: bool = True
    keeps_reconciled: bool = True
    messages: int = 10_000
    size: int = 8_000_000
    age_s: float = 604_800.0
    states: int = 0  # values that streams may remember beside


@dataclass(frozen=True, slots=True, kw_only=True)
class SpillSettings:
    """Where inputs wait that the queue has no room for."""

    path: str  # a folder
    limit: int = 256_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How much is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalSettings:
    """When work is slowed, in degrees Celsius; None: from what the sensor's zone says."""

    limit: float | None = None
    resume: float | None = None
    sensor: str = "auto"
    root: str = "/"  # where sys is


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogSettings:
    """Signs of life for whoever started the service."""

    notifies: bool = True
    interval_s: float = 2.0  # the longest time between two


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole configuration, checked."""

    mqtt: MqttSettings
    streams: tuple[StreamSpec, ...]
    layers: tuple[LayerSpec, ...] = ()
    rasters: tuple[RasterSpec, ...] = ()
    queue_limit: int = 500  # messages
    when_full: WhenFull = "backpressure"
    spill: SpillSettings | None = None  # where when_full is "spill"
    pool: PoolSpec = field(default_factory=PoolSpec)
    are_workers_auto: bool = False  # pool.workers is what this machine suggests
    state: StateSettings = StateSettings()
    thermal: ThermalSettings = ThermalSettings()
    http: HttpSettings = HttpSettings()
    shutdown_grace_s: float = 10.0
    watchdog: WatchdogSettings = WatchdogSettings()
    reload_watch_s: float | None = None
    memory: MemoryPlan | None = None  # None: nobody planned
    log: LogSettings = LogSettings()
    config_path: str = ""
    module_path: str | None = None  # folder of the configuration: users' own steps stand there
