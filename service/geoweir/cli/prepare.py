"""What the service starts for a plain source: compiles it, and says where the result is.

The service holds no geometry library: this process does, for as long as it takes.
"""

from __future__ import annotations

import argparse

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "prepare", description="Compiles the source of a layer or raster; geoweir run starts it."
    )
    parser.add_argument("kind", choices=("layer", "raster"))
    parser.add_argument("spec", help="its specification as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    import msgspec

    from geoweir.core.spec import LayerSpec, RasterSpec
    from geoweir.spatial.compiling import opening as layers
    from geoweir.spatial.raster import opening as rasters

    if args.kind == "layer":
        print(layers.compiled(msgspec.json.decode(args.spec, type=LayerSpec)))
    else:
        print(rasters.compiled(msgspec.json.decode(args.spec, type=RasterSpec)))
    return 0
