"""Features in columns to messages that are ready to be published.

A result is put together from parts that are bytes already: the id as it was sent, the geometry of
the whole chunk written at once, the properties of each feature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import orjson

from geoweir.codec.features import Features
from geoweir.codec.geometry_json import column_to_json
from geoweir.codec.key import batch_key, input_digest, result_key
from geoweir.codec.messages import iso
from geoweir.codec.reach import GEOGRAPHIC
from geoweir.codec.rejection import Rejection
from geoweir.codec.topics import TopicTemplate
from geoweir.core.spec import Reference, ReferenceKind, StreamSpec
from geoweir.core.work import ChunkWork, MessageKind, OutMessage
from geoweir.errors import SenderError

__all__ = ["Encoded", "Encoder", "make_encoder"]

_LONGEST_ERROR: Final = 512  # characters of a feature's error message


@dataclass(slots=True)
class Encoded:
    """The messages of a chunk.

    Attributes:
        messages: results in the order of the features; one alone of input -1 for ``batch: chunk``.
        rejected: inputs of whose features no output topic can be made; they have no message.
    """

    messages: list[OutMessage]
    rejected: dict[int, Rejection]


class _Result(NamedTuple):
    """One feature's result before it has a topic."""

    row: int
    input: int
    key: str
    payload: bytes


def make_encoder(
    spec: StreamSpec, versions: Mapping[Reference, str] = MappingProxyType({})
) -> Encoder:
    """The encoder of a stream's results.

    Args:
        spec: the stream.
        versions: of the layers and rasters that its steps use, as every result is to name them.

    Raises:
        ConfigurationError: when the topic template is malformed.
    """
    return Encoder(spec, TopicTemplate.parse(spec.publish.topic).bind(spec.name), versions)


class Encoder:
    """Encodes the chunks of one stream."""

    def __init__(
        self, spec: StreamSpec, topic: TopicTemplate, versions: Mapping[Reference, str]
    ) -> None:
        self._stream = spec.name
        self._topic = topic
        self._batch = spec.publish.batch == "chunk"
        self._geoweir = b',"geoweir":{"stream":' + orjson.dumps(spec.name)
        # Not in the key: the same input is the same result, whichever version it met.
        self._end = b'"' + _named("layer", versions) + _named("raster", versions) + b"}}"

    def encode(self, features: Features, work: ChunkWork) -> Encoded:
        """Encodes the result of every feature that is not filtered; never raises for an input."""
        results = self._results(features, work)
        if self._batch:
            return Encoded(self._as_batch(results), {})
        return self._one_by_one(results, features, work)

    def _results(self, features: Features, work: ChunkWork) -> list[_Result]:
        rows = [row for row, reason in enumerate(features.filtered) if reason is None]
        geometry = column_to_json(features.column.take(np.array(rows, dtype=np.intp)))
        keys = self._keys(features, work)
        crs = _crs_member(features.crs)
        arrivals = {moment: iso(moment).encode() for moment in set(work.received)}
        inputs = features.inputs.tolist()
        results = []
        for row, written in zip(rows, geometry, strict=True):
            properties, error = _properties(features.properties[row])
            payload = b"".join(
                (
                    b'{"type":"Feature","id":',
                    features.id_literals[row],
                    crs,
                    b',"geometry":',
                    written,
                    b',"properties":',
                    properties,
                    self._geoweir,
                    _status(features.errors[row] or error, features.repaired[row]),
                    b',"received":"',
                    arrivals[work.received[inputs[row]]],
                    b'","key":"',
                    keys[row].encode(),
                    self._end,
                )
            )
            results.append(_Result(row, inputs[row], keys[row], payload))
        return results

    def _keys(self, features: Features, work: ChunkWork) -> list[str]:
        """The key of every feature, filtered or not, so that a member's number stays its own."""
        inputs = features.inputs.tolist()
        digests = {i: input_digest(work.addresses[i], work.payloads[i]) for i in set(inputs)}
        members = _members(inputs, len(digests))
        columns = zip(inputs, features.ids, features.times, members, strict=True)
        return [
            result_key(self._stream, ident, time, digests[index], member)
            for index, ident, time, member in columns
        ]

    def _one_by_one(self, results: list[_Result], features: Features, work: ChunkWork) -> Encoded:
        messages: list[OutMessage] = []
        rejected: dict[int, Rejection] = {}
        for row, index, key, payload in results:
            try:
                topic = self._topic.render(self._stream, features.ids[row], work.addresses[index])
            except SenderError as error:
                rejected.setdefault(index, Rejection(error.reason, error.detail, features.ids[row]))
            else:
                messages.append(OutMessage(index, MessageKind.RESULT, topic, payload, key))
        if rejected:
            messages = [message for message in messages if message.input not in rejected]
        return Encoded(messages, rejected)

    def _as_batch(self, results: list[_Result]) -> list[OutMessage]:
        if not results:
            return []
        features = b",".join([result.payload for result in results])
        return [
            OutMessage(
                -1,
                MessageKind.RESULT,
                self._topic.render_batch(self._stream),
                b'{"type":"FeatureCollection","features":[' + features + b"]}",
                batch_key(self._stream, [result.key for result in results]),
            )
        ]


def _named(kind: ReferenceKind, versions: Mapping[Reference, str]) -> bytes:
    """A further member ``layers`` or ``rasters``: versions by name, where there are any."""
    named = {one.name: version for one, version in versions.items() if one.kind == kind}
    return b',"%ss":' % kind.encode() + orjson.dumps(named) if named else b""


def _members(inputs: list[int], distinct: int) -> Sequence[int | None]:
    """Each feature's number within its input, None where the input has only one."""
    if distinct == len(inputs):
        return [None] * distinct
    size = Counter(inputs)
    seen: Counter[int] = Counter()
    members: list[int | None] = []
    for index in inputs:
        members.append(seen[index] if size[index] > 1 else None)
        seen[index] += 1
    return members


def _crs_member(crs: str) -> bytes:
    """The ``crs`` member that names what GeoJSON's readers would not expect."""
    if crs in GEOGRAPHIC:
        return b""
    authority, _, code = crs.partition(":")
    name = f"urn:ogc:def:crs:{authority}::{code}"
    return b',"crs":' + orjson.dumps({"type": "name", "properties": {"name": name}})


def _status(error: str | None, repaired: str | None) -> bytes:
    if error is None and repaired is None:
        return b',"status":"valid"'
    text = b',"status":"valid"'
    if error is not None:
        text = b',"status":"error","message":' + _text(error[:_LONGEST_ERROR])
    if repaired is not None:
        text += b',"repaired":' + _text(repaired)
    return text


def _text(text: str) -> bytes:
    return orjson.dumps(text.encode("utf-8", "replace").decode())


def _properties(properties: dict[str, Any]) -> tuple[bytes, str | None]:
    """The properties as JSON; null and what is wrong where they can't be."""
    try:
        return orjson.dumps(properties, option=orjson.OPT_SERIALIZE_NUMPY), None
    except TypeError as error:
        return _long_integers(properties, str(error))


def _long_integers(properties: dict[str, Any], why: str) -> tuple[bytes, str | None]:
    """What orjson refuses: integers beyond 64 bits are written in full, all else is an error."""
    if "ecursion" not in why:
        try:
            return msgspec.json.encode(properties, enc_hook=_plain), None
        except (TypeError, ValueError, RecursionError):
            pass
    return b"null", f"The properties can't be written as JSON: {why}."


def _plain(value: object) -> object:
    """A numpy value as plain Python, which is what users' own steps tend to attach."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")
