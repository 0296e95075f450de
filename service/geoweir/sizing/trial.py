"""One measurement: a broker, a service, a feeder and a listener, from their start to their end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from geoweir.demo.broker import EmbeddedBroker, Kind, embedded_broker
from geoweir.mqtt.options import BrokerOptions
from geoweir.settings.topics import address_filter
from geoweir.settings.values import Settings
from geoweir.sizing.child import Child, started
from geoweir.sizing.derived import Derivation, Setting
from geoweir.sizing.mix import Mix
from geoweir.sizing.reading import Reading
from geoweir.sizing.readings import lag_buckets, lag_p99_s
from geoweir.sizing.results import Calm, Ceiling, Latency, Trial
from geoweir.sizing.rules import limit
from geoweir.sizing.sources import Source
from geoweir.sizing.topics import output_filter
from geoweir.sizing.traffic import Traffic, opened
from geoweir.sizing.watch import Watch

__all__ = ["Bench"]

_WARM_UP_S: Final = 1.0
_CALM_WARM_UP_S: Final = 0.5


class Bench:
    """Measures a configuration.

    Args:
        settings: the user's.
        config: the file that they come from.
        sources: what is sent.
        kind: of the broker; None for the best that is here.
    """

    def __init__(
        self, settings: Settings, config: str, sources: Sequence[Source], kind: Kind | None
    ) -> None:
        self.broker = ""
        self._protocol = settings.mqtt.protocol
        sent = {source.stream for source in sources}
        self._streams = [stream for stream in settings.streams if stream.name in sent]
        self._config = config
        self._sources = sources
        self._kind = kind

    @property
    def mean_bytes(self) -> float:
        """Of a payload."""
        return Mix(self._sources).mean_bytes

    async def ceiling(self, seconds: float) -> Ceiling:
        """What feeder, broker and listener carry without the service."""
        filters = [address_filter(text) for stream in self._streams for text in stream.subscribe]
        async with embedded_broker(kind=self._kind) as broker:
            self.broker = f"{broker.name} {broker.version}"
            async with opened(self._traffic(broker, filters, is_direct=True)) as traffic:
                watch = Watch(traffic, None, [])
                await watch.saturate(_CALM_WARM_UP_S)
                begin = Reading.now(traffic.flow.answered, None)
                await watch.saturate(seconds)
                end = Reading.now(traffic.flow.answered, None)
        load = end.load_since(begin)
        return Ceiling(rate=end.rate_since(begin), tool=load.tool, broker=load.broker)

    async def saturated(self, setting: Setting, seconds: float) -> Trial:
        """One setting with as much as it takes."""
        async with self._running(setting) as (traffic, child):
            return await self._saturated(traffic, child, setting, seconds)

    async def _saturated(
        self, traffic: Traffic, child: Child, setting: Setting, seconds: float
    ) -> Trial:
        watch = Watch(traffic, child, self._streams)
        await watch.saturate(_WARM_UP_S)
        lag = lag_buckets(await child.metrics())
        await watch.look()
        begin = Reading.now(traffic.flow.answered, child.pid)
        await watch.saturate(seconds)
        await watch.look()
        end = Reading.now(traffic.flow.answered, child.pid)
        later = lag_p99_s(lag, lag_buckets(await child.metrics()))
        await watch.drain()
        notes = watch.notes(await child.metrics())
        load = end.load_since(begin)
        answered = max(1, end.answered - begin.answered)
        return Trial(
            setting=setting,
            rate=end.rate_since(begin),
            seconds=end.at - begin.at,
            cpu_us=(load.service + load.workers) * (end.at - begin.at) / answered * 1e6,
            lag_p99_ms=None if later is None else later * 1000,
            load=load,
            memory=watch.memory,
            limit=limit(load, setting.workers),
            streams=watch.outcomes(),
            faults=(*watch.faults(), *_ended(await child.stop())),
            notes=notes,
        )

    async def calm(
        self, setting: Setting, best_rate: float, shares: Sequence[float], seconds: float
    ) -> Calm:
        """Latencies at shares of the best rate."""
        async with self._running(setting) as (traffic, child):
            watch = Watch(traffic, child, self._streams)
            await watch.saturate(_CALM_WARM_UP_S)
            await watch.drain()
            latencies = [
                await self._paced(traffic, child, watch, (share, best_rate * share), part)
                for share in shares
                for part in (seconds / len(shares),)
            ]
            notes = watch.notes(await child.metrics())
            faults = (*watch.faults(), *_ended(await child.stop()))
            return Calm(latencies=tuple(latencies), faults=faults, notes=notes)

    @contextlib.asynccontextmanager
    async def _running(self, setting: Setting) -> AsyncIterator[tuple[Traffic, Child]]:
        """A broker of its own, the service at it, and whoever feeds and listens."""
        outputs = [output_filter(stream) for stream in self._streams]
        names = [stream.name for stream in self._streams]
        async with embedded_broker(kind=self._kind) as broker:
            derivation = Derivation.make(setting, broker, self._protocol, names)
            async with (
                started(self._config, derivation) as child,
                opened(self._traffic(broker, outputs)) as traffic,
            ):
                yield traffic, child

    async def _paced(
        self,
        traffic: Traffic,
        child: Child,
        watch: Watch,
        offered: tuple[float, float],
        seconds: float,
    ) -> Latency:
        share, rate = offered
        rate = max(rate, 1.0)
        await watch.pace(rate, _CALM_WARM_UP_S)
        lag = lag_buckets(await child.metrics())
        traffic.record()
        begin = Reading.now(traffic.flow.answered, child.pid)
        await watch.pace(rate, seconds)
        end = Reading.now(traffic.flow.answered, child.pid)
        await watch.drain()
        later = lag_p99_s(lag, lag_buckets(await child.metrics()))
        latencies = sorted(traffic.latencies())
        return Latency(
            share=share,
            offered=rate,
            rate=end.rate_since(begin),
            p50_ms=_percentile_ms(latencies, 50),
            p99_ms=_percentile_ms(latencies, 99),
            lag_p99_ms=None if later is None else later * 1000,
        )

    def _traffic(
        self, broker: EmbeddedBroker, filters: Sequence[str], *, is_direct: bool = False
    ) -> Traffic:
        options = BrokerOptions(host=broker.host, port=broker.port, protocol=broker.protocol)
        return Traffic(options, Mix(self._sources), filters, is_direct=is_direct)


def _ended(status: int) -> list[str]:
    return [f"the service ended with status {status}"] if status else []


def _percentile_ms(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest rank of an ordered sequence, in ms."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] * 1000
