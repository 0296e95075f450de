"""``geoweir layer``: what a compiled file holds, and what lies at a point of a layer."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from geoweir.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from geoweir.spatial.file.mapped import MappedFile

__all__ = ["add_parser"]

_LISTED = frozenset({"fields", "bands", "sections"})


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "layer",
        help="describe a layer file, or look a point up in it",
        description="Describes a layer file of `geoweir compile`, or looks a point up in it.",
        epilog="Example: geoweir layer query counties.gwl -77.04 38.9",
    )
    asked = parser.add_subparsers(metavar="WHAT", required=True)
    info = asked.add_parser(
        "info",
        help="what the file holds",
        description="Says what a layer file holds; its first page is always checked.",
        epilog="Example: geoweir layer info counties.gwl --verify",
    )
    info.add_argument("layer", metavar="LAYER")
    info.add_argument("--verify", action="store_true", help="read all of it and check every digest")
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(run=_info)
    query = asked.add_parser(
        "query",
        help="which features are at a point",
        description="Lists the features at a point of the layer's CRS with their attributes, and "
        "whether it lies in their interior or on their boundary. Exit 1 when there is none.",
        epilog="Example: geoweir layer query counties.gwl -77.04 38.9",
    )
    query.add_argument("layer", metavar="LAYER")
    query.add_argument("x", type=float, metavar="X", help="longitude or easting")
    query.add_argument("y", type=float, metavar="Y", help="latitude or northing")
    query.add_argument("--json", action="store_true", help="as JSON")
    query.set_defaults(run=_query)


def _info(args: argparse.Namespace) -> int:
    from geoweir.cli import raster
    from geoweir.spatial.file.opening import open_file

    file = open_file(args.layer)
    if args.verify:
        _verify(args.layer, file)
    say = raster.said if file.header.kind == "raster" else _said
    said = say(args.layer, file) | ({"verified": True} if args.verify else {})
    if args.json:
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        print(_as_text(said))
    return 0


def _verify(path: str, file: MappedFile) -> None:
    from geoweir.spatial.file.format import verify

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        wrong = verify(descriptor, file.header)
    finally:
        os.close(descriptor)
    if wrong is not None:
        raise ConfigurationError(
            f"{file.header.kind} file {path}: its section {wrong} is damaged. "
            "Copy or compile it again."
        )


def _said(path: str, file: MappedFile) -> dict[str, Any]:
    from geoweir.spatial.attributes import Attributes
    from geoweir.spatial.compiling.clean import KINDS
    from geoweir.spatial.file.format import FORMAT, LayerFileError

    meta = file.meta
    try:
        fields = Attributes.open(file).fields
    except LayerFileError as error:
        raise ConfigurationError(f"layer file {path}: {error}") from error
    return {
        "file": path,
        "bytes": file.header.size,
        "format": FORMAT,
        "version": file.header.version,
        "crs": meta["crs"],
        "features": meta.get("features"),
        "bounds": meta.get("bounds"),
        "source": meta.get("source"),
        **{kind: meta.get(kind, 0) for kind in KINDS},
        "fields": fields,
        "sections": {one.name: one.size for one in file.header.sections.values()},
    }


def _as_text(said: dict[str, Any]) -> str:
    from geoweir.cli.escaping import escaped

    rows = [(key, value) for key, value in said.items() if key not in _LISTED]
    lines = [
        f"{key:<10}{escaped(f'{value:,}' if isinstance(value, int) else str(value))}"
        for key, value in rows
    ]
    if "fields" in said:
        lines.append(f"{'fields':<10}{escaped(', '.join(said['fields'])) or 'none'}")
    for number, band in enumerate(said.get("bands", ()), start=1):
        about = ", ".join(f"{key} {value}" for key, value in band.items())
        lines.append(f"{f'band {number}':<10}{about}")
    lines += [f"  {escaped(name):<22}{size:>16,} bytes" for name, size in said["sections"].items()]
    return "\n".join(lines)


def _query(args: argparse.Namespace) -> int:
    from geoweir.cli.escaping import escaped

    found = _found(args.layer, args.x, args.y)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for one in found:
            properties = json.dumps(one["properties"], ensure_ascii=False)
            print(f"{escaped(one['id'])}  {one['where']}  {escaped(properties)}")
        if not found:
            print("no feature")
    return 0 if found else 1


def _found(path: str, x: float, y: float) -> list[dict[str, Any]]:
    """The features at a point, in the order of the source."""
    import numpy as np
    import shapely

    from geoweir.spatial.attributes import Attributes
    from geoweir.spatial.file.format import LayerFileError
    from geoweir.spatial.layer import Layer
    from geoweir.spatial.layerfile import open_layer

    if not np.isfinite([x, y]).all():
        raise UsageError("X and Y must be finite numbers.")
    file = open_layer(path)
    try:
        layer = Layer.open("layer", file)
        point = np.array([shapely.Point(x, y)], dtype=object)
        inside = set(layer.join(point, "within", "all")[1].tolist())
        numbers = sorted(layer.join(point, "intersects", "all")[1].tolist())
        attributes = Attributes.open(file)
        at = np.argsort(file.array("source", "<u4"))[np.array(numbers, dtype=np.intp)]
        ids = attributes.ids(at)
        columns = {field: attributes.values(field, at) for field in attributes.fields}
    except (LayerFileError, IndexError) as error:
        raise ConfigurationError(f"layer file {path}: {error}") from error
    return [
        {
            "id": ids[place],
            "where": "interior" if number in inside else "boundary",
            "properties": {
                field: values[place]
                for field, values in columns.items()
                if values[place] is not None
            },
        }
        for place, number in enumerate(numbers)
    ]
