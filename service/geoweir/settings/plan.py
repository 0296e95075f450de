"""What the service would do with its settings, for people: ``check`` prints it."""

from __future__ import annotations

from pathlib import Path

from geoweir.core.spec import StreamSpec
from geoweir.settings.memory import MemoryPlan
from geoweir.settings.units import duration_text, size_text
from geoweir.settings.values import MqttSettings, Settings, StateSettings, ThermalSettings
from geoweir.telemetry.gateway.sensor import bounds_of, describe, find_sensor

__all__ = ["plan"]


def plan(settings: Settings) -> list[str]:
    """Lines with the derived plan; none holds a secret."""
    return [
        f"broker    {_broker(settings.mqtt)}",
        *_bounds(settings),
        *_memory(settings.memory),
        f"heat      {_heat(settings.thermal)}",
        f"sandbox   {_sandbox(settings)}",
        f"keeps     {_state(settings.state)}",
        f"http      {_authority(settings.http.host, settings.http.port)}",
        f"end       within {duration_text(settings.shutdown_grace_s)}",
        *(
            f"layer     {one.name}: {f'live, {one.topic}' if one.is_live else one.path}"
            f" ({one.crs or 'its own CRS'})"
            for one in settings.layers
        ),
        *(f"raster    {one.name}: {one.path}" for one in settings.rasters),
        *(line for stream in settings.streams for line in _stream(stream)),
    ]


def _bounds(settings: Settings) -> list[str]:
    pool, mqtt = settings.pool, settings.mqtt
    memory, total = size_text(pool.memory), size_text(pool.workers * pool.memory)
    chunk = f"{pool.chunk} features or {size_text(pool.chunk_bytes)}"
    timeout = duration_text(pool.timeout_s)
    window = f"{mqtt.receive_window} inputs or {size_text(mqtt.receive_bytes)}"
    return [
        f"workers   {pool.workers}, at most {memory} each, {total} together",
        f"chunks    at most {chunk}, {timeout} each, on failure {pool.on_failure}",
        f"queue     {settings.queue_limit} messages, then {_when_full(settings)}",
        f"window    {window} unacknowledged per stream",
    ]


def _sandbox(settings: Settings) -> str:
    return "strict: seccomp" if settings.pool.is_sandboxed else "off"


def _when_full(settings: Settings) -> str:
    if settings.spill is not None:
        return f"up to {size_text(settings.spill.limit)} in {settings.spill.path}"
    return "inputs are reconciled (overflow)" if settings.when_full == "drop" else "reading stops"


def _memory(memory: MemoryPlan | None) -> list[str]:
    if memory is None:
        return []
    enforced = "" if memory.is_enforced else ", limit not enforced here"
    return [f"memory    {memory.text()} of {memory.limit / 1e6:.0f}MB{enforced}"]


def _state(state: StateSettings) -> str:
    kinds = [
        name
        for name, is_kept in (
            ("rejected", state.keeps_rejected),
            ("reconciled", state.keeps_reconciled),
        )
        if is_kept
    ]
    if not kinds:
        return "no dropped inputs"
    bounds = f"{state.messages} messages, {size_text(state.size)}, {duration_text(state.age_s)}"
    where = "in memory only" if state.path is None else f"in {state.path}"
    return f"{' and '.join(kinds)} inputs, at most {bounds}, {where}"


def _heat(thermal: ThermalSettings) -> str:
    sensor = find_sensor(Path(thermal.root), thermal.sensor)
    bounds = bounds_of(sensor, thermal.limit, thermal.resume)
    return describe(sensor, bounds, thermal.sensor)


def _broker(mqtt: MqttSettings) -> str:
    transport = {"tcp": "TCP", "websockets": "WebSocket"}[mqtt.transport]
    encrypted = "TLS" if mqtt.tls is not None else "not encrypted"
    user = f"user {mqtt.username}" if mqtt.username else "no user"
    version = "MQTT 5 or 3.1.1" if mqtt.protocol == "auto" else f"MQTT {mqtt.protocol}"
    place = _authority(mqtt.host, mqtt.port)
    return f"{place}, {transport}, {encrypted}, {version}, {user}, sessions {mqtt.client_id}-…"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stream(stream: StreamSpec) -> list[str]:
    steps = " → ".join(step.name for step in stream.steps) or "none"
    outputs = (stream.publish.topic, stream.rejected.topic, stream.reconcile.topic)
    results, rejected, reconcile = (text.replace("{stream}", stream.name) for text in outputs)
    return [
        f"stream    {stream.name}: {stream.format}, {stream.crs}, priority {stream.priority}",
        f"  in      {', '.join(stream.subscribe)} (QoS {stream.qos})",
        f"  steps   {steps}",
        f"  out     {results} (QoS {stream.publish.qos})",
        f"  else    rejected {rejected}, reconciled {reconcile}",
    ]
