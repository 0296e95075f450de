"""The options of the step ``cloud``: what they become, and how faults are named."""

from __future__ import annotations

import pytest

from geoweir.core.spec import StepSpec
from support.configurations import Folder, codes

HEAD = "layers: {zones: {path: zones.geojson}}\nstreams: {a: {subscribe: x, steps: [{cloud: "
PATH = "streams.a.steps[0].cloud"


def test_all_options_and_their_defaults(folder: Folder) -> None:
    loaded = folder.load(
        HEAD + "{crop: {bbox: [0, 0, -5, 9, 9, 5]}, voxel: 1, height_above: {lowest: 2.5},"
        " stats: [count, density], grid: {cell: 10}}}]}}"
    )
    assert loaded.settings is not None
    assert loaded.settings.streams[0].steps == (
        StepSpec(
            name="cloud",
            options={
                "crop": {"bbox": (0, 0, -5, 9, 9, 5)},
                "voxel": 1,
                "height_above": {"lowest": 2.5},
                "stats": ["count", "density"],
                "grid": {"cell": 10, "value": "max", "max_cells": 10_000},
                "as": "cloud",
                "max_points": 250_000,
            },
        ),
    )


@pytest.mark.parametrize(
    ("options", "path", "code", "help_"),
    [
        ("{}", PATH, "missing-key", "crop, voxel, height_above, stats and grid"),
        ("{voxel: 0}", PATH + ".voxel", "out-of-range", "1e-09 or more"),
        ("{voxel: .inf}", PATH + ".voxel", "out-of-range", "finite"),
        ("{crop: {}}", PATH + ".crop", "missing-key", "layer"),
        ("{crop: {layer: zones, bbox: [0, 0, 1, 1]}}", PATH + ".crop", "conflict", "Keep one"),
        ("{crop: {layer: zone}}", PATH + ".crop.layer", "unknown-name", "zones"),
        ("{crop: {bbox: [0, 0, 1]}}", PATH + ".crop.bbox", "bad-value", "[WEST, SOUTH"),
        ("{crop: {bbox: [2, 0, 1, 1]}}", PATH + ".crop.bbox", "bad-value", "not above"),
        ("{crop: {bbox: [0, 0, 5, 1, 1, 4]}}", PATH + ".crop.bbox", "bad-value", "HIGHEST"),
        ("{height_above: {}}", PATH + ".height_above", "missing-key", "lowest"),
        ("{height_above: {raster: dem}}", PATH + ".height_above.raster", "unknown-name", "rasters"),
        ("{stats: [mean]}", PATH + ".stats[0]", "bad-value", "mean_z"),
        ("{grid: {}}", PATH + ".grid.cell", "missing-key", ""),
        ("{grid: {cell: 1, max_cells: 9999999}}", PATH + ".grid.max_cells", "out-of-range", ""),
        ("{voxels: 1}", PATH + ".voxels", "unknown-key", "voxel"),
    ],
)
def test_a_fault_is_named_with_its_place_and_remedy(
    folder: Folder, options: str, path: str, code: str, help_: str
) -> None:
    loaded = folder.load(f"{HEAD}{options}}}]}}}}")
    assert codes(loaded) == [(2, path, code)]
    assert help_ in loaded.faults[0].help
    assert loaded.settings is None
