"""From a checked configuration to the frozen values that the service runs on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, cast

from geoweir.core.spec import (
    FenceLimits,
    Fields,
    LayerSpec,
    Limits,
    PoolSpec,
    PrefilterSpec,
    RasterSpec,
    StepSpec,
    StreamSpec,
    TopicSpec,
)
from geoweir.settings.address import read_broker_url, read_listen
from geoweir.settings.budget import KEPT_IN_MEMORY, budget
from geoweir.settings.files import FileProblem, read_secret
from geoweir.settings.memory import MemoryPlan
from geoweir.settings.models.mqtt import Mqtt
from geoweir.settings.models.root import Config
from geoweir.settings.models.service import Pool, Queue, State, Thermal
from geoweir.settings.models.steps import Step
from geoweir.settings.models.streams import Layer, Raster, Stream
from geoweir.settings.values import (
    HttpSettings,
    LogSettings,
    MqttSettings,
    Settings,
    SpillSettings,
    StateSettings,
    ThermalSettings,
    TlsSettings,
    WatchdogSettings,
)

__all__ = ["assemble"]

#: How much is kept where the configuration doesn't say.
_KEPT_IN_A_FILE: Final = 64_000_000


def assemble(config: Config, path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of a configuration that has no error.

    Args:
        config: validated, and its files checked.
        path: the configuration's file, absolute.
        environ: where user and password may stand.
    """
    folder = path.parent
    host, port = read_listen(config.http.listen)
    streams = tuple(_stream(name, stream) for name, stream in config.streams.items())
    memory = budget(config)
    return Settings(
        mqtt=_mqtt(config.mqtt, folder, environ, memory),
        streams=streams,
        layers=tuple(_layer(name, layer, folder) for name, layer in config.layers.items()),
        rasters=tuple(_raster(name, raster, folder) for name, raster in config.rasters.items()),
        queue_limit=config.queue.limit,
        when_full=config.queue.when_full,
        spill=_spill(config.queue, folder),
        pool=_pool(config.pool, config.thermal, memory),
        are_workers_auto=config.pool.workers is None,
        state=_state(config.state, folder, states=sum(map(_remembered, streams))),
        thermal=_thermal(config.thermal, folder),
        http=HttpSettings(host=host, port=port, token=_secret(folder, config.http.token_file)),
        shutdown_grace_s=config.shutdown_grace,
        memory=memory,
        watchdog=WatchdogSettings(
            notifies=config.watchdog.systemd, interval_s=config.watchdog.interval
        ),
        reload_watch_s=config.reload.watch,
        log=LogSettings(level=config.log.level, format=config.log.format),
        config_path=str(path),
        module_path=str(folder),
    )


def _layer(name: str, layer: Layer, folder: Path) -> LayerSpec:
    limits = layer.limits
    return LayerSpec(
        name=name,
        path="" if layer.path is None else str(folder / layer.path),
        topic=layer.topic or "",
        crs=layer.crs,
        id=layer.id,
        keep=None if layer.keep is None else tuple(layer.keep),
        check_s=layer.check,
        limits=FenceLimits(
            features=limits.features,
            payload=limits.payload,
            total=limits.total,
            vertices=limits.vertices,
        ),
    )


def _raster(name: str, raster: Raster, folder: Path) -> RasterSpec:
    return RasterSpec(
        name=name,
        path=str(folder / raster.path),
        crs=raster.crs,
        in_parts=not raster.compile,
        cache=raster.cache,
        check_s=raster.check,
    )


def _mqtt(mqtt: Mqtt, folder: Path, environ: Mapping[str, str], memory: MemoryPlan) -> MqttSettings:
    """The configuration's own user and password go before the environment's and the URL's."""
    url = read_broker_url(mqtt.url)
    own = mqtt.password.get_secret_value() if mqtt.password is not None else None
    password = own or _secret(folder, mqtt.password_file)
    return MqttSettings(
        host=url.host,
        port=url.port,
        transport=url.transport,
        path=url.path,
        tls=_tls(mqtt, folder) if url.is_encrypted else None,
        username=mqtt.username or environ.get("GEOWEIR_MQTT_USERNAME") or url.username,
        password=password or environ.get("GEOWEIR_MQTT_PASSWORD") or url.password,
        protocol=mqtt.protocol,
        client_id=mqtt.client_id,
        session_expiry_s=mqtt.session_expiry,
        receive_window=mqtt.receive_window,
        receive_bytes=memory.window,
        ack_order=mqtt.ack_order,
    )


def _tls(mqtt: Mqtt, folder: Path) -> TlsSettings:
    def absolute(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    return TlsSettings(
        ca=absolute(mqtt.tls.ca), cert=absolute(mqtt.tls.cert), key=absolute(mqtt.tls.key)
    )


def _secret(folder: Path, name: str | None) -> str | None:
    found = None if name is None else read_secret(folder / name)
    return None if isinstance(found, FileProblem) else found


def _thermal(thermal: Thermal, folder: Path) -> ThermalSettings:
    return ThermalSettings(
        limit=None if isinstance(thermal.limit, str) else float(thermal.limit),
        resume=thermal.resume,
        sensor=thermal.sensor,
        root=str(folder / thermal.root),
    )


def _pool(pool: Pool, thermal: Thermal, memory: MemoryPlan) -> PoolSpec:
    return PoolSpec(
        workers=memory.workers,
        chunk=pool.chunk,
        smallest_chunk=thermal.smallest_chunk,
        linger_s=pool.linger,
        timeout_s=pool.timeout,
        memory=memory.worker,
        on_failure=pool.on_failure,
        is_sandboxed=pool.sandbox == "strict",
    )


def _spill(queue: Queue, folder: Path) -> SpillSettings | None:
    if queue.when_full != "spill" or queue.spill.path is None:
        return None
    return SpillSettings(path=str(folder / queue.spill.path), limit=queue.spill.max)


def _state(state: State, folder: Path, *, states: int) -> StateSettings:
    usual = KEPT_IN_MEMORY if state.path is None else _KEPT_IN_A_FILE
    return StateSettings(
        path=None if state.path is None else str(folder / state.path),
        keeps_rejected=state.keep.rejected,
        keeps_reconciled=state.keep.reconciled,
        messages=state.keep.messages,
        size=usual if state.keep.size is None else state.keep.size,
        age_s=state.keep.age,
        states=states,
    )


def _remembered(stream: StreamSpec) -> int:
    """How many values a stream may remember over a restart."""
    kinds = (stream.dedupe_s is not None, stream.fields.sequence is not None)
    return stream.limits.ids * sum(kinds)


def _stream(name: str, stream: Stream) -> StreamSpec:
    limits, before = stream.limits, stream.prefilter
    return StreamSpec(
        name=name,
        subscribe=tuple(dict.fromkeys(stream.subscribe)),
        qos=stream.qos,
        retained=stream.retained,
        # What isn't built was refused before.
        format=cast("Literal['geojson', 'json', 'owntracks']", stream.format),
        fields=Fields(**stream.fields.model_dump()),
        crs=stream.crs,
        priority=stream.priority,
        limits=Limits(
            payload=limits.payload,
            depth=limits.depth,
            features=limits.features,
            vertices=limits.vertices,
            coordinate=float(limits.coordinate),
            ahead_s=limits.ahead,
            ids=limits.ids,
        ),
        dedupe_s=stream.dedupe,
        prefilter=PrefilterSpec(
            bbox=before.bbox,
            z=before.z,
            max_age_s=before.max_age,
            min_interval_s=before.min_interval,
        ),
        steps=tuple(_step(step) for step in stream.steps),
        publish=TopicSpec(**stream.publish.model_dump()),
        rejected=TopicSpec(topic=stream.rejected.topic, qos=stream.rejected.qos),
        reconcile=TopicSpec(topic=stream.reconcile.topic, qos=stream.reconcile.qos),
    )


def _step(step: Step) -> StepSpec:
    """A step's name and its options as steps/ reads them."""
    if step.where is not None:
        where = step.where
        options = {"inside": where.inside, "field": where.field, **where.comparisons()}
        return StepSpec(name="where", options=options)
    (name, given), *_ = step.model_dump(
        by_alias=True, exclude_unset=False, exclude_none=True
    ).items()
    if name in {"keep", "drop"}:
        return StepSpec(name=name, options={"fields": given})
    if name == "python":
        return StepSpec(name=name, options={"call": given})
    return StepSpec(name=name, options=given)
