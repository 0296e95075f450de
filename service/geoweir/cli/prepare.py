"""What the service starts for a layer that is a plain source: compiles it, and says where it is.

The service holds no geometry library: this process does, for as long as it takes.
"""

from __future__ import annotations

import argparse

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "prepare", description="Compiles a layer's source; geoweir run starts it."
    )
    parser.add_argument("spec", help="the layer's specification as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    import msgspec

    from geoweir.core.spec import LayerSpec
    from geoweir.spatial.compiling.cache import compiled

    print(compiled(msgspec.json.decode(args.spec, type=LayerSpec)))
    return 0
