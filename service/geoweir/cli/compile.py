"""``geoweir compile``: GeoJSON to a layer file."""

from __future__ import annotations

import argparse
import sys
import tempfile

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "compile",
        help="turn features into a layer file",
        description="Turns GeoJSON into one memory-mapped layer file.",
        epilog="Example: geoweir compile zones.geojson -o zones.gwl",
    )
    parser.add_argument("source", metavar="SOURCE", help="a file; - reads a text sequence")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("-o", dest="layer", metavar="LAYER", help="the file to write")
    target.add_argument("--fd", type=int, metavar="N", help="an open descriptor to write into")
    parser.add_argument("--crs", default="EPSG:4326", help="the CRS of the coordinates")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.spatial.layerfile import LayerFeatures, write_layer
    from geoweir.spatial.source import read_source

    with tempfile.NamedTemporaryFile(suffix=".ndjson") as sequence:
        name = args.source
        if name == "-":
            sequence.write(sys.stdin.buffer.read())
            sequence.flush()
            name = sequence.name
        found = read_source(name)
    given = LayerFeatures(found.ids, found.properties, found.geometries, found.repaired)
    write_layer(args.layer if args.fd is None else args.fd, args.crs, given, args.source)
    return 0
