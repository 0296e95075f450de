"""What settings must be to each other and to the machine, beyond the shape of each.

These rules look at the plain data, so that one wrong value hides no other fault; only the last
group needs a configuration that is whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from geoweir.errors import ConfigurationError
from geoweir.settings.address import AddressError, read_broker_url
from geoweir.settings.budget import budget
from geoweir.settings.document import Document
from geoweir.settings.faults import Fault, KeyPath, printable
from geoweir.settings.files import (
    COMPILED_RASTER_SUFFIX,
    COMPILED_SUFFIX,
    LAYER_SUFFIXES,
    RASTER_SUFFIXES,
    FileProblem,
    file_problem,
    folder_problem,
    has_layer_suffix,
    is_module,
    place_problem,
    read_secret,
    tls_problem,
)
from geoweir.settings.loops import topic_faults
from geoweir.settings.models.root import Config
from geoweir.settings.places import EACH, find, texts, value_at
from geoweir.settings.units import size_text
from geoweir.spatial.crs import parse

__all__ = ["check_data", "check_values"]

MOST_STREAMS: Final = 100
MOST_FILTERS: Final = 1000
MOST_CRS: Final = 64  # PROJ takes 150 ms for a name that it doesn't know
_RESERVED: Final = "out"
_MOST_NAMED: Final = 20
_SESSION_S: Final = 60.0
_COLDEST: Final = 20.0  # degrees Celsius that may be a limit
_HOTTEST: Final = 125.0
#: JSON of empty arrays takes 35 times its size once parsed.
_PAYLOAD_SHARE: Final = 35


def check_data(document: Document, folder: Path) -> list[Fault]:
    """Faults of the plain data.

    Args:
        document: what was read; need not be a whole configuration.
        folder: the configuration's, which paths are relative to.
    """
    streams = document.data.get("streams")
    if isinstance(streams, dict) and len(streams) > MOST_STREAMS:
        return []  # refused by validation already, and dear to compare
    filters = list(find(document.data, "streams", EACH, "subscribe", EACH))
    if len(filters) > MOST_FILTERS:
        message = f"there are more than {MOST_FILTERS:,} subscriptions."
        return [document.fault(("streams",), "out-of-range", message, "Use wildcards.")]
    return [
        *topic_faults(document),
        *_layer_names(document),
        *_raster_names(document),
        *_stream_names(document),
        *_positions(document),
        *_crs_names(document),
        *_layer_files(document, folder),
        *_raster_files(document, folder),
        *_credentials(document, folder),
        *_tls(document, folder),
        *_modules(document, folder),
        *_state(document, folder),
        *_spill(document, folder),
    ]


def _layer_names(document: Document) -> Iterator[Fault]:
    places = (
        ("join", "layer"),
        ("nearest", "layer"),
        ("where", "inside"),
        ("cloud", "crop", "layer"),
    )
    return _unknown_names(document, "layer", places)


def _raster_names(document: Document) -> Iterator[Fault]:
    places = (("sample", "raster"), ("zonal", "raster"), ("cloud", "height_above", "raster"))
    return _unknown_names(document, "raster", places)


def _unknown_names(
    document: Document, kind: str, places: tuple[tuple[str, ...], ...]
) -> Iterator[Fault]:
    """Names in steps that the section of this kind, ``layers`` or ``rasters``, doesn't have."""
    section = f"{kind}s"
    given = document.data.get(section)
    names = list(given) if isinstance(given, dict) else []
    shown = ", ".join(printable(name) for name in names[:_MOST_NAMED])
    remedy = f"This file has no {section}."
    if names:
        remedy = f"{section.capitalize()} in this file: {shown}."
    for keys in places:
        for path, name in texts(document, "streams", EACH, "steps", EACH, *keys):
            if name not in names:
                message = f"no {kind} is named {document.quoted(path)}."
                yield document.fault(path, "unknown-name", message, remedy)


def _stream_names(document: Document) -> Iterator[Fault]:
    for path, _ in find(document.data, "streams", _RESERVED):
        message = 'a stream can\'t be named "out": the output connection is named CLIENT_ID-out.'
        yield document.fault(path, "reserved-name", message, "Give the stream another name.")


def _positions(document: Document) -> Iterator[Fault]:
    """``format: json`` has no usual place for coordinates."""
    for path, value in texts(document, "streams", EACH, "format"):
        stream = path[:-1]
        for axis in ("x", "y"):
            given = value_at(document.data, *map(str, stream), "fields", axis)
            if value == "json" and given is None:
                message = f"format json needs the place of {axis}."
                remedy = f"Add {axis} to fields, such as {axis}: position.{axis}."
                yield document.fault((*stream, "fields", axis), "missing-key", message, remedy)


def _crs_names(document: Document) -> Iterator[Fault]:
    patterns = (
        ("layers", EACH, "crs"),
        ("rasters", EACH, "crs"),
        ("streams", EACH, "crs"),
        ("streams", EACH, "steps", EACH, "reproject", "to"),
    )
    problems: dict[str, str | None] = {}
    for pattern in patterns:
        for path, name in texts(document, *pattern):
            if name not in problems and len(problems) >= MOST_CRS:
                message = f"the file names more than {MOST_CRS} CRSs."
                yield document.fault(path, "out-of-range", message, "Name fewer.")
                return
            why = problems.setdefault(name, _crs_problem(name) if name not in problems else None)
            if why is not None:
                message = f"{document.quoted(path)} {why}."
                remedy = "Give an authority and a code, such as EPSG:4326."
                yield document.fault(path, "unknown-crs", message, remedy)


def _crs_problem(name: str) -> str | None:
    try:
        crs = parse(name)
    except ConfigurationError:
        return "is no CRS that PROJ knows by authority and code"
    if not (crs.is_geographic or crs.is_projected):
        return "has no horizontal coordinates"
    return None


def _layer_files(document: Document, folder: Path) -> Iterator[Fault]:
    for path, name in texts(document, "layers", EACH, "path"):
        if not has_layer_suffix(name):
            yield _suffix_fault(document, path, "layer", LAYER_SUFFIXES)
        elif (problem := file_problem(folder / name)) is not None:
            yield _file_fault(document, path, problem)
        elif name.lower().endswith(COMPILED_SUFFIX):
            remedy = "Remove it, and give --{} to geoweir compile."
            yield from _without_effect(document, path[:-1], "layer", ("id", "keep"), remedy)


def _without_effect(
    document: Document, place: KeyPath, kind: str, keys: tuple[str, ...], remedy: str
) -> Iterator[Fault]:
    """What was decided when the file was compiled."""
    for key in keys:
        if value_at(document.data, *map(str, place), key) is not None:
            message = f"{key} has no effect on a compiled {kind}."
            yield document.fault((*place, key), "conflict", message, remedy.format(key))


def _raster_files(document: Document, folder: Path) -> Iterator[Fault]:
    for path, name in texts(document, "rasters", EACH, "path"):
        if not name.lower().endswith(RASTER_SUFFIXES):
            yield _suffix_fault(document, path, "raster", RASTER_SUFFIXES)
        elif (problem := file_problem(folder / name)) is not None:
            yield _file_fault(document, path, problem)
        elif name.lower().endswith(COMPILED_RASTER_SUFFIX):
            keys = ("compile", "cache")
            yield from _without_effect(document, path[:-1], "raster", keys, "Remove it.")


def _suffix_fault(document: Document, path: KeyPath, kind: str, suffixes: tuple[str, ...]) -> Fault:
    message = f"{document.quoted(path)} does not end as a {kind}'s file."
    return document.fault(path, "unknown-suffix", message, f"Use one of {', '.join(suffixes)}.")


def _file_fault(document: Document, path: KeyPath, problem: FileProblem) -> Fault:
    message = f"{document.quoted(path)}: {problem.message}"
    return document.fault(path, problem.code, message, problem.help)


def _credentials(document: Document, folder: Path) -> Iterator[Fault]:
    for pattern in (("mqtt", "password_file"), ("http", "token_file")):
        for path, name in texts(document, *pattern):
            found = read_secret(folder / name)
            if isinstance(found, FileProblem):  # the path isn't repeated: it may be the secret
                yield document.fault(path, found.code, found.message, found.help)
    both = (
        value_at(document.data, "mqtt", "password"),
        value_at(document.data, "mqtt", "password_file"),
    )
    if None not in both:
        message = "password and password_file are both given."
        yield document.fault(("mqtt", "password_file"), "conflict", message, "Keep one of the two.")


def _tls(document: Document, folder: Path) -> Iterator[Fault]:
    given = {str(path[-1]): name for path, name in texts(document, "mqtt", "tls", EACH)}
    section: KeyPath = ("mqtt", "tls")
    if given and not _is_encrypted(document):
        message = "certificates have no effect with mqtt:// and ws://."
        remedy = "Write mqtts:// or wss:// in mqtt.url, or remove them."
        yield document.fault(section, "conflict", message, remedy)
        return
    if "key" in given and "cert" not in given:
        message = "a key has no effect without a certificate."
        yield document.fault((*section, "key"), "conflict", message, "Add cert, or remove the key.")
    problems = {name: file_problem(folder / path) for name, path in given.items()}
    for name, problem in problems.items():
        if problem is not None:
            yield _file_fault(document, (*section, name), problem)
    if given and not any(problems.values()):
        files = {name: folder / path for name, path in given.items()}
        whole = tls_problem(files.get("ca"), files.get("cert"), files.get("key"))
        if whole is not None:
            yield document.fault(section, whole.code, whole.message, whole.help)


def _is_encrypted(document: Document) -> bool:
    """Whether the URL says so; a URL that can't be read is said to be wrong elsewhere."""
    url = value_at(document.data, "mqtt", "url")
    if url is None:
        return False
    try:
        return not isinstance(url, str) or read_broker_url(url).is_encrypted
    except AddressError:
        return True


def _modules(document: Document, folder: Path) -> Iterator[Fault]:
    for path, call in texts(document, "streams", EACH, "steps", EACH, "python"):
        module = call.partition(":")[0]
        is_name = ":" in call and all(part.isidentifier() for part in module.split("."))
        if is_name and not is_module(module, folder, sys.path):
            message = f"no module for {document.quoted(path)} is found."
            remedy = "Put the module beside this file, or install it."
            yield document.fault(path, "unknown-module", message, remedy)


def _state(document: Document, folder: Path) -> Iterator[Fault]:
    for path, name in texts(document, "state", "path"):
        problem = place_problem(folder / name)
        if problem is not None:
            yield _file_fault(document, path, problem)


def _spill(document: Document, folder: Path) -> Iterator[Fault]:
    for path, name in texts(document, "queue", "spill", "path"):
        if problem := folder_problem(folder / name):
            yield _file_fault(document, path, problem)


def check_values(document: Document, config: Config) -> list[Fault]:
    """Faults of values that are each right and don't fit each other or the machine."""
    checks = (_boxes, _memory, _heat, _times, _spill_place)
    return [fault for check in checks for fault in check(document, config)]


def _spill_place(document: Document, config: Config) -> Iterator[Fault]:
    path: KeyPath = ("queue", "when_full")
    if config.queue.when_full == "spill" and config.queue.spill.path is None:
        message = "spill has no place to go to."
        yield document.fault(path, "missing-key", message, "Write queue.spill.path: a folder.")
    if config.queue.when_full != "spill" and config.queue.spill.path is not None:
        message = f"without effect with when_full: {config.queue.when_full}."
        path = ("queue", "spill", "path")
        yield document.fault(path, "no-effect", message, "Write when_full: spill.", "warning")


def _boxes(document: Document, config: Config) -> Iterator[Fault]:
    for name, stream in config.streams.items():
        box = stream.prefilter.bbox
        if box is None or box[0] <= box[2]:
            continue
        try:
            is_geographic = parse(stream.crs).is_geographic
        except ConfigurationError:
            continue
        if not is_geographic:
            path: KeyPath = ("streams", name, "prefilter", "bbox")
            message = "west is above east, and this stream's CRS has no antimeridian to cross."
            yield document.fault(path, "bad-value", message, "Write [WEST, SOUTH, EAST, NORTH].")


def _memory(document: Document, config: Config) -> Iterator[Fault]:
    plan = budget(config)
    if not plan.fits:
        message = f"{plan.text()} is more than the {plan.limit / 1e6:.0f}MB there are."
        remedy = "Lower pool.memory or pool.workers or leave them out, or give it more memory."
        path: KeyPath = ("pool", "memory") if config.memory is None else ("memory",)
        yield document.fault(path, "too-much-memory", message, remedy)
    for name, stream in config.streams.items():
        if stream.limits.payload * _PAYLOAD_SHARE > plan.worker:
            path = ("streams", name, "limits", "payload")
            message = (
                f"a payload of {size_text(stream.limits.payload)} can take more memory than a"
                f" worker has ({size_text(plan.worker)})."
            )
            remedy = "Raise pool.memory, or lower the limit."
            yield document.fault(path, "too-little-memory", message, remedy, "warning")


def _heat(document: Document, config: Config) -> Iterator[Fault]:
    limit, resume = config.thermal.limit, config.thermal.resume
    if not isinstance(limit, str) and not _COLDEST <= limit <= _HOTTEST:
        message = f"no processor is slowed at {limit:g} degrees Celsius."
        remedy = f"Write auto, or {_COLDEST:g} to {_HOTTEST:g}."
        yield document.fault(("thermal", "limit"), "out-of-range", message, remedy)
    elif not isinstance(limit, str) and resume is not None and resume >= limit:
        message = f"it is not below thermal.limit ({limit:g})."
        remedy = "Write null, or some degrees less than the limit."
        yield document.fault(("thermal", "resume"), "bad-value", message, remedy)


def _times(document: Document, config: Config) -> Iterator[Fault]:
    if config.shutdown_grace < config.pool.timeout:
        message = "shutdown_grace is shorter than pool.timeout: a slow chunk can't finish."
        remedy = "Its inputs would be reconciled; make it longer than the timeout."
        yield document.fault(("shutdown_grace",), "short-grace", message, remedy, "warning")
    if config.mqtt.session_expiry < _SESSION_S:
        message = "the broker forgets what came while the service was away so shortly."
        path: KeyPath = ("mqtt", "session_expiry")
        remedy = "Make it longer than the longest outage."
        yield document.fault(path, "short-session", message, remedy, "warning")
