"""A stream's way through a worker: decode, pre-filter, steps, encode; one outcome per input.

Whatever happens to an input here ends in exactly one code, and its messages agree with the code:
published with at least one result, rejected with exactly one message, filtered with none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Final

from geoweir.codec.decode import make_decoder
from geoweir.codec.encode import make_encoder
from geoweir.codec.features import Features
from geoweir.codec.key import input_digest
from geoweir.codec.messages import encode_rejected
from geoweir.codec.rejection import Rejection
from geoweir.codec.sightings import sightings_of
from geoweir.codec.topics import PLAIN_REJECTED, TopicTemplate
from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.prefilter import Prefilter
from geoweir.core.spec import StreamSpec, WorkerSpec
from geoweir.core.work import ChunkDone, ChunkWork, MessageKind, OutMessage
from geoweir.spatial.crs import KnownCrs, is_geographic, transformer
from geoweir.spatial.geodetic import Geodetic
from geoweir.spatial.layer import Layer
from geoweir.spatial.raster.raster import Raster, load_tiff
from geoweir.steps.catalogue import make_step
from geoweir.steps.step import StepContext

__all__ = ["Chain", "chains", "known_crs"]

_PUBLISHED: Final = outcome_of(Outcome.PUBLISHED)
_NO_FEATURES: Final = outcome_of(Outcome.FILTERED, "no-features")
_NO_ID: Final = ""


class Chain:
    """Everything that is done with a chunk of one stream."""

    def __init__(self, spec: StreamSpec, context: StepContext) -> None:
        self._spec = spec
        self._decoder = make_decoder(spec)
        self._rejected_topic = TopicTemplate.parse(spec.rejected.topic)
        self._steps = [make_step(step, context) for step in spec.steps]
        self._encoder = make_encoder(spec, context.versions())
        self._box = Prefilter(spec.prefilter, spec.limits.ids, geographic=is_geographic(spec.crs))
        _warm(spec, context)

    def __repr__(self) -> str:
        return f"<Chain {self._spec.name} steps={[step.name for step in self._spec.steps]}>"

    def run(self, work: ChunkWork) -> ChunkDone:
        """Runs one chunk; never raises for an input's fault.

        Raises:
            MemoryError: the chunk needs more memory than there is.
        """
        decoded = self._decoder.decode(work)
        features = decoded.features
        self._drop_outside(features)
        seconds = [_timed(step.run, features) for step in self._steps]
        encoded = self._encoder.encode(features, work)
        rejected = decoded.rejected | encoded.rejected
        messages = [*encoded.messages, *(self._message(i, rejected[i], work) for i in rejected)]
        codes = _codes(len(work.payloads), features, rejected)
        sightings = sightings_of(features, rejected, codes) if work.watched else None
        return ChunkDone(codes, messages, len(features), seconds, sightings=sightings)

    def _drop_outside(self, features: Features) -> None:
        """The pre-filter's box on all vertices: what the loop could not decide."""
        if self._spec.prefilter.bbox is None:
            return
        for index, bounds in enumerate(features.column.bounds().tolist()):
            if self._box.box_outside(*bounds):
                features.filtered[index] = "bbox"

    def _message(self, index: int, why: Rejection, work: ChunkWork) -> OutMessage:
        payload, address = work.payloads[index], work.addresses[index]
        message = encode_rejected(
            stream=self._spec.name,
            topic=address,
            id=why.id,
            reason=why.reason,
            detail=why.detail,
            received=work.received[index],
            payload=payload,
        )
        return OutMessage(
            index,
            MessageKind.REJECTED,
            self._topic_of(why, address),
            message,
            f"rejected:{input_digest(address, payload)}",
        )

    def _topic_of(self, why: Rejection, address: str) -> str:
        """The configured topic, or the default one where it needs what the input doesn't have."""
        return self._rejected_topic.render_or_plain(
            PLAIN_REJECTED, self._spec.name, why.id or _NO_ID, address
        )


def _timed(run: Callable[[Features], None], features: Features) -> float:
    started = perf_counter()
    run(features)
    return perf_counter() - started


def _codes(count: int, features: Features, rejected: Mapping[int, Rejection]) -> bytes:
    """One outcome code per input; one surviving feature publishes its input."""
    codes = bytearray([_NO_FEATURES]) * count
    seen = set()
    for index, reason in zip(features.inputs.tolist(), features.filtered, strict=True):
        if reason is None:
            codes[index] = _PUBLISHED
        elif index not in seen:
            codes[index] = outcome_of(Outcome.FILTERED, reason)
        seen.add(index)
    for index, why in rejected.items():
        codes[index] = outcome_of(Outcome.REJECTED, why.reason)
    return bytes(codes)


def known_crs(
    spec: WorkerSpec, layers: Mapping[str, Layer], rasters: Mapping[str, Raster]
) -> KnownCrs:
    """Every CRS that the configuration, or a layer or raster of it, names.

    Raises:
        ConfigurationError: PROJ doesn't know one.
    """
    names = {stream.crs for stream in spec.streams}
    names |= {layer.crs for layer in layers.values()} | {raster.crs for raster in rasters.values()}
    names |= {
        step.options["to"]
        for stream in spec.streams
        for step in stream.steps
        if step.name == "reproject"
    }
    return KnownCrs(names)


def chains(
    spec: WorkerSpec,
    layers: Mapping[str, Layer],
    rasters: Mapping[str, Raster] = MappingProxyType({}),
) -> list[Chain]:
    """A chain per stream, in the order of the spec, warm and ready.

    GeoTIFFs that are read in parts are opened here, by the process that reads them: GDAL's handles
    cross no fork.

    Args:
        spec: what the worker is for.
        layers: every layer, by name.
        rasters: every compiled raster, by name.

    Raises:
        ConfigurationError: a step, layer, raster or CRS isn't what the configuration may hold.
        WorkerError: a user's module can't be imported.
    """
    in_parts = {one.name: load_tiff(one) for one in spec.rasters if one.in_parts}
    rasters = {**rasters, **in_parts}
    crs = known_crs(spec, layers, rasters)
    return [
        Chain(
            stream,
            StepContext(
                stream=stream,
                layers=layers,
                rasters=rasters,
                crs=crs,
                module_path=spec.module_path,
            ),
        )
        for stream in spec.streams
    ]


def _warm(spec: StreamSpec, context: StepContext) -> None:
    """Makes the transformers that the steps will use: the first costs 12 ms."""
    crs = spec.crs
    for step in spec.steps:
        layer = context.layers.get(step.layer or "")
        raster = context.rasters.get(step.raster or "")
        for other in (layer, raster):
            if other is not None and other.crs != crs:
                context.crs.transformer(crs, other.crs)
        if layer is not None and step.name == "nearest":
            base = Geodetic.under(layer.crs).name
            transformer(crs, base)
            transformer(base, crs)
        if step.name == "reproject":
            context.crs.transformer(crs, step.options["to"])
            crs = step.options["to"]
