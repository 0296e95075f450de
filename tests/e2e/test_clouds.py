"""Point clouds through the whole service, as a consumer sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from support.rasters import write
from support.running import Running, run_service

TRIANGLE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [0, 10], [0, 0]]]}
#: Two pixels of one degree from 0 E, 1 N.
GROUND = (1, 0, 0, 0, -1, 1)
STREAMS = {
    "thinned": [{"cloud": {"crop": {"layer": "zones"}, "voxel": 2}}],
    "measured": [
        {
            "cloud": {
                "height_above": {"lowest": 5},
                "stats": ["count", "max_z"],
                "grid": {"cell": 5, "value": "max", "as": "surface"},
            }
        }
    ],
    "above": [{"cloud": {"height_above": {"raster": "ground"}}}],
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("clouds")
    (folder / "zones.geojson").write_text(json.dumps(TRIANGLE))
    write(folder / "ground.gwr", np.array([[10, 20]], dtype=np.int16), transform=GROUND)
    config = {
        "rasters": {"ground": {"path": "ground.gwr"}},
        "layers": {"zones": {"path": "zones.geojson"}},
        "streams": {
            name: {"subscribe": f"in/{name}", "steps": steps} for name, steps in STREAMS.items()
        },
        "pool": {"workers": 1},
    }
    with run_service(folder, config) as made:
        yield made


def give(running: Running, stream: str, ident: str, geometry: object) -> dict[str, Any]:
    document = {"type": "Feature", "id": ident, "geometry": geometry, "properties": {}}
    return running.give(f"in/{stream}", json.dumps(document).encode(), f"geoweir/{stream}/{ident}")


def cloud(*rows: list[float]) -> dict[str, Any]:
    return {"type": "MultiPoint", "coordinates": list(rows)}


def test_a_cloud_comes_out_cropped_and_thinned(running: Running) -> None:
    given = cloud([1, 1, 1], [1.5, 1.5, 1.5], [5, 5, 7], [5.01, 5, 7], [0, 0, 0])
    result = give(running, "thinned", "one", given)
    # On the edge is in, beyond it is out; (1, 1, 1) is the centre of its voxel.
    assert result["geometry"] == cloud([1, 1, 1], [5, 5, 7])
    assert result["geoweir"]["status"] == "valid"


def test_heights_statistics_and_a_grid_are_attached(running: Running) -> None:
    result = give(running, "measured", "one", cloud([1, 1, 100], [2, 2, 103.5], [6, 1, 90]))
    assert result["geometry"] == cloud([1, 1, 0], [2, 2, 3.5], [6, 1, 0])
    assert result["properties"] == {
        "cloud_count": 3,
        "cloud_max_z": 3.5,
        "surface": {
            "rows": 1,
            "columns": 2,
            "origin": [0, 5],
            "cell": 5,
            "value": "max",
            "values": [3.5, 0],
        },
    }


def test_what_is_no_cloud_is_a_result_in_error(running: Running) -> None:
    result = give(running, "measured", "point", {"type": "Point", "coordinates": [1, 1, 1]})
    assert result["geoweir"]["status"] == "error"
    assert result["geoweir"]["message"] == (
        "cloud: the geometry is a Point; a cloud is a MultiPoint with z"
    )


def test_heights_above_a_raster_are_those_above_the_handed_file(running: Running) -> None:
    given = cloud([0.5, 0.5, 12], [1.5, 0.5, 21.5], [9, 9, 9])
    result = give(running, "above", "one", given)
    assert result["geometry"] == cloud([0.5, 0.5, 2], [1.5, 0.5, 1.5])  # the third is above nothing
    assert list(result["geoweir"]["rasters"]) == ["ground"]
