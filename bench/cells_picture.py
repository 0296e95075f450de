"""Draws the cells of a layer over its polygons, as SVG.

    python bench/cells_picture.py --layer counties --box -77.4 36.7 -75.2 38.5 -o docs/cells.svg

White cells are empty, green ones wholly inside one polygon (no geometry is read there), yellow to
red ones hold the edges that touch them, the more the redder. Polygons are black.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

import layers
from geoweir.spatial.cells import CellArrays, build_cells
from geoweir.spatial.ragged import Ragged

_BITS: Final = 28
_TAG: Final = 30  # bits below a word's tag
_VALUE: Final = (1 << 30) - 1
_CHILD, _WHOLE, _LEAF = range(3)  # of a word's tag; else it is covered and split further
_GREEN: Final = "#cfe8cf"
_HEAT: Final = ("#fff3bf", "#ffe08a", "#ffc069", "#ff9a5c", "#f26d5b")
_EDGES_A_STEP: Final = 2
_WIDTH: Final = 900.0

_Box = tuple[float, float, float, float]


class _Cell(NamedTuple):
    """A cell that ends a way down: a square, and how many edges it lists; -1 for none inside."""

    x: float
    y: float
    side: float
    edges: int


def cells(arrays: CellArrays, box: _Box) -> Iterator[_Cell]:
    """The cells that meet a box and in which something is."""
    x, y, unit = arrays.frame.tolist()
    waiting = [(0, 0, 0, _BITS - 2)]
    while waiting:
        node, column, row, shift = waiting.pop()
        side = unit * (1 << shift)
        for child, word in enumerate(arrays.nodes[node].tolist()):
            inner = column + ((child & 3) << shift), row + ((child >> 2) << shift)
            west, south = x + inner[0] * unit, y + inner[1] * unit
            is_beside = west > box[2] or south > box[3] or west + side < box[0]
            if not word or is_beside or south + side < box[1]:
                continue
            tag, value = word >> _TAG, word & _VALUE
            if tag == _WHOLE:
                yield _Cell(west, south, side, -1)
            elif tag == _LEAF:
                yield _Cell(west, south, side, _edges(arrays.lists, value))
            else:
                further = value if tag == _CHILD else int(arrays.lists[value])
                waiting.append((further, *inner, shift - 2))


def _edges(lists: npt.NDArray[np.uint32], at: int) -> int:
    """How many edges a leaf lists: see kernel/_cell.h."""
    covers, sides = lists[at : at + 2].tolist()
    at += 2 + covers
    count = 0
    for _ in range(sides):
        at += 1
        is_last = 0
        while not is_last:
            count += int(lists[at + 1]) >> 1
            is_last = int(lists[at + 1]) & 1
            at += 2
    return count


def drawing(arrays: CellArrays, polygons: layers.Geometries, box: _Box) -> str:
    """The SVG. Squares of one colour are one path, which keeps it small."""
    scale = _WIDTH / (box[2] - box[0])
    height = scale * (box[3] - box[1])
    paths: dict[str, list[str]] = {}
    for one in cells(arrays, box):
        left, top = (one.x - box[0]) * scale, (box[3] - one.y - one.side) * scale
        side = f"{one.side * scale:.2f}"
        square = f"M{left:.2f} {top:.2f}h{side}v{side}h-{side}z"
        paths.setdefault(_colour(one.edges), []).append(square)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        *(
            f'<path fill="{colour}" stroke="#999" stroke-width=".25" d="{"".join(squares)}"/>'
            for colour, squares in paths.items()
        ),
        '<path fill="none" stroke="#000" stroke-width=".9"',
        f' d="{_outlines(polygons, box, scale)}"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _colour(edges: int) -> str:
    if edges < 1:
        return _GREEN
    return _HEAT[min((edges - 1) // _EDGES_A_STEP, len(_HEAT) - 1)]


def _outlines(polygons: layers.Geometries, box: _Box, scale: float) -> str:
    clipped = shapely.clip_by_rect(shapely.boundary(polygons), *box)
    text = []
    for line in shapely.get_parts(clipped[~shapely.is_empty(clipped)]):
        xy = (shapely.get_coordinates(line) - [box[0], box[3]]) * [scale, -scale]
        text.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy.tolist()))
    return "".join(text)


def main() -> int:
    """Runs from the command line."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--layer", default="counties")
    parser.add_argument("--box", type=float, nargs=4, default=(-77.4, 36.7, -75.2, 38.5))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/cells.svg"))
    options = parser.parse_args()
    polygons = layers.polygons(options.layer)
    ragged = Ragged.from_shapely(polygons)
    arrays = build_cells(ragged, ragged.boxes())
    if arrays is None:
        raise SystemExit("there is no kernel: build it first")
    options.output.write_text(drawing(arrays, polygons, tuple(options.box)))
    kinds = Counter(
        "interior" if one.edges < 0 else "boundary" for one in cells(arrays, tuple(options.box))
    )
    print(f"{options.output}: {kinds['interior']} interior cells, {kinds['boundary']} with edges")
    return 0


if __name__ == "__main__":
    sys.exit(main())
