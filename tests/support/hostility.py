"""Inputs of the threat table that are meant to hurt, and how each has to end.

Every kind has the number of its row in ``docs/security.md``. Each input has a number of its own in
its topic and, where it is a feature, in its properties: so every outcome can be traced to it.
"""

from __future__ import annotations

import gzip
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = ["KINDS", "Kind"]

_HERE = [-95.0, 30.0]
_DEEP = 20_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to be hostile.

    Attributes:
        row: of the threat table.
        what: in a few words.
        make: the payload of the input of a number.
        due: outcome and reason, and of what is published its status.
        every: it comes in one of so many rounds, for those that are large.
    """

    row: int
    what: str
    make: Callable[[int], bytes]
    due: str
    every: int = 1


def _feature(n: int, geometry: Any = None, ident: object = None, **properties: object) -> bytes:
    return json.dumps(
        {
            "type": "Feature",
            "id": f"h{n}" if ident is None else ident,
            "geometry": geometry or {"type": "Point", "coordinates": _HERE},
            "properties": {"n": n, **properties},
        }
    ).encode()


def _with(n: int, member: str) -> bytes:
    """A feature with more members, as text: JSON that no encoder writes."""
    return _feature(n)[:-1] + b", " + member.encode() + b"}"


def _position(n: int, position: str) -> bytes:
    text = _feature(n, {"type": "Point", "coordinates": ["@"]}).decode()
    return text.replace('["@"]', position).encode()


def _polygon(n: int, ring: Sequence[Sequence[float]]) -> bytes:
    return _feature(n, {"type": "Polygon", "coordinates": [[*ring, ring[0]]]})


@cache
def _star(vertices: int) -> list[list[float]]:
    """A ring that crosses itself at nearly every place."""
    step = vertices // 2 - 1 + vertices % 2
    turns = [2 * math.pi * (step * i % vertices) / vertices for i in range(vertices)]
    return [[round(_HERE[0] + math.cos(t), 5), round(_HERE[1] + math.sin(t), 5)] for t in turns]


@cache
def _comb(teeth: int) -> list[list[float]]:
    """A valid ring whose teeth lie across everything."""
    x = [round(-120 + 40 * i / (2 * teeth), 5) for i in range(2 * teeth)]
    upper = [[at, 48.0 if i % 2 else 25.5] for i, at in enumerate(x)]
    return [*upper, [-80.0, 25.5], [-80.0, 25.0], [-120.0, 25.0]]


@cache
def _circle(vertices: int) -> list[list[float]]:
    turns = [2 * math.pi * i / vertices for i in range(vertices)]
    return [[round(_HERE[0] + math.cos(t), 6), round(_HERE[1] + math.sin(t), 6)] for t in turns]


@cache
def _nested(depth: int) -> bytes:
    begin, end = '{"type":"GeometryCollection","geometries":[', "]}"
    geometry = begin * depth + '{"type":"Point","coordinates":[0,0]}' + end * depth
    return b'{"type":"Feature","id":"h","properties":{},"geometry":' + geometry.encode() + b"}"


@cache
def _brackets(count: int) -> bytes:
    return b"[" + b"[]," * count + b"0]"


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(200_000_000))


def _crs(n: int, name: str) -> bytes:
    body = json.dumps({"type": "name", "properties": {"name": name}})
    return _with(n, f'"crs": {body}')


#: Ids that would cut a connection, be another topic, or run somewhere: rows 15 and 29.
_TOPICS = ("#", "a+b", "a/b/c", "//", "a\0b", "\uffff", "$SYS/x", "$share/g/x", "../..", "/" * 300)
_TEXTS = ("[/]", "[bold]x", "<img src=x onerror=alert(1)>", "\x1b[31mred", "=cmd|'/C calc'!A0")

KINDS: tuple[Kind, ...] = (
    Kind(1, "collections 5 deep", lambda _: _nested(5), "rejected/depth"),
    Kind(1, "collections 20,000 deep", lambda _: _nested(_DEEP), "rejected/depth", every=5),
    Kind(
        2, "a ring of 250 that crosses itself", lambda n: _polygon(n, _star(251)), "published/error"
    ),
    Kind(2, "one of 1,500", lambda n: _polygon(n, _star(1501)), "published/error", every=2),
    Kind(
        3, "a comb of 2,003 across all areas", lambda n: _polygon(n, _comb(1000)), "published/valid"
    ),
    Kind(4, "a ring of 30,000", lambda n: _polygon(n, _circle(30_000)), "rejected/vertices", 5),
    Kind(9, "300,000 empty lists", lambda _: _brackets(300_000), "rejected/shape", every=5),
    Kind(9, "1,200,000 empty lists", lambda _: _brackets(1_200_000), "rejected/payload", every=10),
    Kind(10, "a bomb of gzip, 1,000 to 1", lambda _: _bomb(), "rejected/json", every=5),
    Kind(11, "NaN", lambda n: _position(n, "[NaN, 1]"), "rejected/json"),
    Kind(11, "1e400", lambda n: _position(n, "[1e400, 1]"), "rejected/json"),
    Kind(11, "1e300", lambda n: _position(n, "[1e300, 1]"), "rejected/coordinate"),
    Kind(12, "an id over 2^64", lambda n: _feature(n, ident=2**64 + n), "published/valid"),
    Kind(13, "year 9999", lambda n: _feature(n, time="9999-12-31T00:00:00Z"), "rejected/time"),
    Kind(13, "1e18 seconds", lambda n: _feature(n, time=10**18), "rejected/time"),
    Kind(13, "tomorrow", lambda n: _feature(n, time=time.time() + 86_400), "rejected/ahead"),
    Kind(
        15,
        "ids made to cut",
        lambda n: _feature(n, ident=_TOPICS[n % len(_TOPICS)]),
        "published/valid",
    ),
    Kind(19, "nadgrids", lambda n: _crs(n, "+proj=longlat +nadgrids=/etc/passwd"), "rejected/crs"),
    Kind(19, "an unknown name", lambda n: _crs(n, f"EPSG:9{n:07}"), "rejected/crs"),
    Kind(19, "EPSG:4326 and NUL", lambda n: _crs(n, "EPSG:4326\0"), "rejected/crs"),
    Kind(
        29,
        "markup and escapes",
        lambda n: _feature(n, ident=_TEXTS[n % len(_TEXTS)]),
        "published/valid",
    ),
)
