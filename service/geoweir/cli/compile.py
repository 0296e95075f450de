"""``geoweir compile``: a source of features, or a GeoTIFF, into one memory-mapped file."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from geoweir.cli import raster
from geoweir.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from geoweir.cli.progress import Progress
    from geoweir.spatial.compiling.compile import Compiled, Options, Report

__all__ = ["add_parser", "run"]

_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")
_MEMORY: Final = "1GB"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "compile",
        help="compile features or a GeoTIFF into a memory-mapped file",
        description="Compiles points, lines and polygons into one file that all workers map: "
        "GeoJSON and GeoJSON text sequences, plain or gzipped; with geoweir[formats] everything "
        "that GDAL reads. Features that could not be taken just as they stand are listed. "
        "A GeoTIFF (.tif, .tiff; geoweir[rasters]) becomes a raster (.gwr).",
        epilog="Example: geoweir compile counties.gpkg -o counties.gwl --id GEOID --keep NAME",
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="a file, or - for a text sequence on stdin"
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("-o", "--output", metavar="LAYER", help="the file to write, replaced whole")
    target.add_argument("--fd", type=int, metavar="N", help="write into this open descriptor")
    target.add_argument(
        "--cached",
        action="store_true",
        help="write into the cache as `run` does, unless it is there, and print the path",
    )
    parser.add_argument("--id", metavar="FIELD", help="the property that becomes the feature's id")
    parser.add_argument(
        "--keep", nargs="+", action="extend", metavar="FIELD", help="the properties that are kept"
    )
    parser.add_argument("--crs", help="the layer's CRS (the source's EPSG code, else EPSG:4326)")
    parser.add_argument("--source-crs", metavar="CRS", help="the source's, whatever it says itself")
    parser.add_argument(
        "--assume-crs", metavar="CRS", help="the source's where it says none (EPSG:4326)"
    )
    parser.add_argument("--layer", metavar="NAME", help="which layer of a source of several")
    parser.add_argument(
        "--max-memory", default=_MEMORY, metavar="SIZE", help=f"what it may take ({_MEMORY})"
    )
    parser.add_argument(
        "--repair",
        choices=("structure", "linework", "none"),
        default="structure",
        help="how invalid geometries are repaired; none leaves them out",
    )
    parser.add_argument(
        "--strict", action="store_true", help="fail if a feature can't be taken as it stands"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="list these features on standard output, as JSON lines with their number from 0",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    if raster.is_raster(args.source):
        return _run_raster(args)
    options = _options(args)
    if args.cached:
        print(_cached(args))
        return 0
    target = _target(args)
    started = time.monotonic()
    try:
        made = _compile(args.source, target, options, as_json=args.json)
    except OSError as error:
        raise _unwritten(target, error) from error
    summary = _summary(made, target, time.monotonic() - started)
    print(summary, file=sys.stderr if args.json else sys.stdout)
    return 0


def _run_raster(args: argparse.Namespace) -> int:
    raster.refuse_options(args)
    if args.cached:
        print(raster.cached(args.source, args.source_crs))
        return 0
    target = _target(args)
    try:
        print(raster.compile_to(args.source, target, args.source_crs))
    except OSError as error:
        raise _unwritten(target, error) from error
    return 0


def _unwritten(target: Path | int, error: OSError) -> ConfigurationError:
    place = f"descriptor {target}" if isinstance(target, int) else str(target)
    why = error.strerror or error
    return ConfigurationError(
        f"{place}: it can't be written ({why}). Give a file in a folder with room."
    )


def _options(args: argparse.Namespace) -> Options:
    from geoweir.settings.units import UnitError, read_size, size_text
    from geoweir.spatial.compiling.compile import LEAST_MEMORY, Options

    try:
        memory = read_size(args.max_memory)
    except UnitError as error:
        raise UsageError(f"--max-memory: {error} {error.help}") from error
    if memory < LEAST_MEMORY:
        least = size_text(LEAST_MEMORY)
        raise UsageError(f"--max-memory: {args.max_memory} is too little. Give at least {least}.")
    return Options(
        crs=args.crs,
        source_crs=args.source_crs,
        assumed_crs=args.assume_crs or Options().assumed_crs,
        id_field=args.id,
        keep=None if args.keep is None else tuple(dict.fromkeys(args.keep)),
        table=args.layer,
        repair=args.repair,
        strict=args.strict,
        memory=memory,
    )


def _target(args: argparse.Namespace) -> Path | int:
    """A path, or the descriptor that ``--fd`` or ``/dev/fd/N`` names."""
    named = None if args.output is None else _DESCRIPTOR.fullmatch(args.output)
    number = args.fd if named is None else int(named[1])
    if number is None:
        path = Path(args.output)
        if path.is_dir():
            raise UsageError(f"{path} is a folder. Give the name of a file.")
        return path
    try:
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
    except OSError as error:
        raise UsageError(
            f"descriptor {number} can't be written to ({error.strerror}). "
            "Give one of an open file or a memfd."
        ) from error
    return int(number)


def _compile(source: str, target: Path | int, options: Options, *, as_json: bool) -> Compiled:
    from geoweir.cli.progress import progress_for
    from geoweir.spatial.compiling.compile import compile_layer

    with progress_for("compile") as progress:
        return compile_layer(
            source,
            target,
            options,
            report=_say_json if as_json else _saying(progress),
            progress=lambda share, count: progress.show(share or 0.0, f"{count:,} features"),
        )


def _saying(progress: Progress) -> Report:
    from geoweir.cli.escaping import escaped

    return lambda ident, kind, why, _: progress.say(f"{escaped(ident)}: {kind}: {why}")


def _say_json(ident: str, kind: str, why: str, number: int) -> None:
    import orjson

    said = {"number": number, "id": ident, "kind": kind, "reason": why}
    sys.stdout.buffer.write(orjson.dumps(said) + b"\n")


def _cached(args: argparse.Namespace) -> Path:
    from geoweir.cli.progress import progress_for
    from geoweir.core.spec import LayerSpec
    from geoweir.spatial.compiling.opening import compiled

    keep = None if args.keep is None else tuple(dict.fromkeys(args.keep))
    path = str(Path(args.source).absolute())
    spec = LayerSpec(name=path, path=path, crs=args.crs, id=args.id, keep=keep)
    with progress_for("compile") as progress:
        return compiled(
            spec,
            report=_saying(progress),
            progress=lambda share, count: progress.show(share or 0.0, f"{count:,} features"),
        )


def _summary(made: Compiled, target: Path | int, seconds: float) -> str:
    size = os.fstat(target).st_size if isinstance(target, int) else target.stat().st_size
    place = f"descriptor {target}" if isinstance(target, int) else str(target)
    done = "".join(f", {count:,} {kind}" for kind, count in sorted(made.counts.items()))
    spilled = f", {made.spilled / 1e6:,.0f} MB through temporary files" if made.spilled else ""
    return (
        f"{place}: {made.features:,} features{done}, {made.crs}, {size / 1e6:,.2f} MB, "
        f"version {made.version[:12]}, {seconds:.1f} s{spilled}"
    )
